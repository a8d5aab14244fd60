"""Having: what is not silent stays above the aggregation."""

from __future__ import annotations

import pytest

from proxy.sql.world import World
from tests.sql.worlds import text_of

GROUPED = "pg_catalog.count(*) OPERATOR(pg_catalog.>=) 0"


@pytest.mark.parametrize(
    ("having", "expected"),
    [
        ("qty > 1", "qty > 1"),
        ("1 / qty = 1", f"CASE WHEN {GROUPED} THEN 1 / qty = 1 END"),
        ("count(*) > 1 AND qty = 2", f"CASE WHEN {GROUPED} THEN count(*) > 1 END AND qty = 2"),
    ],
)
def test_a_conjunct_that_is_not_silent_is_kept_above(world: World, having: str, expected: str) -> None:
    assert text_of(world, f"SELECT 1 FROM orders GROUP BY qty HAVING {having}").endswith(f"HAVING {expected}")


def test_a_having_with_columns_makes_its_level_loud(world: World) -> None:
    sql = "SELECT 1 FROM (SELECT qty FROM orders) s GROUP BY qty HAVING {}"
    assert "OFFSET 0" in text_of(world, sql.format("1 / qty = 1"))
    assert "OFFSET 0" not in text_of(world, sql.format("count(*) > 1"))
