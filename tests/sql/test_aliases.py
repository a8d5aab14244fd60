"""Which columns a name surely has: what two things share is left out, what one thing has is told."""

from __future__ import annotations

import json

from pglast.parser import parse_sql_json

from proxy.sql.aliases import SYSTEM_COLUMNS, certain_columns
from proxy.sql.nodes import Nodes
from proxy.sql.world import World


def certain(world: World, sql: str) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    return certain_columns(Nodes(json.loads(parse_sql_json(sql))["stmts"][0]["stmt"]), world)


def test_a_table_and_its_alias_have_its_columns_and_the_system_columns(world: World) -> None:
    names, _ = certain(world, "SELECT FROM products, orders o")
    assert set(names) == {"products", "o"}
    assert {"id", "amount", "note"} | SYSTEM_COLUMNS <= names["o"]


def test_column_aliases_rename_from_the_left(world: World) -> None:
    names, every = certain(world, "SELECT FROM orders o (a, b)")
    first, second, third = (one.name for one in world.catalog.relations["public", "orders"].columns[:3])
    assert {"a", "b", third} <= names["o"]
    assert {first, second}.isdisjoint(names["o"])
    assert {"a", "b"} <= every


def test_one_name_for_two_tables_keeps_only_what_both_have(world: World) -> None:
    names, _ = certain(world, "SELECT FROM orders x WHERE EXISTS (SELECT FROM products x)")
    orders = {one.name for one in world.catalog.relations["public", "orders"].columns}
    products = {one.name for one in world.catalog.relations["public", "products"].columns}
    assert names["x"] == (orders & products) | SYSTEM_COLUMNS


def test_a_name_that_something_else_also_has_is_not_certain(world: World) -> None:
    for sql in (
        "WITH orders AS (SELECT 1) SELECT FROM orders",
        "SELECT FROM orders x WHERE EXISTS (SELECT FROM (SELECT 1) x)",
        "SELECT FROM orders x WHERE EXISTS (SELECT FROM generate_series(1, 2) x)",
        "SELECT FROM orders excluded",
        "SELECT FROM no_such_table",
    ):
        names, _ = certain(world, sql)
        assert names == {}, sql
