"""Items: a relation's columns under their aliases, and the tenant column under the name it has here."""

from __future__ import annotations

import pytest

from proxy.sql.scope import Source
from proxy.sql.world import World
from tests.sql.worlds import analysed


def source(world: World, sql: str) -> Source:
    return analysed(world, sql).levels[-1].sources[0]


@pytest.mark.parametrize(
    ("sql", "column"),
    [
        ("SELECT 1 FROM orders", "tenant_id"),
        ("SELECT 1 FROM orders o(a, b)", "a"),
        ("SELECT 1 FROM orders o(id, tenant_id)", "id"),
        ("SELECT 1 FROM orders o(id)", None),
        ('SELECT 1 FROM "Order Details"', "TenantId"),
    ],
)
def test_the_tenant_column_is_found_by_position(world: World, sql: str, column: str | None) -> None:
    assert source(world, sql).column == column


def test_the_tenant_column_of_a_confined_relation_carries_its_key(world: World) -> None:
    outputs = analysed(world, "SELECT tenant, id FROM notes").query.outputs
    assert outputs is not None
    assert [one.value.key for one in outputs] == ["slug", None]


def test_a_plain_stored_column_is_silent_and_a_composite_one_is_not(world: World) -> None:
    env = analysed(world, "SELECT 1 FROM users").levels[-1].env
    assert env is not None
    assert env.column("email").silent
    assert not env.column("home").silent
    assert env.column("home").stored
    assert env.column("email").source is env.items[0].source
