"""The sample set behind policies: `walled` is the shared database with what `partywall provision` makes there, and a
role for each of the three tenants; what a tenant's session is compared with are the sample's private databases.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
from pathlib import Path

from proxy.catalog.connect import connect
from proxy.catalog.grants import read_grants
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.catalog.walls import GROUP
from proxy.doctor.walls import tenant_behind, tenant_relations, walls
from proxy.sql.plan import PlanContext
from proxy.tenancy.load import load
from proxy.tenancy.policy import Credentials, Grant, Policy, Server
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.rules import SEQUENCES, TENANTS, sample_rules
from tests.kit.sample import load_sample, once

WALLED = "walled"
MODES = {"rls": "isolation: rls", "row+rls": "isolation: row\nsecond_wall: rls"}


def role_of(tenant: str) -> str:
    """The tenant's role at the server."""
    return f"{tenant}_rls"


def rls_rules(port: int, database: str = WALLED, mode: str = "rls", sequences: str = SEQUENCES) -> str:
    """The sample's rule file in one of MODES, for a copy of `walled`."""
    text = sample_rules(port, database, sequences).replace("isolation: row", MODES[mode])
    for tenant in TENANTS.values():
        text = text.replace(f"tenant: {tenant}\n", f"tenant: {tenant}\nserver_login: {role_of(tenant)}\n")
    return text


def rls_grants(port: int, database: str = WALLED, mode: str = "rls", sequences: str = SEQUENCES) -> list[Grant]:
    """What these rules grant, by tenant, read_only last."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(rls_rules(port, database, mode, sequences), "utf-8")
        book = load(Path(folder), {}, 1)
    return [grant for _, grant in sorted(book.grants.items())]


def provision_walls(cluster: Cluster, database: str, grants: list[Grant]) -> None:
    """What `partywall provision` prints for these, run."""

    async def texts() -> list[str]:
        server = Server(cluster.host, cluster.port, database, SUPERUSER)
        connection = await connect(server, Credentials(tls="disable"))
        try:
            policy, catalog = grants[0].policy, await introspect(connection, 1)
            relations = [seen.relation.oid for seen in tenant_relations(policy, catalog)]
            made = walls(policy, catalog, await read_grants(connection, GROUP, relations))
            return [made, *(tenant_behind(one, b"0123456789abcdef") for one in grants if not one.policy.read_only)]
        finally:
            await connection.close()

    for text in asyncio.run(texts()):
        cluster.psql(database, text)


@once
def load_walled(cluster: Cluster) -> Cluster:
    """Make `walled` and its template unless they are there; a copy is `pristine(cluster, "walled")`."""
    present = load_sample(cluster).databases()
    template = f"template_{WALLED}"
    if template not in present:
        cluster.create_database(template, "template_shared")
        provision_walls(cluster, template, rls_grants(cluster.port, template))
        # The registry of tenants may be read, and the sample's own role has no more of it.
        cluster.psql(template, f"REVOKE INSERT, UPDATE, DELETE ON tenants FROM {GROUP}")
    if WALLED not in present:
        cluster.create_database(WALLED, template)
    return cluster


@functools.cache
def rls_catalog(port: int) -> Catalog:
    """The catalog of `walled` as a tenant's role reads it."""
    server = Server("127.0.0.1", port, WALLED, role_of("acme"))

    async def read() -> Catalog:
        connection = await connect(server, Credentials(tls="disable"))
        try:
            return await introspect(connection, 1)
        finally:
            await connection.close()

    return asyncio.run(read())


def rls_policy(mode: str = "rls", read_only: bool = False) -> Policy:
    """What the rules make of a tenant."""
    return next(one.policy for one in rls_grants(5432, mode=mode) if one.policy.read_only is read_only)


def rls_context(cluster: Cluster, mode: str = "rls", read_only: bool = False) -> PlanContext:
    """A session of the tenant acme; the catalog is rls_catalog(cluster.port)."""
    policy = rls_policy(mode, read_only)
    return PlanContext(policy, rls_catalog(load_walled(cluster).port).version, policy.path, role_of("acme"))
