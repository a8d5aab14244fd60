"""Given: the row gets the key or NULL, whatever the client says; what it says is asked for where it is known."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.oids import INT4, INT8
from proxy.sql.plan import KeyCheck
from proxy.sql.world import World
from tests.sql.worlds import confined, text_of

KEY = "'1'::int"


def if_own(value: str) -> str:
    return f"CASE WHEN {value} = KEY THEN {KEY} END"


def checks(world: World, sql: str) -> tuple[object, ...]:
    """The values that are asked for."""
    return tuple(one.value for one in confined(world, sql)[0].checks)


def test_a_literal_is_replaced_by_the_key_and_asked_for(world: World) -> None:
    done, text = confined(world, "INSERT INTO customers (id, tenant_id) VALUES (5, 9), (6, '9'::int)")
    assert text == f"INSERT INTO public.customers (id, tenant_id) VALUES (5, {KEY}), (6, {KEY})"
    assert done.checks == (KeyCheck("customers", "default", INT4, b"9"), KeyCheck("customers", "default", INT4, b"'9'"))


def test_a_parameter_keeps_its_place_and_its_type(world: World) -> None:
    done, text = confined(world, "INSERT INTO customers VALUES ($2, $1)")
    assert text == (
        "INSERT INTO public.customers (tenant_id, id) VALUES "
        f"(CASE WHEN $2::int OPERATOR(pg_catalog.=) {KEY} THEN {KEY} END, $1)"
    )
    assert done.checks == (KeyCheck("customers", "default", INT4, 2),)


def test_a_cast_of_a_parameter_is_the_type_that_is_asked_for(world: World) -> None:
    done, text = confined(world, "UPDATE orders SET tenant_id = $1::bigint")
    assert "SET tenant_id = CASE WHEN $1::bigint" in text
    assert done.checks == (KeyCheck("orders", "default", INT8, 1),)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SET tenant_id = tenant_id", f"SET tenant_id = {if_own('tenant_id')}"),
        ("SET (note, tenant_id) = ('x', o.tenant_id)", f"SET (note, tenant_id) = ('x', {if_own('o.tenant_id')})"),
        ("SET tenant_id = c.tenant_id FROM customers c", f"SET tenant_id = {if_own('c.tenant_id')}"),
        (
            "SET tenant_id = (SELECT id FROM tenants)",
            f"SET tenant_id = {if_own('(SELECT id FROM public.tenants WHERE')}",
        ),
    ],
)
def test_what_is_provably_the_key_is_compared_with_it_again(world: World, sql: str, expected: str) -> None:
    assert expected.split(" WHERE", maxsplit=1)[0] in text_of(world, f"UPDATE orders o {sql}")


def test_the_row_proposed_has_the_key(world: World) -> None:
    sql = (
        "INSERT INTO customers (id) VALUES (1) ON CONFLICT (tenant_id, id) DO UPDATE SET tenant_id = excluded.tenant_id"
    )
    assert f"SET tenant_id = {if_own('excluded.tenant_id')}" in text_of(world, sql)


@pytest.mark.parametrize(
    "value",
    ["NULL", "true", "1 + 0", "id", "qty", "$1::text", "'1'::text", "DEFAULT", "(SELECT 1)", "(SELECT id FROM users)",
     "coalesce(tenant_id, 2)", "tenant_id + 0", "'1'::int::text::int", "$1::numeric"],
)  # fmt: skip
def test_what_is_not_provably_the_key_is_refused_with_one_answer(world: World, value: str) -> None:
    for sql in (
        f"UPDATE orders SET tenant_id = {value}",
        f"UPDATE orders SET (qty, tenant_id) = (1, {value})",
        "UPDATE orders SET (qty, tenant_id) = (SELECT 1, $1::int)",
        "UPDATE orders SET (qty, tenant_id) = (SELECT 1, id FROM users)",
        "UPDATE orders SET (qty, tenant_id) = (SELECT * FROM users)",
    ):
        with pytest.raises(InsufficientPrivilege) as caught:
            text_of(world, sql)
        assert caught.value.message == 'new row violates row-level security policy for table "orders"'


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO customers SELECT $1, 2 UNION ALL SELECT 1, 2",
        "INSERT INTO customers SELECT id, id FROM orders",
        "INSERT INTO customers SELECT NULL, id FROM orders",
    ],
)
def test_an_output_that_cannot_be_followed_is_refused(world: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported):
        text_of(world, sql)


def test_a_literal_is_asked_for_in_every_arm(world: World) -> None:
    assert checks(world, "INSERT INTO customers SELECT 1, 2 UNION SELECT 3, 4 UNION VALUES (5, 6)") == (
        b"1",
        b"3",
        b"5",
    )


def test_the_name_of_a_column_stays_for_order_by(world: World) -> None:
    sql = (
        "INSERT INTO customers SELECT DISTINCT s.tenant_id, 1 FROM (SELECT tenant_id FROM orders) s ORDER BY tenant_id"
    )
    assert f"SELECT DISTINCT {if_own('s.tenant_id')} AS tenant_id, 1 FROM" in text_of(world, sql)
