"""Resolve: which names are relations and which are CTEs, at which level, and what is refused."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported, UndefinedTable
from proxy.sql.world import World
from tests.sql.worlds import analysed


def sources(world: World, sql: str) -> list[str]:
    """Every FROM item and target as kind:name, inner levels first."""
    return [f"{one.kind}:{one.alias}" for level in analysed(world, sql).levels for one in level.sources]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("WITH orders AS (SELECT * FROM orders) SELECT 1 FROM orders", ["table:orders", "cte:orders"]),
        (
            "WITH a AS (WITH orders AS (SELECT 1) SELECT 1 FROM orders) SELECT 1 FROM orders",
            ["cte:orders", "table:orders"],
        ),
        ("WITH orders AS (SELECT 1) SELECT 1 FROM public.orders", ["table:orders"]),
        ("WITH orders AS (SELECT 1) DELETE FROM orders", ["table:orders"]),
        ("WITH orders AS (SELECT 1) UPDATE orders SET qty = 1 FROM orders o", ["table:orders", "cte:o"]),
        ("WITH orders AS (SELECT 1) INSERT INTO orders (id) SELECT 1 FROM orders", ["cte:orders", "table:orders"]),
        ("WITH a AS (SELECT 1 FROM orders), orders AS (SELECT 1) SELECT 1 FROM a", ["table:orders", "cte:a"]),
        ("WITH RECURSIVE a AS (SELECT 1 FROM orders), orders AS (SELECT 1) SELECT 1 FROM a", ["cte:orders", "cte:a"]),
        ("SELECT (SELECT 1 FROM products) FROM customers c", ["table:products", "table:c"]),
        ("SELECT 1 FROM (customers c JOIN orders o ON true) AS j", ["table:c", "table:o", "join:j"]),
        ("SELECT 1 FROM generate_series(1, 2) g, LATERAL (SELECT 1) l", ["function:g", "derived:l"]),
        ("SELECT 1 FROM orders UNION SELECT 1 FROM customers", ["table:orders", "table:customers"]),
    ],
)
def test_a_name_in_from_is_what_the_server_takes_it_for(world: World, sql: str, expected: list[str]) -> None:
    assert sources(world, sql) == expected


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT 1 FROM public.nowhere", 'relation "public.nowhere" does not exist'),
        ("SELECT 1 FROM leaky_stats", 'relation "leaky_stats" does not exist'),
        ("SELECT (SELECT 1 FROM x)", 'relation "x" does not exist'),
        ("WITH x AS (SELECT 1) UPDATE x SET a = 1", 'relation "x" does not exist'),
    ],
)
def test_a_hidden_relation_gets_the_answer_for_one_that_does_not_exist(world: World, sql: str, message: str) -> None:
    with pytest.raises(UndefinedTable) as caught:
        analysed(world, sql)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM other.public.orders",
        "SELECT 1 INTO TEMP t FROM orders",
        "WITH orders AS (SELECT 1) SELECT 1 FROM orders TABLESAMPLE SYSTEM (100)",
    ],
)
def test_what_is_not_known_here_is_refused(world: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported):
        analysed(world, sql)


def test_the_databases_own_name_may_qualify_a_relation(world: World) -> None:
    assert sources(world, "SELECT 1 FROM shared.public.orders") == ["table:orders"]


def test_a_derived_table_sees_its_siblings_only_when_lateral(world: World) -> None:
    for lateral, expected in (("LATERAL", 1), ("", 0)):
        analysis = analysed(world, f"SELECT 1 FROM orders o, {lateral} (SELECT 1) s")
        env = analysis.levels[0].env
        assert env is not None
        assert len(env.tenants()) == expected


def test_the_copies_of_a_multi_column_source_are_one_object(world: World) -> None:
    tree = analysed(world, "UPDATE orders SET (note, qty) = (SELECT 'x', 1)").nodes.tree
    first, second = (one["ResTarget"]["val"]["MultiAssignRef"]["source"] for one in tree["UpdateStmt"]["targetList"])
    assert first is second


@pytest.mark.parametrize(
    ("sql", "confined"),
    [("SELECT 1 FROM products, pg_class", False), ("SELECT 1", False), ("SELECT (SELECT 1 FROM open_orders)", True)],
)
def test_a_statement_is_confined_when_it_touches_a_relation_with_a_key(world: World, sql: str, confined: bool) -> None:
    assert analysed(world, sql).confined is confined
