"""Literals: a plan whose decision looked at a literal's value is not shared across it; no other literal is marked."""

from __future__ import annotations

import pytest

from proxy.sql.world import World
from tests.sql.worlds import confined


@pytest.mark.parametrize(
    ("sql", "looked_at"),
    [
        ("SELECT 1 FROM orders WHERE note LIKE 'a%'", ["'a%'"]),
        ("SELECT 1 FROM orders WHERE note LIKE 'a\\'", ["'a\\'"]),
        ("SELECT 1 FROM orders WHERE meta @> '{}'", ["'{}'"]),
        ("SELECT 1 FROM odd WHERE d > CURRENT_DATE - 30", ["30"]),
        ("SELECT 1 FROM odd WHERE d > now() - interval '9999 days'", ["'9999 days'"]),
        ("SELECT 1 FROM documents WHERE tsv @@ to_tsquery('english', 'a')", ["'english'", "'a'"]),
        ("SELECT 1 FROM orders TABLESAMPLE SYSTEM (100)", ["100"]),
        ("SELECT 1 FROM orders WHERE coalesce(qty, 1) = 2", ["1"]),
        ("SELECT 1 FROM (VALUES (1)) v(x) JOIN orders o ON o.id = v.x", ["1"]),
        ("SELECT 5 FROM orders WHERE id = 1 AND note = 'x' AND id IN (1, 2) AND 1 / id = 3 LIMIT 4", []),
        ("INSERT INTO orders (id, customer_id) VALUES (1, 2), (3, 4)", []),
        ("UPDATE orders SET note = 'x' WHERE id = 1", []),
    ],
)
def test_only_literals_that_a_decision_looked_at_are_sensitive(world: World, sql: str, looked_at: list[str]) -> None:
    done, _ = confined(world, sql)
    assert (
        {sql.index(one, sql.index("FROM")) for one in looked_at} == done.sensitive if looked_at else not done.sensitive
    )
