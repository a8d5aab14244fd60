"""What the tests of this folder share: grants of the sample rules, places at its server, archives made and read."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from proxy.backup.archive import members, writing
from proxy.backup.checking import verified
from proxy.backup.manifest import Manifest, RulesForm
from proxy.backup.restoring import Restored, restore
from proxy.backup.taking import back_up
from proxy.backup.writing import Mode
from proxy.catalog.connect import connect
from proxy.catalog.examination import examine
from proxy.catalog.finding import Finding
from proxy.catalog.introspect import introspect
from proxy.doctor.patient import Patient
from proxy.doctor.report import schema_findings
from proxy.sql.world import World
from proxy.tenancy.load import load
from proxy.tenancy.policy import Grant
from proxy.tenancy.rulebook import RuleBook
from proxy.tenancy.servers import Place, place_of
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.rules import sample_rules

ROLE = "shelf_app"
_numbers = count(1)
UNDER = RulesForm(generation=1, hash="0" * 64)


def book_of(text: str) -> RuleBook:
    """What these rules say."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(text, "utf-8")
        return load(Path(folder), {}, 1)


def sample_grant(cluster: Cluster, database: str = "shared", tenant: str = "globex") -> Grant:
    """A tenant of the sample set."""
    return book_of(sample_rules(cluster.port, database)).grants[tenant, database, False]


def operators(cluster: Cluster, database: str) -> Place:
    """The database, as the superuser."""
    return place_of(f"postgresql://{SUPERUSER}@127.0.0.1:{cluster.port}/{database}?sslmode=disable", None)


def archived(cluster: Cluster, grant: Grant, path: Path, piece: int | None = None, jobs: int = 2) -> Manifest:
    """A backup in this file."""
    place = operators(cluster, grant.server.database)
    with writing(str(path)) as sink:
        return asyncio.run(back_up(place, grant, UNDER, sink, jobs, piece=piece))


def checked(path: Path) -> Manifest:
    """What verify makes of a file."""
    return verified(members(str(path)))


def put_back(
    cluster: Cluster,
    grant: Grant,
    path: Path,
    mode: Mode = "replace",
    dry_run: bool = False,
    triggers: bool = True,
) -> Restored:
    """A verified archive becomes the tenant's rows."""
    place = operators(cluster, grant.server.database)
    return asyncio.run(restore(place, grant, checked(path), str(path), (), mode, dry_run, triggers))


def checksums(cluster: Cluster, database: str) -> dict[str, str]:
    """table and tenant -> MD5 over all rows that are the tenant's, by the tables' tenant columns; every table once."""
    found: dict[str, str] = {}
    with psycopg.connect(cluster.dsn(database=database), autocommit=True) as connection:
        names = "'tenant_id', 'TenantId', 'tenant', 'tenant_uid'"
        tables = connection.execute(
            "SELECT c.oid::regclass::text, CASE WHEN c.relname = 'tenants' THEN 'id' ELSE quote_ident((SELECT a.attname"
            f" FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ({names}))) END FROM pg_class c"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        ).fetchall()
        for table, column in tables:
            query = (
                f"md5(string_agg(t::text, E'\n' ORDER BY t::text)) FROM {'' if table != 'assets' else 'ONLY '}{table} t"
            )
            rows = connection.execute(f"SELECT {column or 'NULL'}::text, {query} GROUP BY 1")
            found |= {f"{table} {whose}": digest for whose, digest in rows}
    return found


SHELF = """\
database: {name}
server: postgresql://{role}@127.0.0.1:{port}/{name}?sslmode=disable
isolation: row
tenant_column: tenant_id
relations: {{{relations}}}
---
tenant: acme
databases: [{name}]
key: 1
---
tenant: globex
databases: [{name}]
key: 2
---
tenant: initech
databases: [{name}]
key: 3
"""


@contextmanager
def small(cluster: Cluster, sql: str, relations: str = "") -> Iterator[dict[str, Grant]]:
    """A database for one test, and its tenants' grants by name. relations: of the rules, in YAML's flow style."""
    name = f"shelf{next(_numbers)}"
    cluster.create_database(name)
    try:
        made = f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        cluster.psql(name, f"{made} {sql}")
        book = book_of(SHELF.format(name=name, port=cluster.port, role=ROLE, relations=relations))
        yield {tenant: book.grants[tenant, name, False] for tenant in book.tenants}
    finally:
        cluster.drop_database(name)


def mended(cluster: Cluster, database: str, but: tuple[str, ...] = ()) -> None:
    """Runs the doctor's DDL for the sample schema, without the findings whose names begin so."""

    async def found() -> list[Finding]:
        grant = sample_grant(cluster, database)
        connection = await connect(grant.server, grant.credentials)
        try:
            world = World(grant.policy, await introspect(connection, 1))
            return list(schema_findings(Patient(world, await examine(connection))))
        finally:
            await connection.close()

    for one in asyncio.run(found()):
        if not one.name.startswith(but or ("server.",)):
            cluster.psql(database, one.remedy)
