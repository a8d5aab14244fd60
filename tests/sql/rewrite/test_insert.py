"""Insert: every new row has the tenant's key."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.world import World
from tests.sql.worlds import text_of

KEY = "'1'::int"
INTO = "INSERT INTO public.customers"
CASES = [
    (
        "customers (id, name) VALUES (1, 'x'), (2, 'y')",
        f"(id, name, tenant_id) VALUES (1, 'x', {KEY}), (2, 'y', {KEY})",
    ),
    ("customers DEFAULT VALUES", f"(tenant_id) VALUES ({KEY})"),
    ("customers (tenant_id, id) VALUES (DEFAULT, 1)", f"(tenant_id, id) VALUES ({KEY}, 1)"),
    ("customers VALUES (DEFAULT, 1, 'x')", f"(tenant_id, id, name) VALUES ({KEY}, 1, 'x')"),
    (
        "customers (id, name) SELECT id, name FROM products",
        f"(id, name, tenant_id) SELECT id, name, {KEY} FROM public.products",
    ),
    (
        "customers (id) SELECT id FROM products UNION VALUES (1)",
        f"(id, tenant_id) SELECT id, {KEY} FROM public.products UNION VALUES (1, {KEY})",
    ),
    ("customers (tenant_id, id) VALUES (DEFAULT, 1), (2, 2)", f"(tenant_id, id) VALUES ({KEY}, 1), ({KEY}, 2)"),
    ("customers VALUES (9, 1, 'x')", f"(tenant_id, id, name) VALUES ({KEY}, 1, 'x')"),
    ("customers SELECT 9, 2, 'x'", f"(tenant_id, id, name) SELECT {KEY}, 2, 'x'"),
    (
        "customers SELECT 9, id FROM orders UNION ALL VALUES (9, 3)",
        f"(tenant_id, id) SELECT {KEY}, id FROM public.orders WHERE orders.tenant_id = KEY UNION ALL VALUES ({KEY}, 3)",
    ),
    (
        "customers SELECT tenant_id, id FROM customers",
        "(tenant_id, id) SELECT tenant_id, id FROM public.customers WHERE customers.tenant_id = KEY",
    ),
    (
        "customers SELECT * FROM (SELECT tenant_id, id FROM orders) s",
        "(tenant_id, id) SELECT * FROM (SELECT tenant_id, id FROM public.orders WHERE orders.tenant_id = KEY) s",
    ),
]


@pytest.mark.parametrize(("sql", "expected"), CASES)
def test_the_key_is_supplied(world: World, sql: str, expected: str) -> None:
    assert text_of(world, f"INSERT INTO {sql}") == f"{INTO} {expected}"


@pytest.mark.parametrize(
    "sql",
    [
        "customers SELECT id, id FROM orders",
        "notes SELECT slug, 1, 'x' FROM tenants",
        "customers SELECT tenant_id, id FROM (SELECT 2 AS tenant_id, 1 AS id) s",
        "customers SELECT * FROM (SELECT 2 AS tenant_id) s NATURAL JOIN orders",
        "customers SELECT tenant_id + 1, 2 FROM orders",
        "customers SELECT * FROM jsonb_each('{}')",
    ],
)
def test_a_key_that_is_not_provably_the_own_one_is_refused(world: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, f"INSERT INTO {sql}")
