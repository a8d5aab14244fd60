"""A session's temporary tables: planned with what is known of them, and never in place of something shared."""

from __future__ import annotations

import pytest

from proxy.catalog.model import Column
from proxy.sql.plan import Forward, Plan, PlanContext, Reject, Temporary
from proxy.sql.planner import Planner
from proxy.sql.world import World
from proxy.tenancy.rulebook import classified
from tests.sql.worlds import keys_of, sample_policy

IDS = Temporary("mine", (Column(1, "id", 23), Column(2, "word", 25, collation=100)))


@pytest.fixture
def planner(world: World) -> Planner:
    return Planner(world.catalog, 1 << 20)


def context(planner: Planner, *temporary: Temporary) -> PlanContext:
    return PlanContext(classified(sample_policy()), planner.catalog.version, role="app", temporary=temporary)


def planned(planner: Planner, text: str, *temporary: Temporary) -> tuple[Plan, str]:
    """The last plan and the texts that would be sent."""
    found = planner.plan(text.encode(), context(planner, *temporary))
    return found.plans[-1], "; ".join(planner.explain_text(found, keys_of(1)))


def made(planner: Planner, text: str, *temporary: Temporary) -> Temporary | None:
    plan, _ = planned(planner, text, *temporary)
    assert isinstance(plan, Forward)
    return plan.effects.creates


def test_a_table_is_known_by_what_create_says(planner: Planner) -> None:
    found = made(
        planner, "CREATE TEMP TABLE t (id serial PRIMARY KEY, w text, d date[], s int GENERATED ALWAYS AS (1) STORED)"
    )
    assert found is not None
    assert found.columns is not None
    assert [(one.name, one.type, one.generated) for one in found.columns] == [
        ("id", 23, ""), ("w", 25, ""), ("d", 1182, ""), ("s", 23, "s"),
    ]  # fmt: skip
    assert not found.drops


def test_a_querys_columns_are_known_as_far_as_their_types_are(planner: Planner) -> None:
    query = "SELECT id, 'x' AS b, mode() WITHIN GROUP (ORDER BY id) AS c FROM orders GROUP BY id"
    found = made(planner, f"CREATE TEMP TABLE t (a) ON COMMIT DROP AS {query}")
    assert found is not None
    assert found.columns is not None
    assert [(one.name, one.type) for one in found.columns] == [("a", 23), ("b", 25), ("c", 0)]
    assert found.drops
    unknown = made(planner, "CREATE TEMP TABLE t AS EXECUTE p (1)")
    assert unknown is not None
    assert unknown.columns is None


def test_one_that_exists_already_keeps_what_is_known_of_it(planner: Planner) -> None:
    assert made(planner, "CREATE TEMP TABLE IF NOT EXISTS mine (other text)", IDS) is None
    assert made(planner, "CREATE TEMP TABLE IF NOT EXISTS mine AS SELECT 1", IDS) is None


def test_it_is_sent_with_its_schema_and_needs_no_predicate(planner: Planner) -> None:
    _, text = planned(planner, "SELECT m.id FROM mine m JOIN orders o USING (id) WHERE m.word ~ 'x'", IDS)
    assert "FROM pg_temp.mine m JOIN public.orders o" in text
    assert "m.tenant_id" not in text
    for change in ("INSERT INTO mine SELECT id FROM orders", "UPDATE mine SET id = 1", "DELETE FROM mine"):
        plan, text = planned(planner, change, IDS)
        assert isinstance(plan, Forward)
        assert "pg_temp.mine" in text
    _, text = planned(planner, "SELECT id FROM mine FOR UPDATE", IDS)
    assert "pg_temp.mine" in text


def test_a_column_of_an_unknown_type_is_not_silent(planner: Planner) -> None:
    query = "SELECT o.id FROM orders o JOIN mine m ON o.note = m.word"
    _, known = planned(planner, query, IDS)
    _, unknown = planned(planner, query, Temporary("mine", (Column(1, "word", 0),)))
    _, nothing = planned(planner, query, Temporary("mine", None))
    assert "CASE WHEN" not in known
    assert "CASE WHEN" in unknown
    assert "CASE WHEN" in nothing


def test_sessions_with_other_tables_share_no_plan(planner: Planner) -> None:
    """Else a condition that is silent over one session's column would run unguarded over another's."""
    query = b"SELECT o.id FROM orders o JOIN mine m ON o.note = m.word"
    one, other = context(planner, IDS), context(planner, Temporary("mine", (Column(1, "word", 0),)))
    planner.plan(query, one)
    assert planner.lookup(query, one) is not None
    assert planner.lookup(query, other) is None
    assert planner.lookup(query, context(planner)) is None


def test_a_text_that_does_not_name_a_table_is_planned_without_it(planner: Planner) -> None:
    plain = context(planner)
    assert plain.about(b"SELECT 1 FROM orders", (IDS,)) is plain
    assert plain.about(b"SELECT 1", ()) is plain
    assert plain.about(b'SELECT 1 FROM "MINE"', (IDS,)).temporary == (IDS,)
    hidden = b'SELECT * FROM U&"m\\0069ne"'
    assert isinstance(planner.plan(hidden, plain.about(hidden, (IDS,))).plans[0], Reject)


def test_the_statements_of_a_text_see_what_those_before_them_made(planner: Planner) -> None:
    plan, text = planned(planner, "CREATE TEMP TABLE t (a int); SELECT a FROM t")
    assert isinstance(plan, Forward)
    assert text.endswith("SELECT a FROM pg_temp.t")
    plan, _ = planned(planner, "CREATE TEMP TABLE t (a int); DROP TABLE t; SELECT a FROM t")
    assert isinstance(plan, Reject)
    plan, _ = planned(planner, "DISCARD TEMP; SELECT id FROM mine", IDS)
    assert isinstance(plan, Reject)


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("CREATE TABLE t (a int)", "42501"),
        ("CREATE UNLOGGED TABLE t (a int)", "42501"),
        ("CREATE TABLE pg_temp.t (a int)", "42501"),
        ("CREATE TEMP TABLE public.t (a int)", "42501"),
        ("CREATE TABLE t AS SELECT 1", "42501"),
        ("SELECT 1 INTO t", "42501"),
        ("SELECT 1 INTO t UNION SELECT 2", "42501"),
        ("CREATE MATERIALIZED VIEW t AS SELECT 1", "42501"),
        ("CREATE TEMP VIEW t AS SELECT 1", "42501"),
        ("ALTER TABLE ids ADD b int", "42501"),
        ("ALTER TABLE pg_temp.ids ADD b int", "42501"),
        ("CREATE TEMP TABLE orders (a int)", "42501"),
        ("CREATE TEMP TABLE audit_log (a int)", "42501"),
        ("CREATE TEMP TABLE pg_class (a int)", "42501"),
        ("CREATE TEMP TABLE text (a int)", "42501"),
        ("CREATE TEMP TABLE invoice_no_seq (a int)", "42501"),
        ("CREATE TEMP TABLE orders AS SELECT 1", "42501"),
        ("SELECT 1 INTO TEMP orders", "42501"),
        ("CREATE TEMP TABLE t (LIKE orders)", "42501"),
        ("CREATE TEMP TABLE t () INHERITS (orders)", "42501"),
        ("CREATE TEMP TABLE t PARTITION OF events DEFAULT", "42501"),
        ("CREATE TEMP TABLE t OF order_status", "42501"),
        ("CREATE TEMP TABLE t (a int) PARTITION BY LIST (a)", "42501"),
        ("CREATE TEMP TABLE t (a int REFERENCES orders)", "0A000"),
        ("CREATE TEMP TABLE t (a int, EXCLUDE (a WITH =))", "0A000"),
        ("CREATE TEMP TABLE t (a int) WITH (fillfactor = 50)", "0A000"),
        ("CREATE TEMP TABLE t (a int) TABLESPACE pg_default", "0A000"),
        ("CREATE TEMP TABLE t (a int CHECK (a IN (SELECT id FROM orders)))", "0A000"),
        ("CREATE TEMP TABLE t (a text DEFAULT pg_read_file('x'))", "42501"),
        ("CREATE TEMP TABLE t (a text DEFAULT count_orders())", "42883"),
        ("CREATE TEMP TABLE t (a text DEFAULT pg_advisory_lock(1))", "0A000"),
        ("CREATE TEMP TABLE t (a int CHECK ((t).count_orders = 1))", "0A000"),
        ("CREATE TEMP TABLE t (a regclass)", "0A000"),
        ("CREATE TEMP TABLE t (a orders)", "42704"),
        ("CREATE TEMP TABLE t (a nothing)", "42704"),
        ("CREATE TEMP TABLE t AS SELECT set_config('work_mem', '8MB', false)", "42501"),
        ("CREATE TEMP TABLE t AS SELECT * FROM pg_authid", "42501"),
        ("DROP TABLE orders", "42501"),
        ("DROP TABLE audit_log", "42501"),
        ("DROP TABLE pg_temp.t", "42501"),
        ("DROP VIEW open_orders", "42501"),
        ("CREATE INDEX ON orders (id)", "42501"),
        ("ALTER TABLE mine ADD COLUMN c int", "42501"),
        ("SELECT * FROM pg_temp.t", "42P01"),
        ("SELECT pg_temp.f()", "42883"),
    ],
)
def test_nothing_permanent_is_made_and_nothing_shared_is_taken_or_covered(
    planner: Planner, text: str, sqlstate: str
) -> None:
    plan, _ = planned(planner, text, IDS)
    assert isinstance(plan, Reject), text
    assert plan.sqlstate == sqlstate, plan
