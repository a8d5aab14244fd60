"""Keys: nothing that would ask a constraint about other tenants' rows is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.world import World
from tests.sql.worlds import sample_policy, text_of


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO coupons (code, pct) VALUES ('SAVE20', 1)",
        "UPDATE coupons SET code = 'SAVE20'",
        "INSERT INTO bookings (room, during) VALUES (1, '[1,2)')",
        "INSERT INTO accounts (id, owner) VALUES (201, 'x')",
        "INSERT INTO audit_log (id, tbl, op) VALUES (5, 'x', 'y')",
        "INSERT INTO transfers (from_id, to_id, amount) VALUES (101, 201, 1)",
        "UPDATE transfers SET to_id = 201",
        "UPDATE accounts SET id = 201",
    ],
)
def test_writing_a_key_without_the_tenant_column_is_refused(world: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported, match="tenant column"):
        text_of(world, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO accounts (owner) VALUES ('x')",
        "INSERT INTO accounts (id, owner) VALUES (DEFAULT, 'x')",
        "UPDATE accounts SET balance = 1",
        "UPDATE coupons SET pct = 1",
        "INSERT INTO order_items (order_id, line, product_id, price) VALUES (1, 2, 3, 4)",
        "UPDATE orders SET customer_id = 5",
        "DELETE FROM orders",
    ],
)
def test_writing_anything_else_is_not(world: World, sql: str) -> None:
    text_of(world, sql)


def test_a_cascade_by_a_key_without_the_tenant_column_is_refused(world: World) -> None:
    transfers = world.catalog.relations["public", "transfers"]
    cascading = replace(transfers, foreign_keys=tuple(replace(one, on_delete="c") for one in transfers.foreign_keys))
    catalog = replace(world.catalog, relations={**world.catalog.relations, ("public", "transfers"): cascading})
    text_of(world, "DELETE FROM accounts")
    with pytest.raises(FeatureNotSupported, match="cascade"):
        text_of(World(sample_policy(), catalog), "DELETE FROM accounts")
