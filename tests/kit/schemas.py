"""The sample set in schema mode: `beside` has a schema and a role for each of the three tenants, `apart1` to `apart3`
the same schema alone, which is what a tenant's session is compared with.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.auth.scram import build_verifier
from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.doctor.provision import provision
from proxy.sql.plan import Forward, Plan, PlanContext, Reject
from proxy.sql.planner import Planner
from proxy.sql.world import World
from proxy.tenancy.load import load
from proxy.tenancy.policy import Credentials, Policy, Server
from tests.kit.postgres import Cluster
from tests.kit.rules import PASSWORDS, TENANTS
from tests.kit.sample import DATA, once

FILES = ("schema.sql", "odd-types.sql")
DATABASE = """\
database: {name}
server: postgresql://operator@127.0.0.1:{port}/{database}?sslmode=disable
isolation: schema
shared_schemas: [reference]
"""
TENANT = """\
---
tenant: {tenant}
databases: [{name}]
schema: {tenant}
server_login: {tenant}_rw
logins:
"""
REFERENCE = """
CREATE SCHEMA reference;
CREATE TABLE reference.countries (code text PRIMARY KEY, name text NOT NULL);
INSERT INTO reference.countries VALUES ('no', 'Norway'), ('dk', 'Denmark');
CREATE VIEW reference.names AS SELECT name FROM reference.countries;
"""


def schema_rules(
    port: int, database: str, name: str = "shared", tenants: tuple[str, ...] = ("acme", "globex", "initech")
) -> str:
    """The rule file's text: a schema for each tenant in `database`, which their DSN calls `name`."""
    text = DATABASE.format(name=name, port=port, database=database)
    for tenant in tenants:
        text += TENANT.format(tenant=tenant, name=name)
        for login in (one for one in PASSWORDS if one.startswith(tenant)):
            verifier = build_verifier(PASSWORDS[login], login.encode().ljust(16, b"."), 4096)
            text += f'  {login}: {{verifier: "{verifier}", read_only: {str(login.endswith("_ro")).lower()}}}\n'
    return text


def provisioned(cluster: Cluster, database: str, tenants: tuple[str, ...]) -> None:
    """What `partywall provision` prints for these tenants, run."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(schema_rules(cluster.port, database, tenants=tenants), "utf-8")
        book = load(Path(folder), {}, 1)
    for (_, _, read_only), grant in sorted(book.grants.items()):
        if not read_only:
            cluster.psql(database, provision(grant, b"0123456789abcdef"))


@contextmanager
def empty_schemas(cluster: Cluster, name: str, tenants: tuple[str, ...]) -> Iterator[str]:
    """A database of this name with the tenants' schemas, which hold nothing, and the shared one."""
    cluster.create_database(name)
    cluster.psql(name, REFERENCE)
    provisioned(cluster, name, tenants)
    yield name
    cluster.drop_database(name)


@once
def load_schemas(cluster: Cluster) -> Cluster:
    """Make the four databases unless they are there."""
    present = cluster.databases()
    for database, numbers in (("beside", (1, 2, 3)), ("apart1", (1,)), ("apart2", (2,)), ("apart3", (3,))):
        if database not in present:
            template = f"template_{database}"
            make_template(cluster, template, numbers)
            cluster.create_database(database, template)
    return cluster


def make_template(cluster: Cluster, template: str, numbers: tuple[int, ...]) -> None:
    """A database that nobody connects to, of these tenants' schemas."""
    cluster.create_database(template)
    cluster.psql(template, REFERENCE)
    names = tuple(TENANTS[one] for one in numbers)
    provisioned(cluster, template, names)
    with tempfile.TemporaryDirectory() as folder:
        for number, schema in zip(numbers, names, strict=True):
            for file in FILES:
                text = Path(folder) / file
                text.write_text((DATA / file).read_text("utf-8").replace("public", schema), "utf-8")
                cluster.psql(template, file=text, options=f"-c seed.only={number} -c search_path={schema}")
    provisioned(cluster, template, names)  # what was loaded becomes the tenants' own
    if len(numbers) == 1:
        cluster.psql(template, "DROP SCHEMA public CASCADE")


def schema_policy(schema: str = "acme", read_only: bool = False) -> Policy:
    """What the rules above make of a tenant."""
    return Policy(
        "shared",
        "schema",
        "",
        {},
        explain="allowed",
        read_only=read_only,
        schema=schema,
        shared_schemas=("reference",),
        policy_class=f"{schema} {read_only}",
    )


@functools.cache
def schema_catalog(port: int, schema: str = "acme") -> Catalog:
    """The catalog of the database `beside` on this server as a tenant's role reads it."""
    server = Server("127.0.0.1", port, "beside", f"{schema}_rw")

    async def read() -> Catalog:
        connection = await connect(server, Credentials(None, "disable"))
        try:
            return await introspect(connection, 1, schemas=(schema, "reference"))
        finally:
            await connection.close()

    return asyncio.run(read())


@dataclass(frozen=True, slots=True)
class Beside:
    """A tenant's world beside others', and what becomes of a text there."""

    context: PlanContext
    catalog: Catalog

    @property
    def world(self) -> World:
        return World(self.context.policy, self.catalog, self.context.search_path)

    def plans(self, text: str, extended: bool = False) -> tuple[Plan, ...]:
        """Of each statement."""
        return Planner(self.catalog, 0).compute(text.encode(), self.context, (), extended).plans

    def plan(self, text: str) -> Plan:
        """Of the only one."""
        (plan,) = self.plans(text)
        return plan

    def sent(self, text: str) -> str:
        """What is sent; a ValueError for what is refused."""
        plan = self.plan(text)
        if not isinstance(plan, Forward):
            raise ValueError(str(plan))
        return b"?".join(plan.template.pieces).decode()

    def refused(self, text: str) -> tuple[str, str]:
        """SQLSTATE and message of a refusal."""
        plan = self.plan(text)
        if not isinstance(plan, Reject):
            raise ValueError(str(plan))
        return plan.sqlstate, plan.message


def beside_of(cluster: Cluster, read_only: bool = False) -> Beside:
    """The world of the tenant acme on this server."""
    load_schemas(cluster)
    policy = schema_policy(read_only=read_only)
    catalog = schema_catalog(cluster.port)
    return Beside(PlanContext(policy, catalog.version, policy.path, "acme_rw"), catalog)
