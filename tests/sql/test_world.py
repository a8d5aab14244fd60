"""World: hidden is absent, and a tenant relation is one only where its key can be trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Catalog, Collation, Column, Relation
from proxy.sql.verify.relations import Relations
from proxy.sql.world import World
from proxy.tenancy.policy import Policy, RelationRule
from tests.sql.worlds import sample_policy

INT4, TEXT, NUMERIC = 23, 25, 1700


def table(oid: int, name: str, *columns: Column, parents: tuple[int, ...] = (), kind: str = "r") -> Relation:
    return Relation(oid, "public", name, kind, columns=columns, parents=parents)


def small(*relations: Relation, rules: tuple[RelationRule, ...] = ()) -> World:
    catalog = Catalog(
        version=1,
        server_version=150018,
        database="d",
        relations={(one.schema, one.name): one for one in relations},
        types={},
        functions={},
        operators={},
        casts={},
        collations={100: Collation(100, "pg_catalog", "default", True), 9: Collation(9, "public", "nd", False)},
    )
    return World(Policy("d", "row", "tenant_id", {(one.schema, one.name): one for one in rules}), catalog)


def key(type_oid: int = INT4, *, not_null: bool = True, collation: int = 0, number: int = 1) -> Column:
    return Column(number, "tenant_id", type_oid, collation=collation, not_null=not_null)


@pytest.mark.parametrize(
    ("schema", "name", "access", "column", "key_name"),
    [
        (None, "orders", "tenant", "tenant_id", "default"),
        ("public", "notes", "tenant", "tenant", "slug"),
        (None, "documents", "tenant", "tenant_uid", "uid"),
        (None, "tenants", "tenant", "id", "default"),
        (None, "Order Details", "tenant", "TenantId", "default"),
        (None, "events_2024", "tenant", "tenant_id", "default"),
        (None, "vehicles", "tenant", "tenant_id", "default"),
        (None, "open_orders", "view", "tenant_id", "default"),
        (None, "mv_order_stats", "view", "tenant_id", "default"),
    ],
)
def test_a_confined_relation_is_seen_with_its_own_column_and_key(
    world: World, schema: str | None, name: str, access: str, column: str, key_name: str
) -> None:
    seen = world.relation(schema, name)
    assert seen is not None
    assert seen.column is not None
    assert (seen.access, seen.column.name, seen.key, seen.confined) == (access, column, key_name, True)


@pytest.mark.parametrize("name", ["leaky_stats", "odd_nullable", "audit_log_id_seq", "nowhere", "ORDERS"])
def test_what_no_rule_shows_is_absent(world: World, name: str) -> None:
    assert world.relation(None, name) is None
    assert world.relation("public", name) is None


def test_shared_relations_and_catalogs_are_seen_without_a_key(world: World) -> None:
    for schema, name, access in (
        (None, "products", "shared"),
        (None, "pg_class", "catalog"),
        ("pg_catalog", "pg_class", "catalog"),
    ):
        seen = world.relation(schema, name)
        assert seen is not None
        assert (seen.access, seen.column, seen.confined) == (access, None, False)
    assert world.relation(None, "tables") is None
    assert world.relation("information_schema", "tables") is not None


def test_pg_catalog_comes_first_on_the_path() -> None:
    mine = table(1, "pg_class", key())
    theirs = Relation(2, "pg_catalog", "pg_class", "r")
    seen = small(mine, theirs).relation(None, "pg_class")
    assert seen is not None
    assert seen.access == "catalog"


@pytest.mark.parametrize(
    ("relation", "reason"),
    [
        (table(1, "t", key(not_null=False)), "nullable"),
        (table(1, "t", key(NUMERIC)), "leakproof"),
        (table(1, "t", key(TEXT, collation=9)), "deterministic"),
    ],
)
def test_a_key_that_cannot_be_trusted_hides_the_relation_and_says_why(relation: Relation, reason: str) -> None:
    world = small(relation)
    assert world.relation(None, "t") is None
    assert reason in world.hidden_reasons["public", "t"]


def test_a_nullable_key_in_a_child_hides_the_parent_and_the_child() -> None:
    world = small(table(1, "t", key()), table(2, "child", key(not_null=False), parents=(1,)))
    assert world.relation(None, "t") is None
    assert world.relation(None, "child") is None


def test_a_child_without_a_rule_is_confined_by_the_column_of_its_parents_rule() -> None:
    owner = Column(1, "owner", INT4, not_null=True)
    rule = RelationRule("public", "t", "tenant", "owner", "other")
    seen = small(table(1, "t", owner), table(2, "child", owner, parents=(1,)), rules=(rule,)).relation(None, "child")
    assert seen is not None
    assert (seen.column, seen.key) == (owner, "other")


def test_a_shared_relation_with_a_tenants_child_is_hidden() -> None:
    rule = RelationRule("public", "t", "shared")
    world = small(table(1, "t"), table(2, "child", key(), parents=(1,)), rules=(rule,))
    assert world.relation(None, "t") is None
    assert "child" in world.hidden_reasons["public", "t"]


@pytest.mark.parametrize("kind", ["f", "S", "c", "i"])
def test_no_rule_shows_a_foreign_table_or_a_sequence(kind: str) -> None:
    rule = RelationRule("public", "t", "shared")
    assert small(table(1, "t", key(), kind=kind), rules=(rule,)).relation(None, "t") is None
    assert small(table(1, "t", key(), kind=kind)).relation(None, "t") is None


def test_a_hidden_rule_hides_a_relation_with_a_tenant_column() -> None:
    rule = RelationRule("public", "t", "hidden")
    assert small(table(1, "t", key()), rules=(rule,)).relation(None, "t") is None


def test_a_view_must_export_the_tenant_column() -> None:
    rule = RelationRule("public", "v", "view")
    assert small(table(1, "v", Column(1, "n", INT4), kind="v"), rules=(rule,)).relation(None, "v") is None
    assert small(table(1, "v", key(not_null=False), kind="v"), rules=(rule,)).relation(None, "v") is not None


def test_a_view_without_a_rule_is_hidden_although_it_has_the_tenant_column() -> None:
    for kind in "vm":
        assert small(table(1, "v", key(), kind=kind)).relation(None, "v") is None


def test_functions_are_found_in_path_order(world: World) -> None:
    assert {one.schema for one in world.function_candidates(None, "slugify")} == {"public"}
    assert world.function_candidates("public", "lower") == ()
    assert world.function_candidates(None, "lower")[0].schema == "pg_catalog"


def test_the_search_path_decides_unqualified_names(world: World) -> None:
    assert World(replace(sample_policy()), world.catalog, ()).relation(None, "orders") is None


def test_what_a_tenant_has_for_itself_is_nothing_that_is_shared_and_where_it_should_not_be_that_is_told() -> None:
    inside = replace(table(1, "things", key()), schema="own")
    among = replace(table(2, "late", key()), owner="own_rw")
    named = replace(table(3, "other", key()), schema="own")
    rules = (RelationRule("own", "other", "tenant"),)
    before = small(inside, among, named, rules=rules)
    policy = replace(before.policy, own_schemas=frozenset({"own"}), own_roles=frozenset({"own_rw"}))
    for one in (inside, among, named):
        assert before.relation(one.schema, one.name) is not None
        assert Relations(before.policy, before.catalog).shown(one.schema, one.name) is not None
        assert World(policy, before.catalog).relation(one.schema, one.name) is None
        assert Relations(policy, before.catalog).shown(one.schema, one.name) is None
    world = World(policy, before.catalog)
    assert set(world.hidden_reasons) == {("public", "late"), ("own", "other")}
    assert not world.shows_schema("own")
