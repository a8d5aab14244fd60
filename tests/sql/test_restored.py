"""DETAIL of a key violation is said again of what the client has just sent, or not at all."""

from __future__ import annotations

import pytest

from proxy.sql.lift import lift
from proxy.sql.plan import Forward, PlanContext
from proxy.sql.planner import Planner
from proxy.sql.restored import Restore, as_text, with_detail
from proxy.sql.world import World
from proxy.tenancy.rulebook import classified
from tests.kit.postgres import Cluster
from tests.kit.rls import rls_catalog, rls_context
from tests.sql.worlds import keys_of, sample_policy

UNIQUE = {"C": "23505", "s": "public", "t": "customers", "n": "customers_pkey"}
FOREIGN = {"C": "23503", "s": "public", "t": "orders", "n": "orders_tenant_id_customer_id_fkey"} | {
    "D": 'Key is not present in table "customers".'
}


def restore_of(server: Cluster, text: str) -> Restore | None:
    context = rls_context(server, "row+rls")
    (plan,) = Planner(rls_catalog(server.port), 1 << 20).plan(text.encode(), context).plans
    assert isinstance(plan, Forward), plan
    return plan.restore


def detail(
    server: Cluster, text: str, fields: dict[str, str] = UNIQUE, values: tuple[bytes | None, ...] = ()
) -> str | None:
    restore = restore_of(server, text)
    lifted = lift(text.encode())
    if restore is None:
        return None
    return with_detail(fields, restore, keys_of(1), lifted.literals if lifted else (), values).get("D")


def test_constants_and_parameters_are_told(postgres15: Cluster) -> None:
    for text, values in (
        ("INSERT INTO customers (id, name) VALUES (1, 'x')", ()),
        ("INSERT INTO customers (name, id) VALUES ('x', '01')", ()),
        ("INSERT INTO customers (tenant_id, id, name) VALUES (1, 1, 'x')", ()),
        ("INSERT INTO customers (id, name) VALUES ($1, $2) RETURNING id", (b"1", b"x")),
    ):
        assert detail(postgres15, text, UNIQUE, values) == "Key (tenant_id, id)=(1, 1) already exists."


def test_a_row_that_refers_to_none_is_told_by_its_values(postgres15: Cluster) -> None:
    text = "INSERT INTO orders (id, customer_id, secret) VALUES (900, 5555, 's')"
    wanted = 'Key (tenant_id, customer_id)=(1, 5555) is not present in table "customers".'
    assert detail(postgres15, text, FOREIGN) == wanted
    for text, values in (
        ("UPDATE orders SET customer_id = 5555 WHERE id = 1", ()),
        ("UPDATE orders SET note = lower(note), customer_id = $1 WHERE id > $2", (b"5555", b"1")),
    ):
        assert detail(postgres15, text, FOREIGN, values) == wanted
    assert detail(postgres15, "UPDATE customers SET id = 1", UNIQUE) == "Key (tenant_id, id)=(1, 1) already exists."


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO customers (id, name) VALUES (1, 'x'), (2, 'y')",
        "INSERT INTO customers (id, name) VALUES (1 + 0, 'x')",
        "INSERT INTO customers (id, name) SELECT 1, 'x'",
        "INSERT INTO customers (name) VALUES ('x')",
        "INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (tenant_id, id) DO UPDATE SET id = 2",
        "WITH w AS (SELECT 1) INSERT INTO customers (id, name) VALUES (1, 'x')",
        "UPDATE customers SET id = id + 1",
        "UPDATE customers SET name = 'x'",
        "WITH w AS (SELECT 1) UPDATE customers SET id = 1",
        "INSERT INTO customers (id, name) VALUES (1.0, 'x')",
        "INSERT INTO customers (id, name) VALUES (NULL, 'x')",
    ],
)
def test_what_is_not_certain_is_not_told(postgres15: Cluster, text: str) -> None:
    assert detail(postgres15, text) is None


def test_an_error_of_another_constraint_is_left_as_it_is(postgres15: Cluster) -> None:
    text = "INSERT INTO customers (id, name) VALUES (1, 'x')"
    nested, other = UNIQUE | {"W": "SQL statement"}, UNIQUE | {"n": "other"}
    for fields in (nested, other, UNIQUE | {"t": "orders"}, UNIQUE | {"C": "23514"}, FOREIGN, {}):
        assert detail(postgres15, text, fields) == fields.get("D")


def test_nothing_is_kept_where_the_server_says_it_itself(world: World) -> None:
    text = b"INSERT INTO customers (id, name) VALUES ($1, 'x')"
    (plan,) = Planner(world.catalog, 1 << 20).plan(text, PlanContext(classified(sample_policy()), 1)).plans
    assert isinstance(plan, Forward)
    assert plan.restore is None


def test_binary_parameters_become_text_where_their_type_is_known(postgres15: Cluster) -> None:
    restore = restore_of(postgres15, "INSERT INTO customers (id, name) VALUES ($1, $2)")
    assert restore is not None
    assert restore.parameters
    values = (b"\0\0\0\7", b"x")
    assert as_text(restore, (), (1,), values)[0] == b"7"
    assert as_text(restore, (20,), (1,), (b"\0" * 7 + b"\7", b"x"))[0] == b"7"
    assert as_text(restore, (), (1,), (b"\x7f" * 5000, b"x"))[0] is None  # Python prints no integer of that size
    assert as_text(restore, (), (1,), (b"", b"x"))[0] is None
    assert as_text(restore, (1700,), (0,), (b"7", b"x"))[0] is None
    assert as_text(restore, (), (), (None, b"x"))[0] is None


def test_a_plan_whose_parameters_must_be_kept_goes_the_general_way(postgres15: Cluster) -> None:
    context = rls_context(postgres15, "row+rls")
    planner = Planner(rls_catalog(postgres15.port), 1 << 20)
    for text, plain in (
        (b"INSERT INTO customers (id, name) VALUES ($1, $2)", False),
        (b"INSERT INTO customers (id, name) VALUES (1, 'x')", True),
    ):
        (plan,) = planner.plan(text, context).plans
        assert isinstance(plan, Forward)
        assert plan.plain is plain


def test_a_row_that_others_refer_to_is_not_taken_for_one_that_refers(postgres15: Cluster) -> None:
    text = "UPDATE orders SET customer_id = 5555 WHERE id = 1"
    fields = FOREIGN | {"D": 'Key is still referenced from table "orders".'}
    assert detail(postgres15, text, fields) == fields["D"]
