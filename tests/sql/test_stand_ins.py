"""Stand-ins: what calls that tell of the pooled connection or of everybody's rows are replaced by."""

from __future__ import annotations

import pytest

from proxy.sql.nodes import Node, Nodes
from proxy.sql.outputs import column_name
from proxy.sql.plan import Forward, KeyHole, PlanContext
from proxy.sql.planner import Planner
from proxy.sql.stand_ins import stand_in
from proxy.sql.world import World
from proxy.tenancy.derived import PROCESS, QUERY
from tests.sql.worlds import one_statement, sample_policy


@pytest.fixture(scope="module")
def planner(world: World) -> Planner:
    return Planner(world.catalog, 0)


def column_name_of(target: Node) -> str:
    return str(target["ResTarget"].get("name") or column_name(target["ResTarget"]["val"]))


def plan(planner: Planner, world: World, sql: str) -> Forward | str:
    """The plan, or the SQLSTATE of its refusal."""
    planned = planner.plan(sql.encode(), PlanContext(sample_policy(), world.catalog.version, role="app"))
    if planned.rejection is not None:
        return planned.rejection.sqlstate
    (found,) = planned.plans
    assert isinstance(found, Forward)
    return found


@pytest.mark.parametrize(
    ("sql", "facts"),
    [
        ("SELECT current_query()", [QUERY]),
        ("SELECT pg_catalog.pg_backend_pid() + 1, current_query()", [PROCESS, QUERY]),
        ("SELECT id FROM orders WHERE note = current_query()", [QUERY, "default"]),
        ("SELECT pid, query FROM pg_stat_activity", ["$application", PROCESS, QUERY]),
        ("SELECT 1", []),
    ],
)
def test_the_sessions_own_takes_the_place_of_the_connections(
    planner: Planner, world: World, sql: str, facts: list[str]
) -> None:
    found = plan(planner, world, sql)
    assert isinstance(found, Forward)
    assert sorted(one.key for one in found.template.holes if isinstance(one, KeyHole)) == sorted(facts)
    assert found.tells_text is (QUERY in facts)


@pytest.mark.parametrize("name", ["pg_table_size", "pg_total_relation_size", "pg_relation_size", "pg_indexes_size"])
def test_sizes_are_not_known_whatever_is_asked(planner: Planner, world: World, name: str) -> None:
    found = plan(planner, world, f"SELECT {name}(c.oid) FROM pg_class c")
    assert isinstance(found, Forward)
    assert found.template.pieces[0].lower().startswith(f"select null::bigint as {name} from (".encode())
    for argument in ("'orders'", "'leaky_stats'", "'no_such'", "16400", "(SELECT oid FROM pg_class LIMIT 1)"):
        assert plan(planner, world, f"SELECT {name}({argument})") == "42501"


def test_a_column_keeps_the_name_that_the_call_gave_it(world: World) -> None:
    asked = (
        'SELECT current_query(), current_query()::varchar, current_query() COLLATE "C", (SELECT current_query())::name,'
        " CASE WHEN true THEN 'x' ELSE current_query() END, pg_is_in_recovery() AS r"
    )
    tree = stand_in(Nodes(one_statement(world, asked).tree), world)
    assert [column_name_of(one) for one in tree["SelectStmt"]["targetList"]] == [*["current_query"] * 5, "r"]


def test_what_calls_no_such_function_is_the_same_tree(world: World) -> None:
    tree = one_statement(world, "SELECT lower('A'), a.current_query FROM (SELECT 1 AS current_query) a").tree
    assert stand_in(Nodes(tree), world) is tree


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM current_query()",
        "SELECT * FROM generate_series(1, length(current_query()))",
        "SELECT count(*) FROM pg_is_in_recovery()",
    ],
)
def test_a_call_that_nothing_can_take_the_place_of_is_refused(planner: Planner, world: World, sql: str) -> None:
    assert plan(planner, world, sql) == "42501"


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT set_config(name, 'view', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'", ""),
        ("SELECT set_config(name, '1GB', false) FROM pg_settings WHERE name = 'work_mem'", "42501"),
        ("SELECT set_config(name, 'x', false) FROM pg_settings WHERE name <> 'no_such'", "42501"),
        ("SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'no_such' OR true", "42501"),
        ("SELECT set_config('role', 'x', false) FROM pg_settings WHERE name = 'no_such'", "42501"),
        ("SELECT set_config(name, 'x', false) FROM pg_settings, orders WHERE name = 'no_such'", "42501"),
    ],
)
def test_a_setting_that_is_not_shown_has_no_row_and_is_not_set(
    planner: Planner, world: World, sql: str, answer: str
) -> None:
    found = plan(planner, world, sql)
    if answer:
        assert found == answer
    else:
        assert isinstance(found, Forward)
        assert b"set_config(" not in found.template.pieces[0]


def test_counters_of_sequences_are_not_read(planner: Planner, world: World) -> None:
    found = plan(planner, world, "SELECT s.seqrelid, last_value FROM pg_sequence s, pg_get_sequence_data(s.seqrelid)")
    assert isinstance(found, Forward)
    assert b"pg_get_sequence_data(" not in found.template.pieces[0]
    assert plan(planner, world, "SELECT pg_get_sequence_data('invoice_no_seq')") in ("42501", "42883")
