"""Qualify: every relation carries its schema, and nothing else does."""

from __future__ import annotations

import pytest

from proxy.sql.world import World
from tests.sql.worlds import confined, text_of


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT id FROM products", "SELECT id FROM public.products"),
        ("SELECT oid FROM pg_class", "SELECT oid FROM pg_catalog.pg_class"),
        ("SELECT id FROM shared.public.products", "SELECT id FROM public.products"),
        (
            "WITH products AS (SELECT 1 AS id) SELECT id FROM products",
            "WITH products AS (SELECT 1 AS id) SELECT id FROM products",
        ),
        ("SELECT public.products.id FROM products", "SELECT public.products.id FROM public.products"),
    ],
)
def test_a_statement_without_confined_relations_is_only_qualified(world: World, sql: str, expected: str) -> None:
    done, text = confined(world, sql)
    assert (text, done.rewritten, done.rules) == (expected, False, ())


def test_the_names_that_a_lock_lists_stay_aliases(world: World) -> None:
    assert text_of(world, "SELECT 1 FROM orders FOR UPDATE OF orders").endswith("FOR UPDATE OF orders")
