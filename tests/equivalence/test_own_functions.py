"""Functions, procedures, triggers and blocks of a tenant's own answer as in a database that holds its schema alone: how
they are made, what they give, what they say, and what they leave.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.test_transaction_pooling import say
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.schemas import load_schemas, schema_rules

STORIES = {
    "functions in sql": (
        "CREATE FUNCTION total(c int) RETURNS numeric LANGUAGE sql STABLE AS"
        " $$ SELECT sum(amount) FROM orders WHERE customer_id = c $$",
        "SELECT total(1), acme.total(2)",
        "SELECT c.id, total(c.id) FROM customers c WHERE total(c.id) > 0 ORDER BY c.id LIMIT 3",
        "CREATE OR REPLACE FUNCTION total(c int) RETURNS numeric LANGUAGE sql AS 'SELECT 1; SELECT 2.5'",
        "SELECT total(1)",
        "CREATE FUNCTION pairs(n int, OUT a int, OUT b text) RETURNS SETOF record LANGUAGE sql AS"
        " $$ SELECT id, note FROM acme.orders WHERE id <= n ORDER BY id $$",
        "SELECT * FROM pairs(3)",
        "SELECT (pairs(2)).b",
        "CREATE FUNCTION named(a int, b int DEFAULT 5, VARIADIC c int[] DEFAULT '{}') RETURNS int RETURN a + b",
        "SELECT named(1), named(1, 2, 3), named(b => 7, a => 1)",
        "CREATE FUNCTION listed() RETURNS TABLE (code text, n bigint) BEGIN ATOMIC"
        " SELECT c.code, count(*) FROM reference.countries c GROUP BY c.code ORDER BY c.code; END",
        "SELECT * FROM listed()",
        "CREATE FUNCTION wrong() RETURNS int LANGUAGE sql AS 'SELECT nothing FROM orders'",
        "CREATE FUNCTION wrong() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM nothing'",
        "SELECT wrong()",
        "DROP FUNCTION total(int)",
        "SELECT total(1)",
        "DROP FUNCTION total(int)",
        "DROP FUNCTION IF EXISTS total(int)",
    ),
    "functions in plpgsql": (
        "CREATE FUNCTION f(a int) RETURNS text LANGUAGE plpgsql AS $$\n"
        "<<whole>>\nDECLARE\n  n int := 0; t orders.note%TYPE; r acme.orders%ROWTYPE; c CURSOR (k int) FOR"
        " SELECT id FROM orders WHERE id > k ORDER BY id;\n"
        "BEGIN\n  -- nothing; to see\n  SELECT note INTO t FROM orders WHERE id = a;\n"
        "  FOR r IN SELECT * FROM orders WHERE id < 4 ORDER BY id LOOP n := n + r.id; CONTINUE WHEN n = 2; END LOOP;\n"
        "  FOR i IN REVERSE 3..1 LOOP whole.n := n + i; END LOOP;\n"
        "  FOR k IN c(3) LOOP n := n + 1; EXIT WHEN n > 20; END LOOP;\n"
        "  CASE WHEN n > 10 THEN t := t || '!'; ELSE t := 'less'; END CASE;\n"
        "  IF NOT FOUND THEN RAISE NOTICE 'none %', a; ELSIF n = 1 THEN RETURN NULL; END IF;\n"
        "  RAISE NOTICE 'n is % of %', n, t USING HINT = 'as said';\n"
        "  BEGIN\n    PERFORM 1 / (a - 1);\n  EXCEPTION WHEN division_by_zero OR SQLSTATE '22023' THEN"
        " GET STACKED DIAGNOSTICS t = MESSAGE_TEXT; END;\n"
        "  RETURN format('%s %s %s', a, n, t);\nEND $$",
        "SELECT f(1), f(2)",
        "SELECT f(999)",
        "CREATE FUNCTION many() RETURNS SETOF orders LANGUAGE plpgsql AS $$ BEGIN"
        " RETURN QUERY SELECT * FROM orders WHERE id = 1; RETURN QUERY DELETE FROM orders WHERE id < 0 RETURNING *;"
        " RETURN; END $$",
        "SELECT id, note FROM many()",
        "CREATE FUNCTION bad() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN nothing; END $$",
        "SELECT bad()",
        "CREATE FUNCTION bad2() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM * FROM nowhere; END $$",
        "SELECT bad2()",
        "CREATE FUNCTION bad3() RETURNS int LANGUAGE plpgsql AS $$ DECLARE x nowhere; BEGIN RETURN 1; END $$",
        "CREATE FUNCTION bad4() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'mine' USING"
        " ERRCODE = 'P7777', DETAIL = 'of it', HINT = 'do', COLUMN = 'c', TABLE = 't', SCHEMA = 's'; END $$",
        "SELECT bad4()",
        "SELECT 1",
    ),
    "triggers": (
        "CREATE TABLE kept (id int PRIMARY KEY, note text, at timestamptz)",
        "CREATE TABLE log (what text, id int, was text)",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n"
        "  IF TG_OP = 'DELETE' THEN INSERT INTO log VALUES (TG_OP, OLD.id, OLD.note); RETURN OLD; END IF;\n"
        "  INSERT INTO log VALUES (TG_OP || TG_ARGV[0], NEW.id, NEW.note);\n"
        "  NEW.note := upper(NEW.note); NEW.at = '2020-01-01 00:00+00';\n"
        "  IF TG_OP = 'UPDATE' AND OLD.note IS DISTINCT FROM NEW.note THEN RAISE NOTICE 'changed %', NEW.id; END IF;\n"
        "  RETURN NEW; END $$",
        "CREATE TRIGGER keep BEFORE INSERT OR UPDATE OR DELETE ON kept FOR EACH ROW EXECUTE FUNCTION keep('!')",
        "INSERT INTO kept VALUES (1, 'a'), (2, 'b') RETURNING id, note",
        "UPDATE kept SET note = 'c' WHERE id = 1 RETURNING note",
        "DELETE FROM kept WHERE id = 2",
        "SELECT * FROM log ORDER BY id, what",
        "ALTER TABLE kept DISABLE TRIGGER keep",
        "DROP FUNCTION keep()",
        "DROP FUNCTION keep() CASCADE",
        "DROP TABLE kept, log",
    ),
    "procedures and blocks": (
        "CREATE TABLE steps (n int)",
        "CREATE PROCEDURE step(n int, INOUT done int DEFAULT 0) LANGUAGE plpgsql AS $$ BEGIN"
        " FOR i IN 1..n LOOP INSERT INTO steps VALUES (i); IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP;"
        " done := n; END $$",
        "CALL step(4)",
        "SELECT * FROM steps ORDER BY n",
        "BEGIN",
        "CALL step(1)",
        "ROLLBACK",
        "CREATE PROCEDURE plain(INOUT a int) LANGUAGE sql AS 'INSERT INTO steps VALUES (a); SELECT a + 1'",
        "CALL plain(41)",
        "DO $$ DECLARE x int; BEGIN CALL plain(x); RAISE NOTICE 'x %', x; END $$",
        "DO $$ BEGIN RAISE NOTICE 'here'; RAISE WARNING 'and %', current_schema(); END $$",
        "DO 'BEGIN PERFORM 1 / 0; END'",
        "DO LANGUAGE plpgsql $$ BEGIN CREATE TABLE made (a int); INSERT INTO made SELECT generate_series(1, 3); END $$",
        "SELECT sum(a) FROM made",
        "DO $$ BEGIN INSERT INTO steps VALUES (100); COMMIT; INSERT INTO steps VALUES (101); ROLLBACK; END $$",
        "SELECT max(n) FROM steps",
        "DROP PROCEDURE step",
        "DROP ROUTINE plain(int)",
        "DROP TABLE steps, made",
    ),
    "what calls code": (
        "CREATE FUNCTION even(a int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN a % 2 = 0; END'",
        "CREATE DOMAIN two AS int CHECK (even(VALUE))",
        "SELECT 2::two",
        "SELECT 3::two",
        "CREATE TABLE twos (a two, b int GENERATED ALWAYS AS (a + 1) STORED, c int CHECK (even(c)))",
        "INSERT INTO twos (a, c) VALUES (4, 6)",
        "INSERT INTO twos (a, c) VALUES (4, 7)",
        "CREATE INDEX ON twos (even(c))",
        "CREATE VIEW evens AS SELECT id FROM orders WHERE even(id)",
        "SELECT count(*) FROM evens",
        "CREATE FUNCTION next_one() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('accounts_id_seq') $$",
        "CREATE TABLE numbered (id bigint DEFAULT next_one())",
        "INSERT INTO numbered DEFAULT VALUES",
        "SELECT count(*) FROM numbered",
        "SELECT pg_get_functiondef('even'::regproc)",
        "SELECT proname, prosrc, provolatile FROM pg_proc WHERE proname = 'even'",
        "SELECT routine_name FROM information_schema.routines WHERE routine_name = 'even'",
        "DROP FUNCTION even(int)",
    ),
    "a cursor that is returned": (
        "CREATE FUNCTION opened(c refcursor) RETURNS refcursor LANGUAGE plpgsql AS"
        " $$ BEGIN OPEN c FOR SELECT id FROM orders ORDER BY id; RETURN c; END $$",
        "BEGIN",
        "SELECT opened('mine')",
        "FETCH 2 FROM mine",
        "COMMIT",
        "FETCH 2 FROM mine",
    ),
    "attributes": (
        "CREATE FUNCTION g(a int) RETURNS int STRICT IMMUTABLE PARALLEL SAFE COST 7 LANGUAGE sql"
        " SET search_path = acme, reference SET work_mem = '5MB' AS 'SELECT a'",
        "SELECT g(NULL), g(2)",
        "SELECT current_setting('work_mem') = '5MB'",
        "ALTER FUNCTION g(int) VOLATILE CALLED ON NULL INPUT RESET work_mem",
        "ALTER FUNCTION g(int) SET datestyle = 'sql, dmy'",
        "ALTER FUNCTION g(int) RENAME TO h",
        "ALTER FUNCTION h(int) OWNER TO acme_rw",
        "ALTER FUNCTION h(int) SET SCHEMA acme",
        "COMMENT ON FUNCTION h(int) IS 'of mine'",
        "SELECT obj_description(oid, 'pg_proc'), proconfig FROM pg_proc WHERE proname = 'h'",
        "SELECT h(1)",
        "SHOW datestyle",
        "DROP FUNCTION h",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def databases(server: Cluster) -> Iterator[None]:
    load_schemas(server)
    server.create_database("beside_code", "template_beside")
    server.create_database("apart_code", "template_apart1")
    yield
    server.drop_database("beside_code")
    server.drop_database("apart_code")


@pytest.fixture
def proxy(server: Cluster, databases: None) -> Iterator[Proxy]:
    with running_proxy(server.port, rules=schema_rules(server.port, "beside_code")) as proxy:
        yield proxy


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_every_story_is_told_as_in_a_database_of_that_schema_alone(
    server: Cluster, proxy: Proxy, protocol: str
) -> None:
    wrong = {}
    for name, story in STORIES.items():
        private = RawClient("127.0.0.1", server.port, "acme_rw", "apart_code", options="-c search_path=acme,reference")
        told = []
        for client in (private, proxy.connect("acme_app")):
            with client:
                told.append([say(client, one, protocol) for one in story])
                clear(client)
        differ = [one for one in zip(story, *told, strict=True) if one[1] != one[2]]
        if differ:
            wrong[name] = differ
    assert wrong == {}


def clear(client: RawClient) -> None:
    """Away with what a story has left, so that it can be told by the other protocol."""
    for one in (
        "FUNCTION pairs", "FUNCTION named", "FUNCTION listed", "FUNCTION f", "FUNCTION many", "FUNCTION bad",
        "FUNCTION bad2", "FUNCTION bad4", "TABLE twos", "TABLE numbered", "VIEW evens", "DOMAIN two", "FUNCTION even",
        "FUNCTION next_one", "FUNCTION opened",
    ):  # fmt: skip
        client.simple(f"DROP {one}")


def test_two_tenants_have_functions_of_one_name(server: Cluster, proxy: Proxy) -> None:
    with proxy.connect("acme_app") as acme, proxy.connect("globex_app") as globex:
        for client, schema in ((acme, "acme"), (globex, "globex")):
            text = f"CREATE FUNCTION whose() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN '{schema}'; END $$"
            assert client.simple(text).errors == []
        assert acme.simple("SELECT whose()").rows == [(b"acme",)]
        assert globex.simple("SELECT whose()").rows == [(b"globex",)]
        assert acme.simple("SELECT globex.whose()").errors[0]["C"] == "3F000"
        for client in (acme, globex):
            assert client.simple("DROP FUNCTION whose()").errors == []


def test_what_code_leaves_in_a_session_meets_no_other(server: Cluster, proxy: Proxy) -> None:
    """A setting that a function's caller never asked for, a cursor, a number drawn: the connection stays with it."""
    with proxy.connect("acme_app") as client:
        client.simple("CREATE FUNCTION drawn() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('accounts_id_seq') $$")
        client.simple("SELECT drawn()")
        drawn = client.simple("SELECT currval('accounts_id_seq') IS NOT NULL, lastval() IS NOT NULL")
        assert drawn.rows == [(b"t", b"t")]
        for _ in range(5):
            with proxy.connect("acme_app") as other:
                assert other.simple("SELECT lastval()").errors[0]["C"] == "55000"
        client.simple("DROP FUNCTION drawn()")
    with proxy.connect("acme_app") as other:
        assert other.simple("SELECT lastval()").errors[0]["C"] == "55000"
