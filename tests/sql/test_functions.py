"""The table of callable functions denies by default, whatever the server has."""

from __future__ import annotations

import pytest

from proxy.sql.data.generate_functions import ROUTINES, answered
from proxy.sql.functions import allowed, by_number, unshown
from proxy.sql.world import World
from tests.kit.postgres import Cluster

REFUSED = (
    "query_to_xml table_to_xml ts_stat dblink pg_read_file lo_get lo_from_bytea pg_stat_get_activity "
    "pg_terminate_backend pg_relation_size pg_total_relation_size txid_current pg_current_snapshot pg_export_snapshot "
    "lastval pg_notify currtid2 pg_advisory_lock pg_sequence_last_value pg_get_sequence_data current_query set_config "
    "pg_logical_emit_message pg_get_partition_constraintdef to_regrole regclassin regclassout makeaclitem system_user "
    "inet_server_addr row_security_active pg_restore_relation_stats no_such_function"
)


@pytest.mark.parametrize("name", REFUSED.split())
def test_what_reaches_beyond_its_arguments_is_refused(name: str) -> None:
    assert name not in allowed()


@pytest.mark.parametrize("name", ["lower", "count", "now", "pg_sleep", "generate_series", "uuidv7", "array_sort"])
def test_what_only_computes_is_allowed(name: str) -> None:
    assert name in allowed()


def test_ts_rewrite_may_not_run_the_text_of_a_query() -> None:
    assert by_number()["ts_rewrite"] == (3,)


def test_the_volatile_functions_that_may_be_called_are_these(world: World) -> None:
    """They have effects or read state, so one more of them has to be thought about."""
    volatile = {
        name
        for name, every in world.catalog.functions.items()
        for one in every
        if one.schema == "pg_catalog"
        and one.volatility == "v"
        and name in allowed()
        and len(one.arguments) in by_number().get(name, (len(one.arguments),))
    }
    clocks = {"clock_timestamp", "gen_random_uuid", "pg_sleep", "pg_sleep_for", "pg_sleep_until", "random", "timeofday"}
    assert volatile - clocks <= {"pg_partition_ancestors", "pg_partition_root", "pg_partition_tree"}


def test_no_function_prints_what_an_oid_stands_for(world: World) -> None:
    """Type output functions would tell the names of hidden objects."""
    cstring = 2275
    printing = {
        name
        for name, every in world.catalog.functions.items()
        for one in every
        if one.schema == "pg_catalog" and one.result == cstring and name in allowed()
    }
    assert printing == set()


def test_what_pg_proc_shows_and_only_statements_call_may_be_called(server: Cluster) -> None:
    named = set(server.psql("postgres", f"COPY ({ROUTINES}) TO STDOUT").split())
    assert named - set(unshown()) - allowed() == answered() & named
    assert not set(unshown()) & (allowed() | answered())


def test_what_types_and_operators_name_is_shown_whether_it_may_be_called_or_not() -> None:
    """Npgsql asks for the names of types' functions, to find the arrays."""
    assert not {"array_recv", "array_in", "enum_out", "eqsel", "RI_FKey_check_ins", "lower"} & set(unshown())
