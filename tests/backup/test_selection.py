"""A tenant's tables are those that the planner calls its own, parents before children."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backup.neighbours import Around
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept, ordered, references, selected, text, title
from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog, Relation
from tests.backup.shelf import operators, sample_grant, small
from tests.kit.postgres import Cluster
from tests.kit.rls import WALLED, load_walled, rls_grants


def catalog_of(cluster: Cluster, database: str) -> Catalog:
    async def read() -> Catalog:
        connection = await connect(*operators(cluster, database))
        try:
            return await introspect(connection, 1)
        finally:
            await connection.close()

    return asyncio.run(read())


def named(kept: tuple[Kept, ...]) -> dict[str, Kept]:
    return {one.relation.name: one for one in kept}


def test_the_sample_sets_tables_are_found_each_with_its_tenant_column_first(shared_server: Cluster) -> None:
    grant = sample_grant(shared_server)
    catalog = catalog_of(shared_server, "shared")
    found = named(selected(catalog, grant, Around()))
    assert {"products", "categories", "open_orders", "mv_order_stats", "metrics_t2", "events_2023"}.isdisjoint(found)
    wanted = {
        "tenants": "id",
        "notes": "tenant",
        "documents": "tenant_uid",
        "orders": "tenant_id",
        "vehicles": "tenant_id",
    }
    for table, column in wanted.items():
        assert found[table].columns[0].name == column
    assert found["vehicles"].only == 'ONLY "public"."vehicles"'
    assert found["metrics"].only == '"public"."metrics"'
    assert found["notes"].owned(grant) == "\"tenant\" = 'globex'"
    assert found["orders"].owned(grant, "t") == "t.\"tenant_id\" = '2'"
    assert "amount_cents" not in {one.name for one in found["orders"].columns}
    assert found["Order Details"].rows(grant).endswith('FROM ONLY "public"."Order Details" WHERE "TenantId" = \'2\'')


def test_what_is_referenced_comes_first(shared_server: Cluster) -> None:
    catalog = catalog_of(shared_server, "shared")
    kept = ordered(catalog, selected(catalog, sample_grant(shared_server), Around()))
    place = {one.relation.name: number for number, one in enumerate(kept)}
    for child, parent in (
        ("users", "tenants"),
        ("orders", "customers"),
        ("order_items", "orders"),
        ("notes", "tenants"),
    ):
        assert place[parent] < place[child]
    outside = {one.target.name for one in references(catalog, kept) if one.parent is None}
    assert outside == {"products"}
    assert {one.child is None for one in references(catalog, kept)} == {False}
    assert [one.key.name for one in references(catalog, kept) if one.child == one.parent] == [
        "users_tenant_id_manager_id_fkey"
    ]


NULLABLE = """
CREATE TABLE a (tenant_id int NOT NULL); CREATE TABLE b (tenant_id int); CREATE TABLE c (whose int);
CREATE TABLE d (tenant_id numeric NOT NULL); CREATE TABLE e (tenant_id int); CREATE TABLE f (tenant_id int);
CREATE TABLE parted (tenant_id int NOT NULL, n int) PARTITION BY LIST (n); CREATE TABLE one PARTITION OF parted DEFAULT;
CREATE TABLE free (id int); CREATE SCHEMA partywall; CREATE TABLE partywall.t (tenant_id int);
CREATE VIEW v AS SELECT 2 AS tenant_id; CREATE MATERIALIZED VIEW m AS SELECT 2 AS tenant_id;
"""


def test_a_table_that_is_hidden_and_not_by_a_rule_is_never_left_out_in_silence(postgres18: Cluster) -> None:
    rules = "e: {hidden: true}, f: {shared: read}, c: {tenant_column: who}, m: {view: verified}, one: {hidden: true}"
    with small(postgres18, NULLABLE, rules) as grants:
        grant = grants["globex"]
        with pytest.raises(Refused) as refused:
            selected(catalog_of(postgres18, grant.server.database), grant, Around())
        assert [one.split(";")[0] for one in refused.value.problems] == [
            "public.b may hold rows of globex, and is hidden: the tenant column tenant_id of public.b is nullable",
            "public.c may hold rows of globex, and is hidden: it has no column who",
            "public.d may hold rows of globex, and is hidden: the type of its tenant column tenant_id has no leakproof"
            " equality",
        ]
        assert all("(hidden: true)" in one for one in refused.value.problems)
        postgres18.psql(grant.server.database, "DROP TABLE b, c, d")
        assert set(named(selected(catalog_of(postgres18, grant.server.database), grant, Around()))) == {"a", "parted"}


def test_behind_policies_a_table_without_one_is_a_reason_to_refuse_and_a_partition_of_one_with_it_is_not(
    postgres18: Cluster,
) -> None:
    load_walled(postgres18)
    postgres18.create_database("walled_selected", f"template_{WALLED}")
    try:
        grant = rls_grants(postgres18.port, "walled_selected")[0]
        before = selected(catalog_of(postgres18, "walled_selected"), grant, Around())
        postgres18.psql(
            "walled_selected",
            "CREATE TABLE events_2029 PARTITION OF events FOR VALUES FROM ('2029-01-01') TO ('2030-01-01')",
        )
        assert (
            named(selected(catalog_of(postgres18, "walled_selected"), grant, Around())).keys() == named(before).keys()
        )
        postgres18.psql("walled_selected", "CREATE TABLE late (tenant_id int NOT NULL)")
        with pytest.raises(Refused, match=r"public\.late may hold rows of acme, and is hidden: the server has not the"):
            selected(catalog_of(postgres18, "walled_selected"), grant, Around())
    finally:
        postgres18.drop_database("walled_selected")


def test_a_table_is_named_so_that_no_other_has_its_name() -> None:
    names = [("public", "orders"), ("a.b", "c"), ("a", "b.c"), ("public", 'o"x'), ("public", "Orders")]
    assert [title(Relation(1, schema, name, "r")) for schema, name in names] == [
        "public.orders",
        '"a.b".c',
        'a."b.c"',
        'public."o""x"',
        'public."Orders"',
    ]


def test_a_value_is_quoted_as_the_server_reads_it() -> None:
    assert text("it's") == "'it''s'"
