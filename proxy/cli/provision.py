"""`partywall provision`: what tenants have of their own at the server: a role, and a schema or policies."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.catalog.connect import connect
from proxy.catalog.grants import read_grants
from proxy.catalog.introspect import introspect
from proxy.catalog.walls import GROUP
from proxy.catalog.watch import FAILURES
from proxy.cli.report import reported
from proxy.doctor.provision import provision as provisioned
from proxy.doctor.walls import tenant_behind, tenant_relations, walls
from proxy.errors import ConfigurationError
from proxy.tenancy.load import load
from proxy.tenancy.policy import Grant, Server
from proxy.tenancy.rulebook import RuleBook
from proxy.tenancy.servers import Place, place_of

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

SALT_BYTES = 16


def provision(
    tenant: Annotated[str | None, typer.Option(help="One tenant; default: all.")] = None,
    database: Annotated[str | None, typer.Option(help="One database of the rules; default: all.")] = None,
    rules: Annotated[Path, typer.Option(help="The folder of rule files.")] = Path("rules"),
    run: Annotated[
        str | None,
        typer.Option(
            help="Run it as this superuser, whose password is in PGPASSWORD: postgresql://role@host/database."
        ),
    ] = None,
    read: Annotated[
        str | None,
        typer.Option(help="Where the tables are that get policies, to print these: as --run, by whatever role."),
    ] = None,
) -> None:
    """Print the SQL that makes the schemas, policies and roles of tenants, or run it. It may be run again."""
    with reported():
        grants = _grants(load(rules, os.environ, 1), tenant, database)
        option, uri = ("--read", read) if run is None else ("--run", run)
        place = None if uri is None else _place(option, uri)
        if place is not None:
            grants = _there(grants, place[0])
        several = len({(grant.server.addresses, grant.server.database) for grant in grants}) > 1
        texts = [
            (f"-- at {grant.server.host}:{grant.server.port}/{grant.server.database}\n" if several else "")
            + provisioned(grant, secrets.token_bytes(SALT_BYTES))
            for grant in grants
            if grant.policy.schema
        ]
        behind = [grant for grant in grants if grant.policy.behind_rls]
        if place is None and behind:
            raise ConfigurationError([f"database {behind[0].database}: --read must say where the tables are, or --run"])
        asyncio.run(_provision(place, texts, behind, run=run is not None))


def _grants(book: RuleBook, tenant: str | None, database: str | None) -> list[Grant]:
    found = [
        grant
        for (owner, name, read_only), grant in sorted(book.grants.items())
        if not read_only
        and tenant in (None, owner)
        and database in (None, name)
        and (grant.policy.schema or grant.policy.behind_rls)
    ]
    if not found:
        raise ConfigurationError(["no tenant of these rules has a schema or policies there"])
    return found


def _there(grants: list[Grant], server: Server) -> list[Grant]:
    """Whose place the server is. Where all are at one place, this is another name for it."""
    places = {(grant.server.addresses, grant.server.database) for grant in grants}
    found = [
        grant
        for grant in grants
        if grant.server.database == server.database and not set(server.addresses).isdisjoint(grant.server.addresses)
    ]
    if not found and len(places) > 1:
        raise ConfigurationError([f"no tenant of these rules is at {server.host}:{server.port}/{server.database}"])
    return found or grants


def _place(option: str, uri: str) -> Place:
    try:
        return place_of(uri, os.environ.get("PGPASSWORD"))
    except ValueError as error:
        raise ConfigurationError([f"{option}: {error}"]) from None


async def _provision(place: Place | None, texts: list[str], behind: list[Grant], *, run: bool) -> None:
    """Each text in one transaction, or all of them printed."""
    try:
        connection = None if place is None else await connect(*place)
        try:
            if connection is not None and behind:
                texts = texts + await _policies(connection, behind)
            if not run or connection is None:
                typer.echo("\n".join(texts), nl=False)
                return
            await connection.execute("SET default_transaction_read_only = off")
            for text in texts:
                async with connection.transaction():
                    await connection.execute(text)
        finally:
            if connection is not None:
                await connection.close()
    except FAILURES as error:
        raise ConfigurationError([f"provision: {error}"]) from error


async def _policies(connection: CatalogConnection, grants: list[Grant]) -> list[str]:
    """For each database of the rules what its tenants have in common, then each of them."""
    catalog = await introspect(connection, 1)
    texts = []
    for policy in {grant.database: grant.policy for grant in grants}.values():
        relations = [seen.relation.oid for seen in tenant_relations(policy, catalog)]
        texts.append(walls(policy, catalog, await read_grants(connection, GROUP, relations)))
    return texts + [tenant_behind(grant, secrets.token_bytes(SALT_BYTES)) for grant in grants]
