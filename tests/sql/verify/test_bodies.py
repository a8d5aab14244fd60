"""The verifier believes nobody where the SQL of a body stands."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.verify.bodies import check_inside, statements_of
from proxy.sql.verify.definitions import verify_definition
from proxy.sql.verify.levels import Unproven
from tests.kit.postgres import Cluster
from tests.kit.schemas import Beside, beside_of
from tests.sql.worlds import one_statement


@pytest.fixture
def beside(server: Cluster) -> Beside:
    return beside_of(server)


BODY = "DECLARE r record; BEGIN SELECT note INTO r.a FROM orders; RETURN r.a; END"
TEXT = f"CREATE FUNCTION f(p text) RETURNS text LANGUAGE plpgsql AS $f$ {BODY} $f$"
BEGIN = 1 + BODY.index("SELECT")
TYPE = ("type", ((1 + BODY.index("record"), 1 + BODY.index(";")),))
QUERY = ("statement", ((BEGIN, BEGIN + 11), (1 + BODY.index("FROM"), 1 + BODY.index("; RETURN"))))
GIVEN = ("expression", ((1 + BODY.index("r.a; END"), 1 + BODY.index("; END")),))
PIECES = [TYPE, QUERY, GIVEN]


def test_the_pieces_that_cover_all_sql_are_the_statements(beside: Beside) -> None:
    tree = one_statement(beside.world, TEXT).tree
    found = statements_of(tree, PIECES, beside.catalog.major)
    assert [next(iter(one)) for one in found] == ["SelectStmt"] * 3
    assert found[1]["SelectStmt"]["fromClause"][0]["RangeVar"]["relname"] == "orders"
    verify_definition(TEXT.encode(), beside.context, beside.catalog, PIECES)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [QUERY, TYPE, GIVEN],
        [TYPE, ("statement", (QUERY[1][0],)), GIVEN],
        [TYPE, ("statement", (QUERY[1][1],)), GIVEN],
        [TYPE, ("statement", ((BEGIN, BEGIN + 9), QUERY[1][1])), GIVEN],
        [TYPE, ("expression", QUERY[1]), GIVEN],
        [TYPE, QUERY, QUERY, GIVEN],
        [TYPE, QUERY, ("expression", ((GIVEN[1][0][0], GIVEN[1][0][1] - 2),))],
        [TYPE, QUERY, ("expression", ((GIVEN[1][0][0] + 2, GIVEN[1][0][1]),))],
        [("expression", TYPE[1]), ("statement", ((TYPE[1][0][1], 1 + len(BODY)),))],
    ],
)
def test_what_leaves_sql_out_or_cuts_it_elsewhere_is_not_proved(
    beside: Beside, pieces: list[tuple[str, tuple[tuple[int, int], ...]]]
) -> None:
    with pytest.raises(FeatureNotSupported, match="cannot be confined"):
        verify_definition(TEXT.encode(), beside.context, beside.catalog, pieces)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT count(*) FROM globex.orders'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT count(*) FROM pg_class'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT query_to_xml(a, true, true, b)'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'NOTIFY a'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SET work_mem = 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'CREATE TEMP TABLE t (a int)'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT $1::regclass'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT to_tsvector(note, note) FROM orders'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT set_config(''a.b'', ''c'', true)'",
        "CREATE FUNCTION f() RETURNS int RETURN (SELECT count(*) FROM globex.orders)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; DELETE FROM globex.orders; END",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'a', 'b'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plperl AS 'a'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET role = x AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = acme, pg_catalog AS 'SELECT 1'",
        "CREATE FUNCTION f(a regclass) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(a anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS regtype LANGUAGE sql AS 'SELECT NULL'",
        "ALTER FUNCTION order_total(int) SECURITY DEFINER",
        "ALTER FUNCTION order_total(int) SET row_security = off",
        "DO LANGUAGE sql 'SELECT 1'",
        "DO 'BEGIN EXECUTE 1; END'",
        "DO 'BEGIN PERFORM 1; END'",
        "DO 'BEGIN PERFORM pg_notify(a, b); END'",
        "DO 'BEGIN PERFORM f(); END'",
        "DO 'BEGIN NULL FROM pg_class; END'",
        "DO 'BEGIN RETURN a::b; END'",
        "DO 'BEGIN RETURN a || b; END'",
        "DO $f$ BEGIN a := 'b'; END $f$",
        "DO 'DECLARE x globex.t; BEGIN NULL; END'",
    ],
)
def test_what_leads_out_is_not_proved(beside: Beside, text: str) -> None:
    with pytest.raises(FeatureNotSupported, match="cannot be confined"):
        verify_definition(text.encode(), beside.context, beside.catalog)


def test_names_with_a_point_outside_of_pieces_are_the_bodys_own(beside: Beside) -> None:
    for body, names, proved in (
        ("BEGIN GET DIAGNOSTICS r.a = ROW_COUNT; END", "r", True),
        ("BEGIN GET DIAGNOSTICS r.a = ROW_COUNT; END", "q", False),
        ("BEGIN GET DIAGNOSTICS NEW.a = ROW_COUNT; END", "q", True),
        ("<<l>> BEGIN GET DIAGNOSTICS l.a = ROW_COUNT; END", "q", True),
    ):
        tree = one_statement(
            beside.world, f"CREATE FUNCTION f({names} text) RETURNS void LANGUAGE plpgsql AS $f$ {body} $f$"
        ).tree
        if proved:
            assert statements_of(tree, (), 15) == []
        else:
            with pytest.raises(Unproven):
                statements_of(tree, (), 15)


def test_code_within_code_is_not_proved(beside: Beside) -> None:
    with pytest.raises(Unproven):
        check_inside(one_statement(beside.world, "DO 'BEGIN END'").tree, beside.catalog)
