"""Conflict: DO UPDATE changes own rows only."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.world import World
from tests.sql.worlds import text_of

INSERT = "INSERT INTO customers AS c (id, name) VALUES (1, 'x') ON CONFLICT "


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("DO NOTHING", "DO NOTHING"),
        ("(tenant_id, id) DO UPDATE SET name = excluded.name", "SET name = excluded.name WHERE c.tenant_id = KEY"),
        ("(tenant_id, id) DO UPDATE SET name = 'y' WHERE c.id = 1", "WHERE c.tenant_id = KEY AND c.id = 1"),
        (
            "(tenant_id, id) DO UPDATE SET name = 'y' WHERE 1 / c.id = 1",
            "WHERE c.tenant_id = KEY AND CASE WHEN c.tenant_id = KEY IS NOT FALSE THEN 1 / c.id = 1 END",
        ),
    ],
)
def test_the_predicate_stands_first(world: World, rest: str, expected: str) -> None:
    assert text_of(world, INSERT + rest).endswith(expected)


def test_the_tenant_column_cannot_be_set_to_something_else(world: World) -> None:
    with pytest.raises(InsufficientPrivilege):
        text_of(world, INSERT + "(tenant_id, id) DO UPDATE SET tenant_id = excluded.id")


@pytest.mark.parametrize("rest", ["DO NOTHING", "(code) DO UPDATE SET uses = 1"])
def test_a_key_without_the_tenant_column_would_be_an_oracle(world: World, rest: str) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, f"INSERT INTO coupons (code, pct) VALUES ('x', 1) ON CONFLICT {rest}")
