"""Code of a tenant's own, made and run by an attacker beside other tenants: what a statement may not do a body may not,
nothing tells another's schema from one that is absent, and no catalog shows more to a function than to a statement.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.compare import Seen, observe
from tests.escapes.run import FOREIGN
from tests.escapes.test_own_schema import ASKING, told
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.schemas import load_schemas, schema_rules

CALLED = "SELECT f()"
FORMS = {
    "sql": ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $w$ ", "; SELECT $w$", CALLED),
    "atomic": ("CREATE FUNCTION f() RETURNS void BEGIN ATOMIC ", "; END", CALLED),
    "caught": (
        "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $w$ BEGIN ",
        "; RETURN 'fine'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || SQLERRM; END $w$",
        CALLED,
    ),
    "query": ("DO $w$ DECLARE r record; BEGIN FOR r IN ", " LOOP RAISE NOTICE '%', r; END LOOP; END $w$", "SELECT 1"),
}
# A name of another's in every other place of a body.
PLACES = (
    "DECLARE x {}.orders; BEGIN NULL; END",
    "DECLARE x {}.orders%ROWTYPE; BEGIN NULL; END",
    "DECLARE x {}.orders.id%TYPE; BEGIN NULL; END",
    "DECLARE x {}.orders[]; BEGIN NULL; END",
    "DECLARE x beside.{}.orders; BEGIN NULL; END",
    "DECLARE {} int; x {}.orders%ROWTYPE; BEGIN NULL; END",
    "DECLARE {} int; BEGIN SELECT count(*) INTO {} FROM {}.orders; END",
    "DECLARE {} record; BEGIN SELECT 1 AS orders INTO {}; PERFORM * FROM {}.orders; END",
    "<<{}>> DECLARE orders int; BEGIN PERFORM * FROM {}.orders; END",
    "DECLARE x text COLLATE {}.thing; BEGIN NULL; END",
    "DECLARE x int := {}.f(); BEGIN NULL; END",
    "DECLARE x numeric({}.f()); BEGIN NULL; END",
    "DECLARE c CURSOR FOR SELECT * FROM {}.orders; BEGIN OPEN c; END",
    "DECLARE c CURSOR (a {}.order_status) FOR SELECT 1; BEGIN OPEN c(NULL); END",
    "DECLARE c CURSOR (a int) FOR SELECT 1; BEGIN OPEN c({}.f()); END",
    "DECLARE c CURSOR (a int) FOR SELECT 1; BEGIN FOR r IN c((SELECT 1 FROM {}.orders)) LOOP NULL; END LOOP; END",
    "DECLARE c refcursor; BEGIN OPEN c FOR SELECT * FROM {}.orders; END",
    "DECLARE c refcursor; BEGIN OPEN c FOR SELECT 1; FETCH RELATIVE {}.f() FROM c INTO c; END",
    "DECLARE x int; BEGIN x := (SELECT count(*) FROM {}.orders); END",
    "DECLARE x int[]; BEGIN x[{}.f()] := 1; END",
    "DECLARE x int; BEGIN SELECT 1 INTO x FROM {}.orders; END",
    "DECLARE orders record; x int; BEGIN SELECT 1 FROM {} INTO x .orders; END",
    "DECLARE x record; BEGIN SELECT 1 AS o INTO x FROM {} /* . */ . /* -- */ orders; END",
    "BEGIN IF EXISTS (SELECT FROM {}.orders) THEN NULL; END IF; END",
    "BEGIN IF false THEN NULL; ELSIF {}.f() THEN NULL; END IF; END",
    "BEGIN CASE WHEN {}.f() THEN NULL; END CASE; END",
    "BEGIN CASE 1 WHEN 2, {}.f() THEN NULL; END CASE; END",
    "BEGIN CASE {}.f() WHEN 1 THEN NULL; END CASE; END",
    "BEGIN WHILE {}.f() LOOP NULL; END LOOP; END",
    "BEGIN LOOP EXIT WHEN {}.f(); END LOOP; END",
    "BEGIN FOR i IN 1..{}.f() LOOP NULL; END LOOP; END",
    "BEGIN FOR i IN {}.f()..2 BY 1 LOOP NULL; END LOOP; END",
    "BEGIN FOR i IN 1..2 BY {}.f() LOOP NULL; END LOOP; END",
    "DECLARE x int; BEGIN FOREACH x IN ARRAY {}.f() LOOP NULL; END LOOP; END",
    "BEGIN RAISE NOTICE '%', {}.f(); END",
    "BEGIN RAISE EXCEPTION USING MESSAGE = {}.f(); END",
    "BEGIN ASSERT {}.f(), 'x'; END",
    "BEGIN ASSERT false, {}.f(); END",
    "BEGIN CALL {}.p(); END",
    "BEGIN CALL purge_cancelled({}.f()); END",
    "BEGIN NULL; EXCEPTION WHEN OTHERS THEN PERFORM {}.f(); END",
    "BEGIN DECLARE y {}.orders; BEGIN NULL; END; END",
    'BEGIN PERFORM * FROM "{}"."orders"; END',
    'BEGIN PERFORM * FROM {}.thing, U&"\\006eobody"."orders"; END',
    "BEGIN PERFORM 1 -- \n, (SELECT count(*) FROM {}.orders); END",
    "BEGIN PERFORM 1 /* /* */ -- */ , (SELECT count(*) FROM {}.orders); END",
    "BEGIN PERFORM $x$ ' $x$, (SELECT count(*) FROM {}.orders), ' '; END",
    "BEGIN PERFORM E'\\'', (SELECT count(*) FROM {}.orders), ' '; END",
    "BEGIN PERFORM 'a' -- '\n 'b', (SELECT count(*) FROM {}.orders); END",
    "DECLARE perform int; BEGIN perform := (SELECT count(*) FROM {}.orders); END",
    "DECLARE execute text; BEGIN NULL; PERFORM {}.f(); END",
    "BEGIN EXECUTE 'SELECT count(*) FROM {}.orders'; END",
    "BEGIN EXECUTE format('SELECT count(*) FROM %I.orders', '{}'); END",
    "DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'SELECT * FROM {}.orders'; END",
    "BEGIN FOR r IN EXECUTE 'SELECT * FROM {}.orders' LOOP NULL; END LOOP; END",
)
DEFINITIONS = (
    "CREATE FUNCTION {}.g() RETURNS int RETURN 1",
    "CREATE FUNCTION g(a {}.orders) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION g(a {}.orders.id%TYPE) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION g(a int DEFAULT {}.f()) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION g() RETURNS {}.order_status LANGUAGE sql AS 'SELECT NULL'",
    "CREATE FUNCTION g() RETURNS TABLE (a {}.order_status) LANGUAGE sql AS 'SELECT NULL'",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql SET search_path = {} AS 'SELECT id FROM orders'; SELECT g()",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql SET role = {}_rw AS 'SELECT 1'",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql SET default_text_search_config = '{}.english' AS 'SELECT 1'",
    "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; ALTER FUNCTION g() SET SCHEMA {}",
    "CREATE FUNCTION g() RETURNS int RETURN 1; ALTER FUNCTION g() OWNER TO {}_rw",
    "CREATE FUNCTION g() RETURNS int RETURN 1; ALTER FUNCTION g() SET search_path TO {}; SELECT g()",
    "ALTER FUNCTION {}.order_total(int) STABLE",
    "DROP ROUTINE {}.order_total(int)",
    "DROP FUNCTION IF EXISTS {}.order_total(int)",
    "COMMENT ON FUNCTION {}.order_total(int) IS 'x'",
    "ALTER FUNCTION order_total({}.order_status) STABLE",
    "CREATE TABLE t (a int CHECK ({}.f(a)))",
    "CREATE DOMAIN d AS int CHECK ({}.f(VALUE))",
)
# Names that are made while the code runs: nobody could look at them, so the code is not made.
MADE = (
    "DECLARE r regclass; BEGIN r := 'globex' || '.orders'; END",
    "DECLARE r regclass[]; BEGIN r := '{glo' || 'bex.orders}'; END",
    "DECLARE r regnamespace := 'glo' || 'bex'; BEGIN NULL; END",
    "DECLARE r pg_catalog.regrole; BEGIN NULL; END",
    "DECLARE r record; BEGIN SELECT 'orders'::regclass AS c INTO r; r.c := 'glo' || 'bex.orders'; END",
    "DECLARE r record; BEGIN SELECT pg_typeof(1) AS c INTO r; r.c := 'glo' || 'bex.orders'; END",
    "DECLARE r record; BEGIN SELECT array_agg('orders'::regclass) AS c INTO r; r.c := '{glo' || 'bex.orders}'; END",
    "DECLARE r record; BEGIN FOR r IN SELECT 'orders'::regclass AS c LOOP r.c := 'glo' || 'bex.o'; END LOOP; END",
    "DECLARE r record; BEGIN r := ROW('orders'::regclass); r.f1 := 'glo' || 'bex.orders'; END",
    "DECLARE r pg_class; BEGIN r.reltype := 1; END",
    "DECLARE r pg_type%ROWTYPE; BEGIN r.typinput := 'glo' || 'bex.f'; END",
    "DECLARE r pg_type.typinput%TYPE; BEGIN r := 'glo' || 'bex.f'; END",
    "DECLARE r record; BEGIN SELECT typinput INTO r FROM pg_type; END",
    "BEGIN PERFORM ('glo' || 'bex.orders')::regclass; END",
    "DECLARE x text := 'glo' || 'bex.orders'; BEGIN PERFORM x::regclass; END",
    "DECLARE x text; BEGIN PERFORM to_regclass(x); END",
    "DECLARE x text; BEGIN PERFORM x::name::regtype; END",
    "DECLARE x text; BEGIN PERFORM to_tsvector(x, 'a'); END",
    "DECLARE x text; BEGIN PERFORM ts_lexize(x, 'a'); END",
    "DECLARE x text; BEGIN PERFORM ts_parse(x, 'a'); END",
    "DECLARE x text; BEGIN PERFORM nextval(x); END",
    "DECLARE x text; BEGIN PERFORM pg_relation_size(x); END",
    "DECLARE x text; BEGIN PERFORM has_table_privilege(x, 'SELECT'); END",
    "DECLARE x text; BEGIN PERFORM pg_get_serial_sequence(x, 'id'); END",
    "DECLARE x int; BEGIN PERFORM pg_get_viewdef(x); END",
    "DECLARE x oid; BEGIN PERFORM pg_get_viewdef(x); END",
    "DECLARE x oid; BEGIN PERFORM pg_get_functiondef(x); END",
    "DECLARE x oid; BEGIN PERFORM pg_get_userbyid(x); END",
    "DECLARE x oid; BEGIN PERFORM x::regclass; END",
    "DECLARE x oid; BEGIN PERFORM format_type(x, NULL); END",
    "DECLARE x oid; BEGIN PERFORM obj_description(x, 'pg_class'); END",
    "DECLARE x json; BEGIN PERFORM json_populate_record(NULL::pg_type, x); END",
    "DECLARE x json; BEGIN PERFORM * FROM json_to_record(x) AS t(a regclass); END",
    "DECLARE x text; BEGIN PERFORM set_config('search_path', x, false); END",
    "DECLARE x text; BEGIN PERFORM current_setting(x); END",
    "DECLARE x aclitem; BEGIN x := 'glo' || 'bex_rw=r/acme_rw'; END",
)
SIGNATURES = (
    "CREATE FUNCTION g(a regclass) RETURNS text LANGUAGE sql AS 'SELECT a::text'",
    "CREATE FUNCTION g(a text) RETURNS regclass LANGUAGE plpgsql AS 'BEGIN RETURN a; END'",
    "CREATE FUNCTION g(a text) RETURNS SETOF regtype LANGUAGE plpgsql AS 'BEGIN RETURN NEXT a; END'",
    "CREATE FUNCTION g(a text, OUT b regproc) LANGUAGE plpgsql AS 'BEGIN b := a; END'",
    "CREATE FUNCTION g(a text) RETURNS TABLE (b regrole) LANGUAGE plpgsql AS 'BEGIN b := a; END'",
    "CREATE FUNCTION g(a anyelement) RETURNS anyelement LANGUAGE plpgsql AS 'BEGIN RETURN ''x'' || ''y''; END'",
    "CREATE FUNCTION g(a anyarray) RETURNS int LANGUAGE plpgsql AS 'DECLARE x a%TYPE; BEGIN RETURN 1; END'",
    "CREATE FUNCTION g(a record) RETURNS int LANGUAGE plpgsql AS 'BEGIN a.f1 := ''x''; RETURN 1; END'",
    "CREATE FUNCTION g(a \"any\") RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    "CREATE FUNCTION g(a pg_type) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    "CREATE FUNCTION g() RETURNS SETOF pg_roles LANGUAGE sql AS 'SELECT NULL'",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
    "CREATE FUNCTION g() RETURNS int LANGUAGE internal AS 'pg_backend_pid'",
    "CREATE FUNCTION g() RETURNS int LANGUAGE c AS 'libc', 'system'",
    "CREATE FUNCTION g() RETURNS int LANGUAGE plpython3u AS 'x'",
    "CREATE FUNCTION pg_temp.g() RETURNS int RETURN 1",
    "CREATE FUNCTION pg_catalog.g() RETURNS int RETURN 1",
    "CREATE AGGREGATE g(int) (SFUNC = int4pl, STYPE = int)",
    "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
    "CREATE CAST (text AS regclass) WITH INOUT AS IMPLICIT",
    "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION g()",
    "CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION f(internal))",
)
# What a session owns, or a server: code must not take it away from the proxy.
TAKING = (
    "SET search_path = public", "SET LOCAL row_security = off", "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "RESET ALL", "RESET ROLE", "DISCARD ALL", "DISCARD TEMP", "DEALLOCATE ALL", "PREPARE p AS SELECT 1", "LISTEN x",
    "UNLISTEN *", "NOTIFY x", "PERFORM pg_notify('x', 'y')", "PERFORM pg_advisory_lock(1)",
    "PERFORM pg_try_advisory_xact_lock(1)", "PERFORM pg_advisory_unlock_all()", "PERFORM setseed(0.1)",
    "PERFORM set_config('a.b', 'c', false)", "PERFORM set_config('search_path', 'public', true)",
    "PERFORM lo_create(0)", "PERFORM lo_import('/etc/passwd')", "PERFORM pg_read_file('/etc/passwd')",
    "PERFORM pg_terminate_backend(1)", "PERFORM pg_cancel_backend(1)", "PERFORM pg_backend_pid()",
    "PERFORM txid_current()", "PERFORM pg_export_snapshot()", "PERFORM dblink('x', 'y')",
    "PERFORM query_to_xml('SELECT 1', true, true, '')", "PERFORM ts_stat('SELECT 1')",
    "PERFORM * FROM pg_stat_activity", "PERFORM * FROM pg_locks", "PERFORM * FROM pg_settings",
    "UPDATE pg_settings SET setting = 'off' WHERE name = 'row_security'", "PERFORM * FROM pg_stats",
    "COPY orders TO '/tmp/x'", "COPY orders FROM PROGRAM 'x'", "COPY orders TO STDOUT", "LOAD 'x'", "CHECKPOINT",
    "CREATE TEMP TABLE x (a int)", "CREATE TABLE pg_temp.x (a int)", "CREATE SCHEMA x", "CREATE ROLE x",
    "ALTER ROLE acme_rw SET search_path = x", "ALTER SYSTEM SET work_mem = 1", "GRANT SELECT ON orders TO PUBLIC",
    "PREPARE TRANSACTION 'x'", "SET TRANSACTION SNAPSHOT 'x'", "DO 'BEGIN END'",
    "CREATE FUNCTION h() RETURNS int RETURN 1", "CREATE OR REPLACE PROCEDURE h() BEGIN ATOMIC SELECT 1",
    "PERFORM ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery')",
    "PERFORM cursor_to_xml('c', 1, true, true, '')",
    "PERFORM current_query()", "PERFORM inet_server_addr()", "PERFORM pg_current_wal_lsn()",
)  # fmt: skip


@pytest.fixture(scope="module")
def beside(server: Cluster) -> Cluster:
    return load_schemas(server)


@pytest.fixture(scope="module")
def proxy(beside: Cluster) -> Iterator[Proxy]:
    with running_proxy(beside.port, rules=schema_rules(beside.port, "beside")) as proxy:
        yield proxy


def answers(client: RawClient, text: str, then: str, schema: str) -> list[Seen]:
    client.simple("BEGIN")
    found = observe(client.simple(text), ordered=True)
    found += observe(client.simple(then), ordered=True)
    client.simple("ROLLBACK")
    return told(found, schema)


def compared(proxy: Proxy, texts: dict[str, tuple[str, str]]) -> dict[str, object]:
    """What is answered differently where another tenant's schema stands than where none does, or shows a byte of it."""
    wrong: dict[str, object] = {}
    with proxy.connect("acme_app") as client:
        for name, (text, then) in texts.items():
            there, absent = (answers(client, text.replace("nobody", one), then, one) for one in ("globex", "nobody"))
            bug = any("XX000" in one for one in (*there, *absent))
            if there != absent or bug or any(b"globex" in repr(one).encode() for one in there):
                wrong[name] = (there, absent)
    return wrong


@pytest.mark.parametrize("form", FORMS)
def test_a_body_tells_of_another_schema_by_nothing(proxy: Proxy, form: str) -> None:
    before, behind, then = FORMS[form]
    filled = {one: one.format(*["nobody"] * 4) for one in ASKING}
    if form == "caught":
        filled = {one: text.replace("SELECT", "PERFORM", 1) if text.startswith("SELECT") else text
                  for one, text in filled.items()}  # fmt: skip
    assert compared(proxy, {one: (before + text + behind, then) for one, text in filled.items()}) == {}


def test_nor_does_any_other_place_of_a_body_or_a_definition(proxy: Proxy) -> None:
    texts = {one: (f"DO $w$ {one.format(*['nobody'] * 4)} $w$", "SELECT 1") for one in PLACES}
    texts |= {one: (one.format(*["nobody"] * 4), "SELECT 1") for one in DEFINITIONS}
    assert compared(proxy, texts) == {}


@pytest.mark.parametrize("statement", MADE)
def test_code_that_would_make_a_name_is_not_made(proxy: Proxy, statement: str) -> None:
    with proxy.connect("acme_app") as client:
        for text in (
            f"DO $w$ {statement} $w$",
            f"CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS $w$ {statement} $w$",
        ):
            (error,) = client.simple(text).errors
            assert error["C"] in ("0A000", "42501", "42P01", "42883"), error
            assert "bex" not in error["M"]
        assert client.simple("SELECT g()").errors[0]["C"] == "42883"


@pytest.mark.parametrize("text", SIGNATURES)
def test_nor_is_a_function_that_could_at_a_call(proxy: Proxy, text: str) -> None:
    with proxy.connect("acme_app") as client:
        (error,) = client.simple(text).errors
        assert error["C"] in ("0A000", "42501", "42704", "3F000", "42883"), error


@pytest.mark.parametrize("statement", TAKING)
def test_code_takes_nothing_from_the_session_or_the_server(proxy: Proxy, statement: str) -> None:
    with proxy.connect("acme_app") as client:
        client.simple("BEGIN")
        client.simple("SAVEPOINT s")
        for body in (
            f"BEGIN {statement}; END",
            f"BEGIN IF true THEN {statement} ; END IF; EXCEPTION WHEN OTHERS THEN NULL; END",
        ):
            errors = client.simple(f"DO $w$ {body} $w$").errors
            assert errors, statement
            assert errors[0]["C"] in ("0A000", "42501", "42601", "42704", "42P01", "42883"), errors
            client.simple("ROLLBACK TO s")
        if not statement.startswith(("PERFORM", "PREPARE")):
            told_by = client.simple(f"CREATE FUNCTION g() RETURNS void LANGUAGE sql AS $w$ {statement} $w$")
            assert told_by.errors, statement
        client.simple("ROLLBACK")


LEAK = """
CREATE FUNCTION leak(a text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0000001 AS $w$
BEGIN RAISE NOTICE 'leak %', a; RETURN true; END $w$
"""


def test_no_catalog_shows_a_function_more_than_a_statement(beside: Cluster, proxy: Proxy) -> None:
    """However cheap it is, it runs above the filter."""
    every = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    every += " WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v')"
    shown = 0
    with proxy.connect("acme_app") as client:
        client.simple("BEGIN")
        assert client.simple(LEAK).errors == []
        for relation in beside.psql("beside", every).split():
            client.simple("SAVEPOINT s")
            exchange = client.simple(f"SELECT count(*) FROM {relation} t WHERE leak(t::text)")
            notices = [one.body for one in exchange.messages if one.tag == "N"]
            shown += len(notices)
            assert [one for one in notices if FOREIGN.search(one) or b"globex" in one] == [], relation
            client.simple("ROLLBACK TO s")
        client.simple("ROLLBACK")
    assert shown > 1000


def test_a_login_that_only_reads_makes_and_runs_no_code(proxy: Proxy) -> None:
    with proxy.connect("acme_ro") as client:
        for text in ("DO 'BEGIN END'", "CREATE FUNCTION g() RETURNS int RETURN 1", "CALL purge_cancelled()"):
            assert client.simple(text).errors[0]["C"] == "25006"


WRITER = (
    "CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS"
    " $$ BEGIN INSERT INTO notes (id, body) VALUES (7777, 'x'); RETURN 1; END $$",
    "CREATE FUNCTION insists() RETURNS int LANGUAGE plpgsql SET transaction_read_only = off AS"
    " $$ BEGIN INSERT INTO notes (id, body) VALUES (7778, 'x'); RETURN 1; END $$",
    "CREATE VIEW written AS SELECT writes() AS w",
    "CREATE FUNCTION numbered() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('accounts_id_seq') $$",
)
UNMADE = ("DROP VIEW written", "DROP FUNCTION writes(), numbered()", "DROP FUNCTION IF EXISTS insists()")
LOOSENING = (
    "SET default_transaction_read_only = off", "SET transaction_read_only = 0", "BEGIN READ WRITE",
    "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE", "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "RESET default_transaction_read_only",
    "SET default_transaction_read_only TO DEFAULT", "SET LOCAL transaction_read_only TO 'off'",
    "SELECT set_config('transaction_read_only', 'off', true)", "COMMIT AND CHAIN", "RESET ALL", "DISCARD ALL",
    "SELECT set_config('default_transaction_read_only', 'off', false)",
)  # fmt: skip


def test_a_login_that_only_reads_writes_by_no_function_either(beside: Cluster, proxy: Proxy) -> None:
    count = "SELECT count(*) FROM acme.notes WHERE id IN (7777, 7778)"
    with proxy.connect("acme_app") as client:
        for text in WRITER:  # 18 does not keep a function that sets this
            assert [one["C"] for one in client.simple(text).errors] in ([], ["0A000"] if "insists" in text else [])
    try:
        with proxy.connect("acme_ro", options="-c default_transaction_read_only=off") as reader:
            for call in ("SELECT writes()", "SELECT insists()", "SELECT * FROM written", "SELECT numbered()"):
                for text in (call, f"BEGIN; {call}", f"ROLLBACK; {call}", f"COMMIT; {call}"):
                    assert reader.simple(text).errors[0]["C"] in ("25006", "25001", "42883"), text
                    reader.simple("ROLLBACK")
                for loosening in LOOSENING:
                    for text in (f"{loosening}; {call}", f"BEGIN; {loosening}; COMMIT; {call}", loosening, call):
                        told_by = reader.simple(text).errors
                        assert told_by or text == loosening, text
                    reader.simple("ROLLBACK")
                    reader.send("Q", f"{loosening}\0".encode())  # and without waiting for the answer
                    reader.send("Q", f"{call}\0".encode())
                    reader.collect()
                    assert reader.collect().errors != []
                    reader.simple("ROLLBACK")
            assert reader.simple("SHOW transaction_read_only").rows == [(b"on",)]
            assert reader.simple("SELECT count(*) FROM orders").errors == []
            with proxy.connect("acme_app") as writer:
                assert writer.simple("SHOW transaction_read_only").rows == [(b"off",)]
        assert beside.psql("beside", count).strip() == "0"
    finally:
        with proxy.connect("acme_app") as client:
            for text in UNMADE:
                client.simple(text)


def test_an_error_that_code_makes_up_is_the_clients_alone(proxy: Proxy) -> None:
    """States that the proxy takes for news of its server connections, when they come from the server."""
    with proxy.connect("acme_app") as client, proxy.connect("globex_app") as other:
        for state in (
            "57P01",
            "57P02",
            "57P03",
            "53300",
            "08006",
            "26000",
            "0A000",
            "25P02",
            "40001",
            "XX000",
            "28P01",
        ):
            made = f"RAISE EXCEPTION 'cached plan must not change result type' USING ERRCODE = '{state}'"
            exchange = client.simple(f"DO $w$ BEGIN {made}; END $w$")
            assert exchange.errors[0]["C"] == state
            assert exchange.status == "I"
            assert client.simple("SELECT 1").rows == [(b"1",)]
            assert other.simple("SELECT 1").rows == [(b"1",)]
