"""Every statement of PL/pgSQL is known, and its SQL found; beside it, libpg_query's own reader finds the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pglast.parser import parse_plpgsql_json

from proxy.errors import FeatureNotSupported, SyntaxRefused
from proxy.sql.schema.bodies import joined
from proxy.sql.schema.plpgsql import read_plpgsql

STATEMENTS = {
    "x := 1 + 2": ["x", "1 + 2"],
    "x.f = 3": ["x.f", "3"],
    "x[i + 1].f := 3": ["x[i + 1].f", "3"],
    "SELECT a INTO x FROM t": ["SELECT a        FROM t"],
    "SELECT INTO STRICT x, y.z a, b FROM t": ["SELECT                    a, b FROM t"],
    "SELECT a FROM globex INTO x .orders": ["SELECT a FROM globex"],
    "INSERT INTO t VALUES (1) RETURNING a INTO x": ["INSERT INTO t VALUES (1) RETURNING a"],
    "WITH a AS (SELECT 1 AS b) SELECT b FROM a INTO x": ["WITH a AS (SELECT 1 AS b) SELECT b FROM a"],
    "PERFORM f(1), 2 FROM t": ["f(1), 2 FROM t"],
    "IF a THEN NULL; ELSIF b THEN RETURN; ELSEIF c THEN NULL; ELSE x := 1; END IF": ["a", "b", "c", "x", "1"],
    "CASE a WHEN 1, 2 THEN NULL; ELSE x := 1; END CASE": ["a", "1, 2", "x", "1"],
    "CASE WHEN a THEN NULL; WHEN b THEN NULL; END CASE": ["a", "b"],
    "<<l>> LOOP EXIT l WHEN a; CONTINUE WHEN b; EXIT; END LOOP l": ["a", "b"],
    "WHILE a LOOP NULL; END LOOP": ["a"],
    "FOR i IN 1..10 LOOP NULL; END LOOP": ["1", "10"],
    "FOR i IN REVERSE a + 1..b BY c LOOP NULL; END LOOP": ["a + 1", "b", "c"],
    "FOR r IN SELECT 1 LOOP NULL; END LOOP": ["SELECT 1"],
    "FOR x, y IN (SELECT 1, 2) LOOP NULL; END LOOP": ["(SELECT 1, 2)"],
    "FOR r IN c LOOP NULL; END LOOP": [],
    "FOR r IN c(1, f(2)) LOOP NULL; END LOOP": ["1, f(2)"],
    "FOREACH i SLICE 1 IN ARRAY a LOOP NULL; END LOOP": ["a"],
    "RETURN": [],
    "RETURN a + 1": ["a + 1"],
    "RETURN NEXT": [],
    "RETURN NEXT a": ["a"],
    "RETURN QUERY SELECT 1": ["SELECT 1"],
    "RAISE": [],
    "RAISE NOTICE 'a % %', b, c USING HINT = d, ERRCODE := 'e'": ["b", "c", "d", "'e'"],
    "RAISE unique_violation USING MESSAGE = a": ["a"],
    "RAISE SQLSTATE '12345'": [],
    "RAISE EXCEPTION USING MESSAGE = a": ["a"],
    "ASSERT a, 'b'": ["a", "'b'"],
    "GET STACKED DIAGNOSTICS x = MESSAGE_TEXT, y.z := PG_CONTEXT": [],
    "GET DIAGNOSTICS x = ROW_COUNT": [],
    "OPEN c": [],
    "OPEN c(1)": ["1"],
    "OPEN c NO SCROLL FOR SELECT 1": ["SELECT 1"],
    "FETCH c INTO x": [],
    "FETCH RELATIVE a + 1 FROM c INTO x, y": ["a + 1"],
    "FETCH ALL FROM c INTO x": [],
    "MOVE FORWARD ALL IN c": [],
    "MOVE c": [],
    "CLOSE c": [],
    "COMMIT": [],
    "ROLLBACK AND NO CHAIN": [],
    "CALL p(1, a)": ["CALL p(1, a)"],
    "NULL": [],
    "DECLARE z int := 1; BEGIN NULL; EXCEPTION WHEN unique_violation OR SQLSTATE '12345' THEN z := 2; END": [
        "int",
        "1",
        "z",
        "2",
    ],
    "<<b>> BEGIN NULL; END b": [],
    "CREATE TABLE t (a int)": ["CREATE TABLE t (a int)"],
    "exception := 1": ["exception", "1"],
    "MERGE INTO t USING s ON true WHEN MATCHED THEN DO NOTHING": [
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DO NOTHING"
    ],
    "UPDATE t SET a = 1 /* INTO y */ -- INTO z\n": ["UPDATE t SET a = 1"],
}


def found_in(body: str) -> list[str]:
    return [joined(body, piece.spans) for piece in read_plpgsql(body)]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_sql_of_a_statement_is_found(statement: str) -> None:
    assert found_in(f"BEGIN {statement}; END") == STATEMENTS[statement]
    assert found_in(f"BEGIN IF q THEN {statement}; END IF; {statement}; END") == [
        "q",
        *STATEMENTS[statement],
        *STATEMENTS[statement],
    ]


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN EXECUTE 'SELECT 1'; END",
        "BEGIN EXECUTE format('SELECT %s', 1) INTO x; END",
        "BEGIN RETURN QUERY EXECUTE 'SELECT 1'; END",
        "BEGIN OPEN c FOR EXECUTE 'SELECT 1'; END",
        "BEGIN FOR r IN EXECUTE 'SELECT 1' LOOP NULL; END LOOP; END",
        "BEGIN FOR r IN /* here */ execute 'SELECT 1' USING 1 LOOP NULL; END LOOP; END",
        "BEGIN DO 'BEGIN END'; END",
    ],
)
def test_what_nobody_can_look_at_is_refused_with_the_way_out(body: str) -> None:
    with pytest.raises(FeatureNotSupported) as refused:
        read_plpgsql(body)
    assert refused.value.hint is not None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "SELECT 1",
        "BEGIN",
        "BEGIN END; END",
        "BEGIN SELECT 1 END",
        "BEGIN SELECT INTO x a INTO y; END",
        "BEGIN SELECT a FROM globex INTO x.y.z.orders; END",
        "BEGIN SELECT a INTO x [1] FROM t; END",
        "BEGIN INTO x; END",
        "BEGIN IF a LOOP; END IF; END",
        "BEGIN FOR i IN REVERSE c LOOP NULL; END LOOP; END",
        "BEGIN FOR EXECUTE IN 1..2 LOOP NULL; END LOOP; END",
        "BEGIN CASE ELSE NULL; END CASE; END",
        "BEGIN GET DIAGNOSTICS x; END",
        "BEGIN x := ; END",
        "BEGIN RETURN 1; END BEGIN END",
        "#option dump\nBEGIN END",
        "DECLARE BEGIN int; BEGIN END",
        "BEGIN <<l>> x := 1; END",
        "BEGIN EXCEPTION END",
        "BEGIN COMMIT AND; END",
        "BEGIN x := 'a; END",
    ],
)
def test_what_is_no_plpgsql_is_a_syntax_error(body: str) -> None:
    with pytest.raises(SyntaxRefused):
        read_plpgsql(body)


def test_options_and_labels_stand_before_a_block() -> None:
    body = "#variable_conflict use_column\n#print_strict_params on\n<<f>> DECLARE a int; BEGIN a := 1; END f;"
    assert found_in(body) == ["int", "a", "1"]


def queries(value: Any) -> list[str]:
    """Every query in the JSON of libpg_query."""
    if isinstance(value, list):
        return [found for one in value for found in queries(one)]
    if not isinstance(value, dict):
        return []
    mine = [value["query"]] if isinstance(value.get("query"), str) else []
    return mine + [found for one in value.values() for found in queries(one)]


KNOWN = "x int; y int; z int; i int; a int; b int; c int; d int; r record; q bool; exception int;"
OTHERS = (
    "c(",
    "IN c",
    " c ",
    " c;",
    "MOVE",
    "CLOSE",
    "OPEN",
    "y.z",
    "x.f",
    "x[",
    "ROLLBACK",
    "COMMIT",
    "CALL",
    "NEXT;",
    "x .",
)


@pytest.mark.parametrize("statement", [one for one in STATEMENTS if not any(other in f"{one};" for other in OTHERS)])
def test_libpg_query_finds_the_same(statement: str) -> None:
    """Of what its reader can read at all: it knows no fields and cursors of nothing."""
    body = f"DECLARE {KNOWN} BEGIN {statement}; END"
    many = "NEXT" in statement or "QUERY" in statement
    returns = "SETOF int" if many else "int" if "RETURN a" in statement else "void"
    text = f"CREATE FUNCTION f() RETURNS {returns} LANGUAGE plpgsql AS $f$ {body} $f$"
    theirs = [" ".join(one.replace("SELECT ", "", 1).split()) for one in queries(json.loads(parse_plpgsql_json(text)))]
    mine = [" ".join(one.replace("SELECT ", "", 1).split()) for one in found_in(body)]
    for one in mine:
        assert any(one in other for other in theirs) or one in KNOWN
    for other in theirs:
        assert any(one in other for one in mine), other
