"""Where the oracle plays: the sample set with traps, shared and private, and the planner that the proxy would use.

`traps_shared` holds all tenants; `traps_privateN` tenant N alone; `traps_aloneN` is `traps_shared` with the other
tenants' rows deleted and everything else left, statistics and pages too: what a statement answers there, own rows
decide.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.sql.plan import Forward, PlanContext, Reject
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.tenancy.load import load
from proxy.tenancy.policy import Grant
from tests.kit.postgres import Cluster
from tests.kit.rules import write_sample_rules
from tests.kit.sample import DATA

FILES = ("schema.sql", "odd-types.sql", "traps.sql")
TEMPLATE = "template_traps"  # nobody connects to it
LOGINS = {1: "acme_app", 2: "globex_app", 3: "initech_app"}
KEYS = {1: ("1", "acme"), 2: ("2", "globex"), 3: ("3", "initech")}
_DELETE = """
SET session_replication_role = replica;
DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT a.attrelid::regclass AS rel, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND (a.attname IN ('tenant_id', 'tenant', 'tenant_uid', 'TenantId') OR (c.relname = 'tenants' AND a.attname = 'id'))
  LOOP
    EXECUTE format('DELETE FROM %s WHERE %I::text NOT IN (%L, %L, %L)', r.rel, r.attname, {number}, {slug}, {uid});
  END LOOP;
END $$;
"""


def load_traps(cluster: Cluster, tenant: int = 1) -> None:
    """Make the databases unless they are there."""
    present = cluster.databases()
    for name, options in ((TEMPLATE, ""), (f"traps_private{tenant}", f"-c seed.only={tenant}")):
        if name not in present:
            cluster.create_database(name)
            for file in FILES:
                cluster.psql(name, file=DATA / file, options=options)
    for name in ("traps_shared", f"traps_alone{tenant}"):
        if name not in present:
            cluster.create_database(name, TEMPLATE)
            if name != "traps_shared":
                cluster.psql(name, delete_others(tenant))


def delete_others(tenant: int) -> str:
    """What takes every other tenant's rows out of a shared database, and leaves its statistics as they were."""
    number, slug = KEYS[tenant]
    uid = f"00000000-0000-4000-8000-00000000000{tenant}"
    return _DELETE.format(number=f"'{number}'", slug=f"'{slug}'", uid=f"'{uid}'")


@dataclass(slots=True)
class Rewriting:
    """What the proxy would send for a tenant, without the proxy."""

    planner: Planner
    context: PlanContext
    keys: dict[str, str]

    def text(self, text: str, types: tuple[int, ...] = (), extended: bool = False) -> str | None:
        """The text for the server, or None for a statement that is refused."""
        planned = self.planner.compute(text.encode(), self.context, types, extended)
        (plan,) = planned.plans if len(planned.plans) == 1 else (None,)
        if not isinstance(plan, Forward):
            return None
        return fill(plan.template, self.keys, planned.literals).decode()

    def refusal(self, text: str, types: tuple[int, ...] = (), extended: bool = False) -> Reject | None:
        """Why it is refused."""
        for plan in self.planner.compute(text.encode(), self.context, types, extended).plans:
            if isinstance(plan, Reject):
                return plan
        return None


@dataclass(frozen=True)
class Stage:
    """One server with the databases, and a tenant."""

    port: int
    major: int
    tenant: int = 1
    database: str = "traps_shared"

    @cached_property
    def rewriting(self) -> Rewriting:
        with tempfile.TemporaryDirectory() as folder:
            write_sample_rules(Path(folder), self.port, self.database)
            book = load(Path(folder), os.environ, 1)
        login = book.login(LOGINS[self.tenant])
        grant = None if login is None else book.grant(login, self.database)
        assert grant is not None
        return rewriting_of(grant)


def rewriting_of(grant: Grant) -> Rewriting:
    """What the proxy would send for the tenant."""

    async def read() -> Catalog:
        connection = await connect(grant.server, grant.credentials)
        try:
            return await introspect(connection, 1)
        finally:
            await connection.close()

    catalog = asyncio.run(read())
    context = PlanContext(grant.policy, catalog.version, role=grant.server.role)
    return Rewriting(Planner(catalog, 0), context, dict(grant.keys))
