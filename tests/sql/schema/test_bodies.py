"""Every statement of a body is looked at as one that is kept; in both languages, in both forms of SQL."""

from __future__ import annotations

import pytest

from proxy.sql.plan import Forward, Reject
from proxy.sql.planner import Planner
from proxy.sql.schema.bodies import joined
from tests.kit.schemas import Beside

SQL = "CREATE FUNCTION f() RETURNS SETOF record LANGUAGE sql AS $f$ {} $f$"
ATOMIC = "CREATE FUNCTION f() RETURNS SETOF record BEGIN ATOMIC {}; END"
PLPGSQL = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN {}; END $f$"
NESTED = "DO $f$ DECLARE r record; BEGIN IF true THEN FOR r IN {} LOOP NULL; END LOOP; END IF; END $f$"

REFUSED = {
    "SELECT * FROM globex.orders": "42P01",
    "SELECT * FROM pg_class": "0A000",
    "SELECT * FROM pg_catalog.pg_class": "0A000",
    "SELECT * FROM information_schema.tables": "0A000",
    "SELECT globex.f(1)": "3F000",
    "SELECT pg_advisory_lock(1)": "0A000",
    "SELECT pg_notify('a', 'b')": "0A000",
    "SELECT pg_backend_pid()": "0A000",
    "SELECT current_query()": "42501",
    "SELECT current_setting('application_name')": "0A000",
    "SELECT set_config('work_mem', '5MB', false)": "0A000",
    "SELECT lo_create(0)": "42501",
    "SELECT query_to_xml('SELECT 1', true, true, '')": "42501",
}


@pytest.mark.parametrize("statement", REFUSED)
@pytest.mark.parametrize("form", [SQL, ATOMIC, PLPGSQL, NESTED])
def test_what_leads_out_is_refused_wherever_it_stands(beside: Beside, form: str, statement: str) -> None:
    assert beside.refused(form.format(statement))[0] == REFUSED[statement]


@pytest.mark.parametrize(
    "statement",
    [
        "LISTEN a",
        "NOTIFY a",
        "UNLISTEN *",
        "SET work_mem = '5MB'",
        "SET LOCAL search_path = acme",
        "RESET ALL",
        "SHOW work_mem",
        "DISCARD ALL",
        "DEALLOCATE ALL",
        "PREPARE p AS SELECT 1",
        "COPY orders TO STDOUT",
        "EXPLAIN SELECT 1",
        "CREATE TEMP TABLE t (a int)",
        "CREATE TABLE pg_temp.t (a int)",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE FUNCTION g() RETURNS int RETURN 1",
        "ALTER FUNCTION f() STABLE",
        "CREATE SCHEMA s",
        "CREATE EXTENSION hstore",
        "CREATE ROLE r",
        "GRANT SELECT ON orders TO globex_rw",
        "ALTER TABLE orders OWNER TO globex_rw",
        "ALTER TABLE orders SET SCHEMA globex",
        "DROP SCHEMA globex",
        "BEGIN",
        "SAVEPOINT s",
        "LOCK TABLE globex.orders",
        "CREATE TRIGGER t BEFORE INSERT ON documents FOR EACH ROW"
        " EXECUTE FUNCTION tsvector_update_trigger('tsv', 'pg_catalog.english', 'body')",
        "DECLARE c CURSOR FOR SELECT 1",
    ],
)
def test_what_is_a_sessions_or_leaves_the_schema_is_refused(beside: Beside, statement: str) -> None:
    for form in (SQL, PLPGSQL):
        assert beside.refused(form.format(statement))[0] in ("0A000", "42501", "42601", "3F000", "42704", "42P01")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id, note FROM orders WHERE id = 1",
        "SELECT * FROM acme.orders, reference.countries, made_just_now",
        "INSERT INTO notes (id, body) VALUES (1, 'globex.orders') RETURNING id",
        "UPDATE orders SET note = upper(note) WHERE id IN (SELECT order_id FROM order_items)",
        "DELETE FROM orders WHERE id < 0",
        "SELECT order_total(1), acme.order_total(2), made_just_now(3)",
        "SELECT nextval('accounts_id_seq'), nextval('acme.accounts_id_seq'::regclass)",
        "SELECT to_tsvector('english', note) FROM orders",
        "SELECT pg_typeof(1)::text",
        "SELECT current_setting('app.user', true)",
    ],
)
def test_what_stays_in_the_schema_is_sent_as_it_came(beside: Beside, statement: str) -> None:
    for form in (SQL, ATOMIC, PLPGSQL):
        text = form.format(statement)
        assert beside.sent(text) == text


def test_a_body_may_define_what_a_tenant_may(beside: Beside) -> None:
    for one in ("CREATE TABLE t (a int)", "ALTER TABLE orders ADD COLUMN a int", "DROP VIEW open_orders", "CALL p(1)"):
        text = PLPGSQL.format(one)
        assert beside.sent(text) == text


@pytest.mark.parametrize(
    "body",
    [
        "DECLARE x globex.orders; BEGIN NULL; END",
        "DECLARE x globex.orders.id%TYPE; BEGIN NULL; END",
        "DECLARE x globex.orders%ROWTYPE; BEGIN NULL; END",
        "DECLARE x pg_class; BEGIN NULL; END",
        "DECLARE x pg_class%ROWTYPE; BEGIN NULL; END",
        "DECLARE x pg_catalog.pg_type.typinput%TYPE; BEGIN NULL; END",
        "DECLARE x pg_proc.proname%TYPE; BEGIN NULL; END",
        "DECLARE x information_schema.tables; BEGIN NULL; END",
        "DECLARE x text COLLATE globex.thing; BEGIN NULL; END",
        "DECLARE x int DEFAULT globex.f(1); BEGIN NULL; END",
        "DECLARE x regclass; BEGIN NULL; END",
        "DECLARE x regclass[]; BEGIN NULL; END",
        "DECLARE x pg_catalog._regtype; BEGIN NULL; END",
        "DECLARE x aclitem; BEGIN NULL; END",
        "DECLARE c CURSOR (x globex.order_status) FOR SELECT 1; BEGIN NULL; END",
        "DECLARE c CURSOR FOR SELECT * FROM globex.orders; BEGIN NULL; END",
        "DECLARE x int := 1; y numeric(globex.f(1)); BEGIN NULL; END",
        "BEGIN CASE 1 WHEN globex.f(1) THEN NULL; END CASE; END",
        "BEGIN FOR i IN 1..globex.f(1) LOOP NULL; END LOOP; END",
        "DECLARE c refcursor; BEGIN OPEN c(globex.f(1)); END",
        "BEGIN RAISE NOTICE '%', globex.f(1); END",
        "BEGIN x[globex.f(1)] := 1; END",
        "BEGIN ASSERT globex.f(1); END",
        "BEGIN SELECT 1 INTO x FROM globex.orders; END",
        "BEGIN PERFORM 1 INTO x; END",
    ],
)
def test_no_part_of_a_block_leads_out(beside: Beside, body: str) -> None:
    assert beside.refused(f"DO $f$ {body} $f$")[0] in ("0A000", "42601", "3F000", "42P01", "42704")


def test_no_position_is_told_that_is_of_another_text(beside: Beside) -> None:
    for body in ("SELECT globex.f(1)", "SELEC 1"):
        plan = beside.plan(SQL.format(body))
        assert isinstance(plan, Reject)
        assert plan.position is None


def test_a_hole_in_a_piece_is_blank() -> None:
    assert joined("SELECT a INTO b FROM c", ((0, 8), (16, 22))) == "SELECT a        FROM c"
    assert joined("abcdef", ((1, 3),)) == "bc"


def test_the_plan_of_one_body_is_not_anothers(beside: Beside) -> None:
    """A body is a constant of its statement, and what differs in nothing but constants is often planned once."""
    planner = Planner(beside.catalog, 1 << 20)
    for form in (
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT {}'",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$ SELECT {} $$",
        "DO 'BEGIN PERFORM {}; END'",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS E'BEGIN RETURN {}; END'",
        "CREATE FUNCTION f(a int DEFAULT 5) RETURNS bigint RETURN {}",
    ):
        fine, other, wrong = (form.format(one).encode() for one in ("1", "2", "(SELECT count(*) FROM pg_class)"))
        planned = planner.plan(fine, beside.context)
        assert planned.rejection is None
        for extended in (False, True):
            assert planner.lookup(wrong, beside.context, (), extended) is None
        rejection = planner.plan(wrong, beside.context).rejection
        assert rejection is not None
        again = planner.plan(other, beside.context)
        assert isinstance(again.plans[0], Forward)
        assert again.plans[0].template.pieces[0] == other
