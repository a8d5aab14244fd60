"""What an attacker asks the catalogs: no answer tells of other tenants' sessions, statements, values or of what is
hidden."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.escapes.run import FOREIGN
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[RawClient]:
    with proxy.connect("acme_app", application_name="the tenant's own") as client:
        yield client


@pytest.fixture
def other(proxy: Proxy) -> Iterator[RawClient]:
    """A session of another tenant that is in the middle of something."""
    with proxy.connect("globex_app") as client:
        client.simple("BEGIN")
        client.simple("SELECT 'globex secret', count(*) FROM orders")
        yield client


def test_a_session_sees_itself_as_its_client_knows_it(client: RawClient, other: RawClient) -> None:
    text = "SELECT pid, query, application_name, state, pg_backend_pid(), current_query() FROM pg_stat_activity"
    pid, own = str(client.key[0]).encode(), text.encode()
    for told in (client.simple(text), client.extended(text)):
        assert told.rows == [(pid, own, b"the tenant's own", b"active", pid, own)]
    assert other.simple(text).rows[0][0] == str(other.key[0]).encode()


def test_a_text_with_quotes_is_told_as_it_was_sent(client: RawClient) -> None:
    text = "SELECT 'it''s', $$ -- {pid} '{query}' $$, query FROM pg_stat_activity; SELECT 2"
    told = client.simple(text)
    assert told.rows == [(b"it's", b" -- {pid} '{query}' ", text.encode()), (b"2",)]


@pytest.mark.parametrize(
    "name",
    [
        "pg_stat_activity", "pg_locks", "pg_shdepend", "pg_publication_tables", "pg_largeobject_metadata",
        "pg_settings", "pg_statistic_ext", "pg_inherits", "pg_partitioned_table", "pg_attrdef", "pg_trigger",
        "pg_class", "pg_attribute", "pg_constraint", "pg_type", "pg_enum", "pg_depend", "pg_description", "pg_roles",
        "pg_database", "pg_namespace", "pg_sequences", "pg_rewrite", "pg_views", "pg_indexes", "pg_rules",
        "information_schema.columns", "information_schema.check_constraints", "information_schema.routines",
        "information_schema.element_types", "information_schema.table_privileges", "information_schema.triggers",
    ],
)  # fmt: skip
def test_no_row_of_a_catalog_tells_of_another_tenant(
    client: RawClient, other: RawClient, shared_server: Cluster, name: str
) -> None:
    told = client.simple(f"SELECT * FROM {name}")
    assert told.errors == []
    assert FOREIGN.search(told.raw) is None
    assert b"leaky_stats" not in told.raw
    assert b"order_secret" not in told.raw


@pytest.mark.parametrize(
    "name",
    ["pg_authid", "pg_shadow", "pg_statistic", "pg_largeobject", "pg_hba_file_rules", "pg_user_mapping", "pg_config"],
)
def test_what_no_role_may_read_is_refused_in_postgresqls_words(
    client: RawClient, shared_server: Cluster, name: str
) -> None:
    with RawClient("127.0.0.1", shared_server.port, "app", "private1") as private:
        expected = private.simple(f"SELECT * FROM {name}").errors
    told = client.simple(f"SELECT * FROM {name}").errors
    assert [(one["C"], one["M"]) for one in told] == [(one["C"], one["M"]) for one in expected]
    assert expected[0]["C"] == "42501"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT n_live_tup FROM pg_stat_user_tables", "SELECT * FROM pg_stats", "SELECT * FROM pg_stat_database",
        "SELECT heap_blks_hit FROM pg_statio_all_tables", "SELECT * FROM pg_stat_wal", "SELECT * FROM pg_stat_slru",
        "SELECT * FROM pg_prepared_xacts", "SELECT statement FROM pg_prepared_statements", "SELECT * FROM pg_cursors",
        "SELECT * FROM pg_replication_slots", "SELECT * FROM pg_db_role_setting", "SELECT * FROM pg_policies",
        "SELECT pg_total_relation_size('orders')", "SELECT pg_database_size(current_database())",
        "SELECT pg_relation_filepath('orders')", "SELECT pg_sequence_last_value('invoice_no_seq')",
    ],
)  # fmt: skip
def test_counters_of_everybodys_work_are_refused(client: RawClient, text: str) -> None:
    assert [one["C"] for one in client.simple(text).errors] == ["42501"]


def test_estimates_stand_still_while_others_work(client: RawClient) -> None:
    text = "SELECT reltuples, relpages, relallvisible, pg_table_size(oid) FROM pg_class WHERE relname = 'orders'"
    assert client.simple(text).rows == [(b"-1", b"0", b"0", None)]


def test_types_of_hidden_relations_and_arrays_of_them_are_absent(client: RawClient) -> None:
    text = "SELECT typname FROM pg_type WHERE typname LIKE '%leaky%' OR typname LIKE '%odd_nullable%'"
    assert client.simple(text).rows == []
    assert client.simple("SELECT count(*) > 0 FROM pg_type WHERE typname = '_orders'").rows == [(b"t",)]


def test_a_check_of_a_hidden_table_is_not_read_under_a_shown_ones_name(
    pristine_shared: str, shared_server: Cluster
) -> None:
    shared_server.psql(
        pristine_shared,
        sql="CREATE TABLE secrets (n int CONSTRAINT orders_amount_ck CHECK (n <> 4711));"
        " COMMENT ON TABLE secrets IS 'globex only'; COMMENT ON CONSTRAINT orders_amount_ck ON secrets IS 'globex too'",
    )
    with running_proxy(shared_server.port, pristine_shared) as proxy, proxy.connect("acme_app") as client:
        for text in (
            "SELECT * FROM information_schema.check_constraints",
            "SELECT * FROM pg_description WHERE objoid > 16384",
            "SELECT * FROM pg_constraint",
        ):
            told = client.simple(text)
            assert told.errors == []
            assert b"4711" not in told.raw
            assert FOREIGN.search(told.raw) is None


@pytest.mark.parametrize(
    "text",
    [
        "SELECT pg_get_functiondef(tgfoid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT pg_get_functiondef(x) FROM (SELECT tgfoid AS x FROM pg_trigger WHERE NOT tgisinternal) t",
        "SELECT pg_get_functiondef((SELECT tgfoid FROM pg_trigger WHERE NOT tgisinternal LIMIT 1))",
        "WITH t(x) AS (SELECT tgfoid FROM pg_trigger) SELECT obj_description(x, 'pg_proc') FROM t",
        "SELECT t.x::regproc, pg_get_function_result(t.x) FROM (SELECT tgfoid AS x FROM pg_trigger) t",
        "SELECT pg_get_functiondef(u) FROM unnest(ARRAY(SELECT tgfoid FROM pg_trigger)) u",
    ],
)
def test_the_body_of_a_hidden_trigger_function_is_not_told(client: RawClient, text: str) -> None:
    told = client.simple(text)
    assert b"INSERT INTO audit_log" not in told.raw
    assert [one["C"] for one in told.errors] == ["0A000"]


def test_triggers_of_foreign_keys_name_no_hidden_table(pristine_shared: str, shared_server: Cluster) -> None:
    shared_server.psql(pristine_shared, sql="CREATE TABLE globex_only (id int REFERENCES products)")
    with running_proxy(shared_server.port, pristine_shared) as proxy, proxy.connect("acme_app") as client:
        for text in (
            "SELECT tgconstrrelid::regclass, tgname FROM pg_trigger",
            "SELECT conrelid::regclass, confrelid::regclass FROM pg_constraint",
            "SELECT objid::regclass FROM pg_depend WHERE classid = 1259",
        ):
            assert FOREIGN.search(client.simple(text).raw) is None
