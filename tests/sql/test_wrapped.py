"""A statement that wraps a query is confined within, printed whole, and refused where a field of it is not known."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.parse import parse
from proxy.sql.render import render
from proxy.sql.wrapped import QUERIES, WRAPPERS, Node, query_in, with_query

WRAPPED = [
    "DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT a FROM b",
    "PREPARE p (int) AS UPDATE a SET b = $1",
    "EXPLAIN (COSTS OFF) SELECT a FROM b",
    "CREATE TEMP TABLE t (a) ON COMMIT DROP AS SELECT 1 WITH NO DATA",
    "EXPLAIN CREATE TEMP TABLE t AS SELECT a FROM b",
    "COPY (DELETE FROM a RETURNING b) TO STDOUT",
]


def tree_of(sql: str) -> Node:
    (statement,) = parse(sql.encode(), size_limit=10_000, server_major=18)
    return statement.tree


@pytest.mark.parametrize("sql", WRAPPED)
def test_the_query_is_found_and_another_is_put_in_its_place(sql: str) -> None:
    tree = tree_of(sql)
    before = json.dumps(tree)
    query = query_in(tree)
    assert query is not None
    assert set(query) <= QUERIES
    assert with_query(tree, query) == tree
    other = tree_of("SELECT 'other'")
    assert query_in(with_query(tree, other)) == other
    assert "'other'" in render(with_query(tree, other)).text
    assert json.dumps(tree) == before


@pytest.mark.parametrize("sql", ["SELECT 1", "DELETE FROM a"])
def test_a_query_is_its_own(sql: str) -> None:
    assert query_in(tree_of(sql)) == tree_of(sql)


@pytest.mark.parametrize(
    "sql", ["COPY a TO STDOUT", "FETCH 1 FROM c", "BEGIN", "LOCK a", "REFRESH MATERIALIZED VIEW a"]
)
def test_a_statement_without_a_query_has_none(sql: str) -> None:
    assert query_in(tree_of(sql)) is None


def test_a_field_that_is_not_known_is_refused() -> None:
    for name in WRAPPERS:
        with pytest.raises(FeatureNotSupported):
            query_in({name: {"query": tree_of("SELECT 1"), "newer": True}})


def test_every_statement_that_can_hold_a_query_is_a_wrapper_or_is_never_planned() -> None:
    table = json.loads(files("proxy.sql.data").joinpath("pg_query_fields.json").read_text(encoding="utf-8"))
    holders = {
        name
        for name, fields in table["messages"].items()
        if name.endswith("Stmt") and any(kind == "Node" and one == "query" for one, (_, kind, _) in fields.items())
    }
    assert holders - set(WRAPPERS) == {"ViewStmt"}
    assert set(WRAPPERS) <= holders
