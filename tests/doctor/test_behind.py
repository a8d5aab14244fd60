"""What a role behind policies could reach without the proxy: nothing but its own rows, or it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.examination import examine
from proxy.catalog.introspect import introspect
from proxy.doctor.behind import wall_findings
from proxy.doctor.patient import Patient
from proxy.doctor.report import refusing, report_of
from proxy.sql.world import World
from tests.kit.postgres import Cluster
from tests.kit.rls import load_walled, rls_grants
from tests.kit.sample import pristine
from tests.sql.worlds import sample_policy


@pytest.fixture
def database(server: Cluster) -> Iterator[str]:
    with pristine(load_walled(server), "walled") as name:
        yield name


async def names(cluster: Cluster, database: str, mode: str = "rls") -> set[str]:
    """Of what refuses the tenant, whatever the rules accept."""
    grant = next(one for one in rls_grants(cluster.port, database, mode) if one.tenant == "acme")
    connection = await connect(grant.server, grant.credentials)
    try:
        catalog, examination = await introspect(connection, 1), await examine(connection)
    finally:
        await connection.close()
    patient = Patient(World(grant.policy, catalog), examination)
    found = list(wall_findings(patient))
    assert {one.severity for one in found} <= {"critical"}
    assert not any(accepted for _, accepted in report_of((), found, [one.name for one in found]).findings)
    assert set(found) <= set(refusing(grant, catalog, examination))
    return {one.name for one in found}


@pytest.mark.parametrize("mode", ["rls", "row+rls"])
async def test_what_provision_makes_may_serve(server: Cluster, database: str, mode: str) -> None:
    assert await names(server, database, mode) == set()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("ALTER TABLE orders NO FORCE ROW LEVEL SECURITY", "rls.orders"),
        ("CREATE POLICY more ON events_2023 USING (true)", "rls.events_2023"),
        ("CREATE TABLE later (tenant_id int NOT NULL)", "rls.later"),
        ("ALTER VIEW open_orders OWNER TO postgres", "rls.open_orders"),
        ("GRANT TRUNCATE ON notes TO partywall_tenants", "rls.grants.notes"),
        ("GRANT INSERT ON products TO PUBLIC", "rls.grants.products"),
        ("GRANT UPDATE (name) ON products TO acme_rls", "rls.grants.products"),
        ("GRANT SELECT ON mv_order_stats TO PUBLIC", "rls.grants.mv_order_stats"),
        ("GRANT SELECT ON leaky_stats TO partywall_tenants", "rls.grants.leaky_stats"),
        ("CREATE TABLE other (); GRANT SELECT ON other TO PUBLIC", "rls.grants.other"),
        ("ALTER FUNCTION order_secret(int) OWNER TO postgres", "rls.definer.order_secret"),
    ],
)
async def test_each_hole_in_the_wall_refuses_and_cannot_be_accepted(
    server: Cluster, database: str, change: str, name: str
) -> None:
    server.psql(database, change)
    found = await names(server, database)
    assert name in found
    assert all(one.startswith(name) or one in ("rls.open_orders", "rls.order_totals") for one in found), found


async def test_rows_of_row_mode_alone_are_no_business_of_it(server: Cluster, database: str) -> None:
    grant = next(one for one in rls_grants(server.port, database) if one.tenant == "acme")
    connection = await connect(grant.server, grant.credentials)
    try:
        catalog, examination = await introspect(connection, 1), await examine(connection)
    finally:
        await connection.close()
    assert not list(wall_findings(Patient(World(sample_policy(), catalog), examination)))
