"""A small database for one test of the doctor, and what the doctor says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count

from proxy.catalog.connect import connect
from proxy.catalog.examination import examine
from proxy.catalog.finding import Finding
from proxy.catalog.introspect import introspect
from proxy.doctor.patient import Patient
from proxy.sql.world import World
from proxy.tenancy.policy import Access, Credentials, FunctionRule, Policy, RelationRule, Server
from tests.kit.postgres import Cluster

ROLE = "clinic_app"
GRANTS = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE};"
_numbers = count(1)
Relations = Mapping[str, tuple[Access, str | None]]
NONE: Relations = {}
Findings = Callable[[Patient], Iterable[Finding]]


@contextmanager
def clinic(cluster: Cluster, sql: str) -> Iterator[str]:
    """The name of a database with this schema, of which the role has what a tenant needs unless `sql` says more."""
    name = f"clinic{next(_numbers)}"
    cluster.create_database(name)
    try:
        made = f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        cluster.psql(name, f"{made} {sql}; {GRANTS}")
        yield name
    finally:
        cluster.drop_database(name)


async def patient(
    cluster: Cluster, database: str, functions: tuple[str, ...] = (), relations: Relations = NONE
) -> Patient:
    """The database as tenants see it: `tenant_id` is the tenant column; relations: access and column by name."""
    rules = {("public", name): RelationRule("public", name, *one) for name, one in relations.items()}
    listed = tuple(FunctionRule("public", name) for name in functions)
    policy = Policy("clinic", "row", "tenant_id", rules, listed)
    connection = await connect(Server("127.0.0.1", cluster.port, database, ROLE), Credentials(tls="disable"))
    try:
        return Patient(World(policy, await introspect(connection, 1)), await examine(connection))
    finally:
        await connection.close()


async def mended(cluster: Cluster, database: str, of: Findings, relations: Relations = NONE) -> list[Finding]:
    """The findings, after whose DDL there are none."""
    found = list(of(await patient(cluster, database, (), relations)))
    for one in found:
        cluster.psql(database, one.remedy)
    assert list(of(await patient(cluster, database, (), relations))) == []
    return found
