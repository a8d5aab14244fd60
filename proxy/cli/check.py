"""`partywall check`: are these rule files right? With --online, also against the servers they name."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from proxy.catalog.connect import connect
from proxy.catalog.facts import check_facts
from proxy.catalog.finding import Finding
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.catalog.watch import FAILURES
from proxy.cli.report import reported
from proxy.errors import ConfigurationError
from proxy.fleet.tables import take_rows
from proxy.fleet.verifiers import Verifiers
from proxy.sql.world import World
from proxy.tenancy.derived import SEED, own_sequence, quoted
from proxy.tenancy.extensions import SCHEMA
from proxy.tenancy.load import Reading
from proxy.tenancy.policy import Grant, Login, Policy
from proxy.tenancy.rulebook import RuleBook


def check(
    rules: Annotated[Path, typer.Argument(help="The folder of rule files.")] = Path("rules"),
    online: Annotated[bool, typer.Option("--online", help="Also ask the servers that the rules name.")] = False,
) -> None:
    """Validate rule files: every mistake at once, with file and line."""
    with reported():
        reading = Reading(rules, os.environ)
        if online:
            asyncio.run(take_rows(reading))
        book = reading.book(1)
    typer.echo(f"{len(book.databases)} databases, {len(book.tenants)} tenants, {len(book.logins)} logins: no mistakes")
    if reading.tables and not online:
        typer.echo("the tenants of tables were not read; --online reads them")
    if online and not asyncio.run(_check_online(book)):
        raise typer.Exit(1)


async def _check_online(book: RuleBook) -> bool:
    """Both kinds of question to servers; False when something must not be served."""
    sound = await _check_servers(list(book.grants.values()))
    return await _check_verifiers(list(book.logins.values())) and sound


async def _check_verifiers(logins: list[Login]) -> bool:
    """Prints which auth_query does not answer, and for which logins none tells a verifier; those cannot log in."""
    verifiers = Verifiers()
    try:
        await verifiers.reconcile(logins)
        for login in logins:
            if login.source is not None and verifiers.of(login) is None:
                typer.echo(f"login {login.name}: auth_query tells no SCRAM-SHA-256 verifier", err=True)
    except ConfigurationError as error:
        for text in error.problems:
            typer.echo(text, err=True)
        return False
    finally:
        await verifiers.close()
    return True


async def _check_servers(grants: list[Grant]) -> bool:
    """Prints what the servers' facts and catalogs say; False when something must not be served."""
    sound = True
    by_place = {_place(grant): grant for grant in grants}
    for grant in by_place.values():
        try:
            connection = await connect(grant.server, grant.credentials)
        except FAILURES as error:
            typer.echo(f"{grant.database}: {error}", err=True)
            sound = False
            continue
        try:
            own = grant.policy.isolation == "database"
            schemas = grant.policy.path if grant.policy.isolation == "schema" else ()
            findings = await check_facts(connection, grant.server, own, schemas, grant.wall_keys)
            catalog = await introspect(connection, 1, own, schemas)
        finally:
            await connection.close()
        for finding in findings:
            typer.echo(_line(grant, finding), err=True)
            sound = sound and finding.severity != "critical"
        if own:
            continue
        for text in missing_sequences(catalog, [one for one in grants if _place(one) == _place(grant)]):
            typer.echo(f"{grant.database}: {text}", err=True)
            sound = False
        for text in extension_findings(catalog, grant.policy):
            typer.echo(f"{grant.database}: {text}", err=True)
        sound = sound and not set(grant.policy.extensions) - set(catalog.extensions)
        world = World(grant.policy, catalog)
        sound = sound and not world.unwalled
        for (schema, name), why in sorted(world.hidden_reasons.items()):
            typer.echo(f"{grant.database}: {schema}.{name} is hidden: {why}", err=True)
    return sound


def _place(grant: Grant) -> tuple[object, ...]:
    return grant.server, grant.credentials, grant.policy.policy_class


def extension_findings(catalog: Catalog, policy: Policy) -> list[str]:
    """Where the extensions that the rules list and those that the server has are not the same."""
    found = []
    for name in policy.extensions:
        if name not in catalog.extensions:
            remedy = f"CREATE EXTENSION {quoted(name)} SCHEMA {SCHEMA}"
            found.append(f"extension {name} is listed, and the server does not have it. Remedy: {remedy}")
    for name in sorted(set(catalog.extensions) - {"plpgsql"}):
        schemas = {one.schema for some in catalog.functions.values() for one in some if one.extension == name} - {
            SCHEMA
        }
        if name not in policy.extensions:
            found.append(
                f"extension {name} is installed and not listed: its functions and types are hidden, and so is what"
                " shares a name with one of its functions or operators"
            )
        elif schemas:
            found.append(f"extension {name} is in the schema {', '.join(sorted(schemas))}: only {SCHEMA} is served")
    return found


def missing_sequences(catalog: Catalog, grants: list[Grant]) -> list[str]:
    """What the owner of the database must run, so that each tenant has its own of the sequences that are per tenant."""
    found = []
    for grant in grants:
        for (schema, name), kind in grant.policy.sequences.items():
            own = own_sequence(name, grant.keys[SEED])
            if kind != "per_tenant" or grant.policy.read_only or (schema, own) in catalog.relations:
                continue
            full = f"{quoted(schema)}.{quoted(own)}"
            ddl = f"CREATE SEQUENCE {full}; GRANT USAGE, UPDATE ON SEQUENCE {full} TO {quoted(grant.server.role)}"
            found.append(f"tenant {grant.tenant} has no sequence of its own for {schema}.{name}. Remedy: {ddl}")
    return found


def _line(grant: Grant, finding: Finding) -> str:
    return f"{grant.database}: {finding.severity}: {finding.text}. Remedy: {finding.remedy}"
