"""Target: shared relations and catalogs are read only; views and tables with rules cannot be changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.world import World
from tests.sql.worlds import sample_policy, text_of


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("INSERT INTO products (id) VALUES (1)", "permission denied for table products"),
        ("UPDATE products SET id = 1", "permission denied for table products"),
        ("DELETE FROM categories", "permission denied for table categories"),
        ("UPDATE pg_settings SET setting = 'off'", "permission denied for view pg_settings"),
        ("WITH x AS (DELETE FROM pg_class RETURNING 1) SELECT 1", "permission denied for table pg_class"),
    ],
)
def test_what_is_shared_cannot_be_changed(world: World, sql: str, message: str) -> None:
    with pytest.raises(InsufficientPrivilege) as caught:
        text_of(world, sql)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "sql", ["UPDATE open_orders SET id = 1", "INSERT INTO open_orders (id) VALUES (1)", "DELETE FROM mv_order_stats"]
)
def test_a_view_cannot_be_changed(world: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, sql)


def test_a_table_with_rules_cannot_be_changed(world: World) -> None:
    ruled = replace(world.catalog.relations["public", "orders"], rules=True)
    catalog = replace(world.catalog, relations={**world.catalog.relations, ("public", "orders"): ruled})
    with pytest.raises(FeatureNotSupported):
        text_of(World(sample_policy(), catalog), "DELETE FROM orders")
