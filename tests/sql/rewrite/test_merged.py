"""Merged: USING and NATURAL only over columns that compare in silence."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.world import World
from tests.sql.worlds import text_of


@pytest.mark.parametrize(
    "join", ["JOIN users u USING (id)", "JOIN users u USING (tenant_id, id)", "NATURAL JOIN products p"]
)
def test_like_columns_may_be_merged(world: World, join: str) -> None:
    assert "KEY" in text_of(
        world,
        f"SELECT 1 FROM orders {join}".replace("orders NATURAL JOIN products p", "order_items NATURAL JOIN products p"),
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM odd JOIN (SELECT 1.5::float8 AS num) s USING (num)",
        "SELECT 1 FROM odd JOIN (SELECT home FROM users) s USING (home)",
        "SELECT 1 FROM orders JOIN jsonb_to_record('{}') AS r(id json) USING (id)",
        "SELECT 1 FROM orders NATURAL JOIN jsonb_each('{}')",
    ],
)
def test_unlike_or_unknown_columns_are_refused(world: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, sql)
