"""Locking: row locks on own rows only."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.world import World
from tests.sql.worlds import text_of


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM products FOR UPDATE",
        "SELECT 1 FROM orders o, products p FOR SHARE",
        "SELECT 1 FROM orders o, products p FOR UPDATE OF p",
        "SELECT 1 FROM (SELECT * FROM products) s FOR UPDATE",
        "SELECT (SELECT 1 FROM products FOR UPDATE)",
        "SELECT 1 FROM pg_class FOR UPDATE",
    ],
)
def test_a_lock_on_shared_rows_is_refused_as_a_missing_grant_is(world: World, sql: str) -> None:
    with pytest.raises(InsufficientPrivilege, match="permission denied for table"):
        text_of(world, sql)


def test_a_lock_through_a_view_is_refused(world: World) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, "SELECT 1 FROM open_orders FOR UPDATE")


@pytest.mark.parametrize("lock", ["FOR UPDATE OF o SKIP LOCKED", "FOR NO KEY UPDATE OF o"])
def test_own_rows_may_be_locked(world: World, lock: str) -> None:
    assert text_of(world, f"SELECT 1 FROM orders o, products p {lock}").endswith(lock)
