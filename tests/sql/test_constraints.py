"""SET CONSTRAINTS by name: constraints of visible tables; any other does not exist."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported, UndefinedObject
from proxy.sql.constraints import qualified
from proxy.sql.world import World
from proxy.tenancy.policy import RelationRule
from tests.sql.worlds import one_statement, sample_policy

DEFERRABLE = "users_tenant_id_manager_id_fkey"


def names(world: World, sql: str) -> list[tuple[str | None, str]]:
    body = qualified(one_statement(world, sql).tree, world)["ConstraintsSetStmt"]
    return [(one["RangeVar"].get("schemaname"), one["RangeVar"]["relname"]) for one in body.get("constraints", ())]


def test_a_name_gets_its_schema(world: World) -> None:
    for name in (DEFERRABLE, f"public.{DEFERRABLE}", f"shared.public.{DEFERRABLE}"):
        assert names(world, f"SET CONSTRAINTS {name} DEFERRED") == [("public", DEFERRABLE)]
    assert names(world, "SET CONSTRAINTS ALL IMMEDIATE") == []
    assert names(world, f"SET CONSTRAINTS orders_pkey, {DEFERRABLE} DEFERRED") == [
        ("public", "orders_pkey"), ("public", DEFERRABLE)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["nosuch", "public.nosuch", "pg_catalog.orders_pkey", "orders_placed_ix"])
def test_a_name_that_is_none_does_not_exist(world: World, name: str) -> None:
    with pytest.raises(UndefinedObject) as caught:
        names(world, f"SET CONSTRAINTS {name} DEFERRED")
    assert caught.value.message == f'constraint "{name}" does not exist'


def test_a_hidden_tables_constraint_does_not_exist(world: World) -> None:
    hidden = World(sample_policy(RelationRule("public", "users", "hidden")), world.catalog)
    with pytest.raises(UndefinedObject) as caught:
        names(hidden, f"SET CONSTRAINTS {DEFERRABLE} DEFERRED")
    assert (caught.value.sqlstate, caught.value.message) == ("42704", f'constraint "{DEFERRABLE}" does not exist')


def test_another_databases_name_is_none(world: World) -> None:
    with pytest.raises(FeatureNotSupported):
        names(world, f"SET CONSTRAINTS other.public.{DEFERRABLE} DEFERRED")
