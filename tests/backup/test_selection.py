"""A tenant's tables are those that the planner calls its own, parents before children."""

from __future__ import annotations

import asyncio

from proxy.backup.selection import Kept, ordered, references, selected, text
from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from tests.backup.shelf import operators, sample_grant
from tests.kit.postgres import Cluster


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
    found = named(selected(catalog, grant))
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
    kept = ordered(catalog, selected(catalog, sample_grant(shared_server)))
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


def test_a_value_is_quoted_as_the_server_reads_it() -> None:
    assert text("it's") == "'it''s'"
