"""A second filling is proved by the first only where nothing but the keys differs."""

from __future__ import annotations

import pytest

from proxy.sql.parse import grammar_of
from proxy.sql.verify.alike import same_but_keys

KEYS, OTHER = {"default": "a:-default", "slug": "a:-slug"}, {"default": "b'default", "slug": "b'slug"}


def read(sql: str) -> str:
    return grammar_of(sql.encode(), size_limit=10_000)


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("SELECT 1 FROM t WHERE k = 'a:-default'", "SELECT 1 FROM t WHERE k = 'b''default'", True),
        ("SELECT 'a:-default', 'a:-slug' FROM t", "SELECT 'b''default', 'b''slug' FROM t", True),
        ("SELECT 1 FROM t WHERE k = 'a:-default'", "SELECT 1 FROM t WHERE k = 'b''slug'", False),
        ("SELECT 1 FROM t WHERE k = 'a:-default'", "SELECT 1 FROM t WHERE k = 'a:-default'", False),
        ("SELECT 1 FROM t WHERE k = 'x'", "SELECT 1 FROM t WHERE k = 'x'", True),
        ("SELECT 1 FROM t WHERE k = 'x'", "SELECT 1 FROM t WHERE k = 'y'", False),
        ("SELECT 1 FROM t WHERE k = 'a:-default'", "SELECT 1 FROM t WHERE k = 'b''default' OR true", False),
        ("SELECT 1, 2 FROM t", "SELECT 1 FROM t", False),
        ("SELECT 1 FROM t", "SELECT '1' FROM t", False),
        ("SELECT 1 FROM t WHERE k = 'b''default'", "SELECT 1 FROM t WHERE k = 'a:-default'", False),
        ("SELECT 1 FROM t WHERE k = '\"a:-default\"'", "SELECT 1 FROM t WHERE k = '\"b''default\"'", False),
        ("SELECT 1 FROM t WHERE k = 'x a:-default'", "SELECT 1 FROM t WHERE k = 'x b''default'", False),
        ("SELECT 1 FROM t", "DELETE FROM t", False),
    ],
)  # fmt: skip
def test_only_keys_may_differ(one: str, other: str, verdict: bool) -> None:
    assert same_but_keys(read(one), read(other), KEYS, OTHER) is verdict


def test_keys_may_change_places() -> None:
    one, other = read("SELECT 'x', 'y'"), read("SELECT 'y', 'x'")
    assert same_but_keys(one, other, {"first": "x", "second": "y"}, {"first": "y", "second": "x"})
    assert not same_but_keys(one, one, {"first": "x", "second": "y"}, {"first": "y", "second": "x"})


def test_without_keys_both_must_be_the_same() -> None:
    assert same_but_keys(read("SELECT 1"), read("SELECT  1"), {}, {}) is False
    assert same_but_keys(read("SELECT 1"), read("SELECT 1"), {}, {}) is True
