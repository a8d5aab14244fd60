"""Placement: the predicate where the answer stays that of a database with own rows only."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.world import World
from tests.sql.worlds import text_of

CASES = [
    ("orders o", "public.orders o WHERE o.tenant_id = KEY"),
    ("orders o, orders p", "public.orders o, public.orders p WHERE o.tenant_id = KEY AND p.tenant_id = KEY"),
    ("orders AS o(a, b)", "public.orders o(a, b) WHERE o.a = KEY"),
    (
        "customers c LEFT JOIN orders o ON o.id = c.id",
        "public.customers c LEFT JOIN public.orders o ON o.tenant_id = KEY AND o.id = c.id WHERE c.tenant_id = KEY",
    ),
    (
        "customers c RIGHT JOIN orders o ON o.id = c.id",
        "public.customers c RIGHT JOIN public.orders o ON c.tenant_id = KEY AND o.id = c.id WHERE o.tenant_id = KEY",
    ),
    (
        "customers c FULL JOIN orders o ON o.id = c.id",
        "public.customers c JOIN (SELECT) _iso1 ON c.tenant_id = KEY FULL JOIN "
        "(public.orders o JOIN (SELECT) _iso2 ON o.tenant_id = KEY) ON o.id = c.id",
    ),
    (
        "customers c LEFT JOIN orders o USING (id)",
        "public.customers c LEFT JOIN (public.orders o JOIN (SELECT) _iso1 ON o.tenant_id = KEY) USING (id) "
        "WHERE c.tenant_id = KEY",
    ),
    (
        "(customers c JOIN orders o ON true) AS j",
        "(public.customers c JOIN (SELECT) _iso1 ON c.tenant_id = KEY JOIN "
        "(public.orders o JOIN (SELECT) _iso2 ON o.tenant_id = KEY) ON true ) j",
    ),
    (
        "(customers c LEFT JOIN orders o ON true) RIGHT JOIN users u ON true",
        "public.customers c LEFT JOIN public.orders o ON o.tenant_id = KEY AND true RIGHT JOIN public.users u "
        "ON c.tenant_id = KEY AND true WHERE u.tenant_id = KEY",
    ),
    ("products p", "public.products p"),
    ("open_orders v", "public.open_orders v WHERE v.tenant_id = KEY"),
    ("ONLY assets a", "ONLY public.assets a WHERE a.tenant_id = KEY"),
]


@pytest.mark.parametrize(("sources", "expected"), CASES)
def test_each_relation_gets_its_predicate_in_its_place(world: World, sources: str, expected: str) -> None:
    assert text_of(world, f"SELECT 1 FROM {sources}") == f"SELECT 1 FROM {expected}"


def test_the_predicate_stands_before_the_clients_conjuncts(world: World) -> None:
    text = text_of(world, "SELECT 1 FROM orders WHERE id = 1 OR true")
    assert text == "SELECT 1 FROM public.orders WHERE orders.tenant_id = KEY AND (id = 1 OR true)"


def test_the_left_operand_of_between_keeps_its_parentheses(world: World) -> None:
    text = text_of(world, "SELECT 1 FROM orders WHERE (note IS NULL OR true) BETWEEN false AND true")
    assert text.endswith("orders.tenant_id = KEY AND (note IS NULL OR true) BETWEEN false AND true")


def test_a_relation_that_cannot_be_named_is_refused(world: World) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, "SELECT 1 FROM orders o(id)")


def test_every_arm_and_every_sub_select_is_confined(world: World) -> None:
    text = text_of(
        world,
        "SELECT (SELECT max(id) FROM orders) FROM users UNION SELECT id FROM customers LIMIT (SELECT 1 FROM notes)",
    )
    assert text.count("KEY") == 3
    assert "notes.tenant OPERATOR(pg_catalog.=) 'acme'::pg_catalog.text" in text
