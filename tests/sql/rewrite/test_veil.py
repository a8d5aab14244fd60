"""Veil: an operator that may throw is not tried out on statistics; comparisons of like types may be."""

from __future__ import annotations

import pytest

from proxy.sql.world import World
from tests.sql.worlds import text_of

DERIVED = "SELECT 1 FROM (SELECT id, note, amount, placed_at FROM orders) x WHERE "
VEIL = "CASE WHEN (SELECT true) THEN "


@pytest.mark.parametrize(
    "where",
    [
        "x.note LIKE 'a\\'",
        "NOT x.note LIKE 'a\\'",
        "x.note LIKE 'a\\' OR x.id = 1",
        "(x.note LIKE 'a\\') IS NOT TRUE",
        "x.note ~ 'a'",
        "starts_with(x.note, 'a')",
        "x.note LIKE ANY (ARRAY['a\\'])",
        "x.id = (SELECT max(id) FROM customers) AND x.note ~ 'a'",
    ],
)
def test_what_may_throw_on_a_value_is_veiled(world: World, where: str) -> None:
    text = text_of(world, DERIVED + where)
    assert VEIL in text
    assert text.endswith(" END")


@pytest.mark.parametrize(
    "where",
    [
        "x.note LIKE 'a%'",
        "pg_size_bytes(x.note) IS NULL",
        "date_trunc('day', x.placed_at) = now()",
        "x.amount / 2 > x.amount",
        "1 / x.id = 1 AND NOT (1 / x.id = 2 OR x.id IS NULL)",
        "pg_size_bytes('1') = 1",
        "EXISTS (SELECT FROM generate_series(1, x.id))",
    ],
)
def test_comparisons_and_what_is_never_tried_out_stay_as_they_are(world: World, where: str) -> None:
    assert VEIL not in text_of(world, DERIVED + where)


def test_a_guard_is_veil_enough_and_shared_tables_need_none(world: World) -> None:
    assert VEIL not in text_of(world, "SELECT 1 FROM orders o, (SELECT note FROM orders) x WHERE x.note ~ 'a'")
    assert VEIL not in text_of(world, "SELECT 1 FROM products p WHERE p.name ~ 'a' AND p.id IN (SELECT id FROM orders)")
