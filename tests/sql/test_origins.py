"""An OID is shown where every object that has it is."""

from __future__ import annotations

from proxy.sql.origins import Origins, visible_oid
from proxy.sql.world import World
from tests.sql.worlds import one_statement


def test_built_in_objects_are_the_same_in_every_database(world: World) -> None:
    assert visible_oid(world, 23)
    assert visible_oid(world, 0)


def test_relations_are_shown_as_the_policy_shows_them(world: World) -> None:
    relations = world.catalog.relations
    assert visible_oid(world, relations["public", "orders"].oid)
    assert not visible_oid(world, relations["public", "leaky_stats"].oid)


def test_the_row_type_and_the_array_type_of_a_hidden_relation_are_hidden(world: World) -> None:
    for name, shown in (("orders", True), ("leaky_stats", False)):
        row = world.catalog.types[world.catalog.relations["public", name].row_type]
        assert (visible_oid(world, row.oid), visible_oid(world, row.array)) == (shown, shown)


def test_functions_that_no_rule_lists_and_oids_of_nothing_are_hidden(world: World) -> None:
    assert not visible_oid(world, world.catalog.functions["order_secret"][0].oid)
    assert not visible_oid(world, 4_000_000_000)


def test_columns_of_catalogs_are_shown_and_columns_of_tables_are_not(world: World) -> None:
    tree = one_statement(world, "SELECT c.oid, o.id FROM pg_class c, orders o").tree
    first, second = (one["ResTarget"]["val"] for one in tree["SelectStmt"]["targetList"])
    origins = Origins(tree, world)
    assert origins.shown(first)
    assert not origins.shown(second)


def test_a_recursive_query_shows_what_both_arms_show(world: World) -> None:
    text = "WITH RECURSIVE t(o) AS (SELECT oid FROM pg_class UNION ALL SELECT {} FROM t) SELECT o FROM t"
    for step, shown in (("o", True), ("o + 1", False), ("17000", False)):
        tree = one_statement(world, text.format(step)).tree
        assert Origins(tree, world).shown(tree["SelectStmt"]["targetList"][0]["ResTarget"]["val"]) is shown
