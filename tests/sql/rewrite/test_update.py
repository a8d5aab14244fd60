"""Update: the tenant column keeps its key; everything else on own rows only."""

from __future__ import annotations

import pytest

from proxy.errors import InsufficientPrivilege
from proxy.sql.rewrite import rewrite
from proxy.sql.world import World
from tests.sql.worlds import one_statement, text_of


@pytest.mark.parametrize(
    "assignment",
    [
        "tenant_id = id",
        "tenant_id = DEFAULT",
        "(note, tenant_id) = ('x', 1 + 0)",
        "(tenant_id) = (SELECT 1 + 0)",
    ],
)
def test_setting_the_tenant_column_to_something_else_is_refused_with_one_answer(world: World, assignment: str) -> None:
    with pytest.raises(InsufficientPrivilege) as caught:
        text_of(world, f"UPDATE orders SET {assignment}")
    assert caught.value.message == 'new row violates row-level security policy for table "orders"'


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE orders SET qty = 1", "UPDATE public.orders SET qty = 1 WHERE orders.tenant_id = KEY"),
        (
            "UPDATE orders o SET qty = 1 FROM customers c WHERE c.id = o.id",
            "SET qty = 1 FROM public.customers c WHERE o.tenant_id = KEY AND c.tenant_id = KEY AND c.id = o.id",
        ),
        ("DELETE FROM orders RETURNING (SELECT max(id) FROM users)", "FROM public.users WHERE users.tenant_id = KEY)"),
        ("WITH orders AS (SELECT 1) DELETE FROM orders", "DELETE FROM public.orders WHERE orders.tenant_id = KEY"),
    ],
)
def test_only_own_rows_are_changed(world: World, sql: str, expected: str) -> None:
    assert text_of(world, sql).endswith(expected)


def test_a_multi_column_assignment_confines_its_source_once(world: World) -> None:
    sql = "UPDATE orders SET (note, qty) = (SELECT name, 1 FROM customers)"
    tree = rewrite(one_statement(world, sql).tree, world).tree
    first, second = (one["ResTarget"]["val"]["MultiAssignRef"]["source"] for one in tree["UpdateStmt"]["targetList"])
    where = first["SubLink"]["subselect"]["SelectStmt"]["whereClause"]
    assert first is second
    assert where["A_Expr"]["lexpr"]["ColumnRef"]["fields"][0]["String"]["sval"] == "customers"
