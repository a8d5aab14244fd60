"""A second filling is proved by the first only where nothing but the keys differs."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.sql.parse import parse
from proxy.sql.verify.alike import same_but_keys

KEYS, OTHER = {"default": "a:default", "slug": "a:slug"}, {"default": "b'default", "slug": "b'slug"}


def tree_of(sql: str) -> Any:
    (one,) = parse(sql.encode(), size_limit=10_000, server_major=15)
    return one.tree


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("SELECT 1 FROM t WHERE k = 'a:default'", "SELECT 1 FROM t WHERE k = 'b''default'", True),
        ("SELECT 'a:default',  'a:slug' FROM t", "SELECT 'b''default', 'b''slug' FROM t", True),
        ("SELECT 1 FROM t WHERE k = 'a:default'", "SELECT 1 FROM t WHERE k = 'b''slug'", False),
        ("SELECT 1 FROM t WHERE k = 'a:default'", "SELECT 1 FROM t WHERE k = 'a:default'", False),
        ("SELECT 1 FROM t WHERE k = 'x'", "SELECT 1 FROM t WHERE k = 'x'", True),
        ("SELECT 1 FROM t WHERE k = 'x'", "SELECT 1 FROM t WHERE k = 'y'", False),
        ("SELECT 1 FROM t WHERE k = 'a:default'", "SELECT 1 FROM t WHERE k = 'b''default' OR true", False),
        ("SELECT 1, 2 FROM t", "SELECT 1 FROM t", False),
        ("SELECT 1 FROM t", "SELECT '1' FROM t", False),
        ("SELECT 1 FROM t", "DELETE FROM t", False),
    ],
)  # fmt: skip
def test_only_keys_may_differ(one: str, other: str, verdict: bool) -> None:
    assert same_but_keys(tree_of(one), tree_of(other), KEYS, OTHER) is verdict
