"""What stands behind the server's own wall is shown, and nothing else, whatever a migration has left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Catalog, Relation
from proxy.sql.walls import STORED
from proxy.sql.world import World
from tests.kit.postgres import Cluster
from tests.kit.rls import MODES, load_walled, rls_catalog, rls_policy


@pytest.fixture(scope="module")
def catalog(server: Cluster) -> Catalog:
    return rls_catalog(load_walled(server).port)


def changed(catalog: Catalog, name: str, **more: object) -> Catalog:
    one: Relation = replace(catalog.relations["public", name], **more)  # type: ignore[arg-type]  # fields by name
    return replace(catalog, relations={**catalog.relations, ("public", name): one})


@pytest.mark.parametrize("mode", MODES)
def test_what_provision_walls_is_shown_and_stored_rows_are_not(catalog: Catalog, mode: str) -> None:
    world = World(rls_policy(mode), catalog)
    row = World(replace(rls_policy(mode), isolation="row", second_wall=False), catalog)
    for schema, name in catalog.relations:
        expected = row.relation(schema, name)
        if name == "mv_order_stats":
            assert expected is not None
            assert world.hidden_reasons[schema, name] == STORED
            expected = None
        assert world.relation(schema, name) == expected, name
    assert world.unwalled == {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wall", [None, ("tenant_id", "slug"), ("id", "default")])
def test_a_table_without_its_policy_is_not_there(catalog: Catalog, mode: str, wall: tuple[str, str] | None) -> None:
    fallen = changed(catalog, "orders", wall=wall)
    world = World(rls_policy(mode), fallen)
    assert world.relation("public", "orders") is None
    assert world.relation("public", "order_items") is not None
    # and with it the views that read it
    assert set(world.unwalled) == {("public", name) for name in ("orders", "open_orders", "order_totals")}
    assert World(replace(rls_policy(mode), isolation="row", second_wall=False), fallen).relation("public", "orders")


def test_a_partition_without_its_policy_is_hidden_by_itself(catalog: Catalog) -> None:
    world = World(rls_policy(), changed(catalog, "events_2024", wall=None))
    assert world.relation("public", "events") is not None
    assert set(world.unwalled) == {("public", "events_2024")}


def test_a_view_has_the_rights_of_who_asks_or_of_one_for_whom_policies_hold(catalog: Catalog) -> None:
    mighty = changed(catalog, "open_orders", owner="postgres", security_invoker=False)
    assert "has the rights of postgres" in World(rls_policy(), mighty).unwalled["public", "open_orders"]
    asked = changed(catalog, "open_orders", owner="postgres", security_invoker=True)
    assert World(rls_policy(), asked).unwalled == {}
    bypassing = replace(catalog, bypassing=catalog.bypassing | {"app_owner"})
    assert set(World(rls_policy(), bypassing).unwalled) == {("public", "open_orders"), ("public", "order_totals")}


def test_a_view_is_looked_through(catalog: Catalog) -> None:
    by_name = {name: one.oid for (schema, name), one in catalog.relations.items() if schema == "public"}
    inner = changed(catalog, "leaky_stats", owner="postgres")
    through = changed(inner, "open_orders", reads=(by_name["leaky_stats"],))
    assert (
        "public.leaky_stats has the rights of postgres"
        in World(rls_policy(), through).unwalled["public", "open_orders"]
    )
    stored = changed(catalog, "open_orders", reads=(by_name["mv_order_stats"],))
    assert "reads public.mv_order_stats" in World(rls_policy(), stored).unwalled["public", "open_orders"]
    shared = changed(catalog, "open_orders", reads=(by_name["orders"], by_name["products"]))
    assert World(rls_policy(), shared).unwalled == {}
