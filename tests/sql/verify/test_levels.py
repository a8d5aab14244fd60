"""Levels know what can be named and whose rows are in it."""

from __future__ import annotations

from proxy.sql.parse import parse
from proxy.sql.verify.levels import Item, Level, conjuncts
from proxy.sql.verify.relations import Relations


def test_the_tenant_relations_of_enclosing_levels_count(relations: Relations) -> None:
    orders, products = relations.shown("public", "orders"), relations.shown("public", "products")
    outside = Item("o", "table", orders)
    shared, derived = Item("p", "table", products), Item("d", "derived", orders)
    outer = Level((), {}, visible=[outside])
    level = Level((outer,), {}, visible=[shared, derived])
    assert level.tenants(level.visible) == [outside]


def test_conjuncts_are_the_parts_between_top_level_ands_only() -> None:
    text = b"SELECT 1 WHERE a AND (b AND c) AND (d OR (e AND f)) AND NOT (g AND h)"
    where = parse(text, size_limit=1000, server_major=15)[0].tree["SelectStmt"]["whereClause"]
    kinds = [next(iter(one)) for one in conjuncts(where)]
    assert kinds == ["ColumnRef", "ColumnRef", "ColumnRef", "BoolExpr", "BoolExpr"]
    assert conjuncts(None) == []
