"""Which functions a tenant may make, besides what their bodies say."""

from __future__ import annotations

import pytest

from proxy.sql.naming import is_naming, types_in
from proxy.sql.plan import UNTRACKED, Forward, StatementKind
from tests.kit.schemas import Beside
from tests.sql.worlds import one_statement


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("CREATE FUNCTION f() RETURNS int AS 'SELECT 1'", "42P13"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'library', 'name'", "42501"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'pg_backend_pid'", "42501"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'return 1'", "42501"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE plperl AS 'return 1'", "42501"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE 'SQL' AS 'SELECT 1'", "42501"),
        ("DO LANGUAGE plperl 'x'", "42501"),
        ("DO LANGUAGE sql 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SUPPORT array_subscript_handler AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql TRANSFORM FOR TYPE int AS 'SELECT 1'", "0A000"),
        ("ALTER FUNCTION order_total(int) SECURITY DEFINER", "0A000"),
        ("ALTER FUNCTION order_total(int) SUPPORT array_subscript_handler", "0A000"),
        ("ALTER FUNCTION order_total(int) SET row_security = off", "42501"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET role = acme_rw AS 'SELECT 1'", "42501"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET session_authorization = x AS 'SELECT 1'", "42501"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET standard_conforming_strings = off AS 'SELECT 1'", "42501"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET client_min_messages = debug5 AS 'SELECT 1'", "42501"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET work_mem FROM CURRENT AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = acme, pg_catalog AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = pg_temp AS 'SELECT 1'", "0A000"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET default_text_search_config = 'globex.a' AS 'SELECT 1'",
            "0A000",
        ),
        ("CREATE FUNCTION f(a regclass) RETURNS int LANGUAGE sql AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f(a _regclass) RETURNS int LANGUAGE sql AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f(a pg_catalog.regtype[]) RETURNS int LANGUAGE sql AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f() RETURNS regrole LANGUAGE sql AS 'SELECT NULL'", "0A000"),
        ("CREATE FUNCTION f(OUT a aclitem) LANGUAGE sql AS 'SELECT NULL'", "0A000"),
        ("CREATE FUNCTION f() RETURNS TABLE (a regconfig) LANGUAGE sql AS 'SELECT NULL'", "0A000"),
        ("CREATE FUNCTION f(a anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT a'", "0A000"),
        ("CREATE FUNCTION f(a record) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'", "0A000"),
        ("CREATE FUNCTION f(a pg_class) RETURNS int LANGUAGE sql AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f() RETURNS SETOF pg_catalog.pg_type LANGUAGE sql AS 'SELECT NULL'", "0A000"),
        ("CREATE FUNCTION f(a pg_type.typinput%TYPE) RETURNS int LANGUAGE sql AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f(a int DEFAULT pg_backend_pid()) RETURNS int LANGUAGE sql AS 'SELECT 1'", "0A000"),
        ("CREATE FUNCTION f(a int DEFAULT lo_create(0)) RETURNS int LANGUAGE sql AS 'SELECT 1'", "42501"),
        ("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "3F000"),
        ("CREATE FUNCTION globex.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "3F000"),
        ("ALTER FUNCTION f() SET SCHEMA globex", "3F000"),
        ("ALTER FUNCTION f() OWNER TO globex_rw", "42704"),
        ("ALTER FUNCTION f() DEPENDS ON EXTENSION plpgsql", "42501"),
    ],
)
def test_what_leads_out_or_is_not_known_is_refused(beside: Beside, text: str, sqlstate: str) -> None:
    assert beside.refused(text)[0] == sqlstate


@pytest.mark.parametrize(
    "text",
    [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION acme.f(a int, VARIADIC b acme.order_status[]) RETURNS SETOF record"
        " LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE COST 5 ROWS 7 SECURITY INVOKER"
        " SET search_path = 'acme', 'reference' SET work_mem = '5MB' AS 'BEGIN RETURN NEXT; END'",
        "CREATE PROCEDURE p(INOUT a int DEFAULT 1 + 1) LANGUAGE plpgsql AS 'BEGIN COMMIT; END'",
        "CREATE FUNCTION f(a int) RETURNS TABLE (x int, y acme.addr) LANGUAGE sql AS 'SELECT 1, NULL::acme.addr'",
        "CREATE FUNCTION f() RETURNS int RETURN 1 + 1",
        "CREATE FUNCTION f() RETURNS SETOF orders BEGIN ATOMIC SELECT * FROM orders; SELECT * FROM acme.orders; END",
        "CREATE FUNCTION f(a orders) RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "ALTER FUNCTION order_total(int) STABLE",
        "ALTER FUNCTION acme.order_total(int) SET search_path TO acme RESET work_mem",
        "ALTER FUNCTION order_total(int) RESET ALL",
        "ALTER ROUTINE order_total(int) RENAME TO total",
        "ALTER PROCEDURE purge_cancelled() OWNER TO acme_rw",
        "DROP FUNCTION IF EXISTS f(int), acme.order_total(int) CASCADE",
        "DROP PROCEDURE purge_cancelled",
        "COMMENT ON FUNCTION order_total(int) IS 'x'",
    ],
)
def test_what_stays_in_the_schema_is_sent_as_it_came(beside: Beside, text: str) -> None:
    assert beside.sent(text) == text


def test_code_keeps_its_connection_and_so_does_what_makes_some(beside: Beside, reading: Beside) -> None:
    for text, kind in (
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", StatementKind.DDL),
        ("DO $$ BEGIN NULL; END $$", StatementKind.OTHER),
    ):
        plan = beside.plan(text)
        assert isinstance(plan, Forward)
        assert (plan.kind, plan.effects.pins, plan.effects.writes) == (kind, UNTRACKED, True)
        assert reading.refused(text)[0] == "25006"


def test_types_are_found_wherever_they_stand_and_known_by_their_schema(beside: Beside) -> None:
    tree = one_statement(beside.world, "CREATE FUNCTION f(a x, OUT b y[]) RETURNS z RETURN 1::w").tree
    assert sorted(one["names"][0]["String"]["sval"] for one in types_in(tree)) == ["w", "x", "y", "z"]
    assert is_naming(["_regclass"])
    assert is_naming(["pg_catalog", "aclitem"])
    assert not is_naming(["acme", "regclass"])
    assert not is_naming(["region"])
