"""Boundaries: in a loud level every derived table, in a quiet one every hard one."""

from __future__ import annotations

import pytest

from proxy.sql.world import World
from tests.sql.worlds import text_of

QUIET = [
    "SELECT 1 FROM (SELECT id FROM orders) s WHERE s.id = 1",
    "SELECT 1 FROM (orders o JOIN users u ON true) AS j",
    "SELECT 1 FROM open_orders",
    "WITH c AS (SELECT id FROM orders) SELECT 1 FROM c",
    "SELECT 1 FROM (VALUES (1)) v, orders",
    "SELECT 1 FROM (SELECT id FROM orders UNION SELECT id FROM customers) s",
]
LOUD = [
    ("SELECT 1 FROM (SELECT id FROM orders) s WHERE 1 / s.id = 1", "KEY OFFSET 0) s"),
    ("SELECT 1 FROM (SELECT 1 / id FROM orders) s", "KEY OFFSET 0) s"),
    ("SELECT 1 FROM (SELECT id FROM orders UNION SELECT qty FROM orders WHERE 1 / id = 1) s", "END OFFSET 0) s"),
    ("SELECT 1 FROM orders o, LATERAL (VALUES (1 / o.id)) v", "VALUES (1 / o.id) OFFSET 0) v"),
    ("SELECT 1 FROM (orders o JOIN users u ON true) AS j WHERE 1 / j.qty = 1", "FROM (SELECT * FROM public.orders o"),
    (
        "SELECT 1 FROM open_orders v WHERE 1 / v.id = 1",
        "(SELECT * FROM public.open_orders WHERE open_orders.tenant_id = KEY OFFSET 0) v",
    ),
    ("SELECT 1 FROM odd_loud", "(SELECT * FROM public.odd_loud WHERE odd_loud.tenant_id = KEY OFFSET 0) odd_loud"),
    ("SELECT 1 FROM mv_order_stats m WHERE 1 / m.n = 1", "mv_order_stats.tenant_id = KEY OFFSET 0) m"),
    ("WITH c AS (SELECT id FROM orders) SELECT 1 FROM c WHERE 1 / id = 1", "WITH c AS MATERIALIZED"),
    ("WITH c AS (SELECT id FROM orders) SELECT (SELECT 1 FROM c WHERE 1 / id = 1)", "WITH c AS MATERIALIZED"),
    ("WITH c AS NOT MATERIALIZED (SELECT 1 / id FROM orders) SELECT 1 FROM c", "WITH c AS MATERIALIZED"),
    ("WITH RECURSIVE c AS (SELECT 1 / id FROM orders) SELECT 1 FROM c", "c AS MATERIALIZED"),
    ("SELECT 1 FROM (SELECT id FROM orders) s, users u WHERE 1 / u.id = 1", "KEY OFFSET 0) s"),
    ("SELECT 1 FROM (SELECT id FROM orders) s, LATERAL (SELECT 1 WHERE 1 / s.id = 1) l", "KEY OFFSET 0) s"),
    ("SELECT 1 FROM (SELECT * FROM orders FOR UPDATE) s WHERE 1 / s.id = 1", "OFFSET 0 FOR UPDATE) s"),
]


@pytest.mark.parametrize("sql", QUIET)
def test_a_quiet_level_needs_no_boundary(world: World, sql: str) -> None:
    text = text_of(world, sql)
    assert "OFFSET" not in text
    assert "MATERIALIZED" not in text


@pytest.mark.parametrize(("sql", "expected"), LOUD)
def test_a_derived_table_becomes_a_boundary(world: World, sql: str, expected: str) -> None:
    assert expected in text_of(world, sql)


def test_a_limit_is_a_boundary_already(world: World) -> None:
    assert "OFFSET" not in text_of(world, "SELECT 1 FROM (SELECT 1 / id FROM orders LIMIT 3) s")


def test_an_aliased_join_keeps_its_column_names(world: World) -> None:
    text = text_of(world, "SELECT j.a FROM (orders o JOIN users u ON true) AS j(a, b) WHERE 1 / j.b = 1")
    assert ") j(a, b)" in text.replace("OFFSET 0", "")
