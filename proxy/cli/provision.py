"""`partywall provision`: a tenant's schema and role at the server."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from proxy.catalog.connect import connect
from proxy.catalog.watch import FAILURES
from proxy.cli.report import reported
from proxy.doctor.provision import provision as provisioned
from proxy.errors import ConfigurationError
from proxy.tenancy.load import load
from proxy.tenancy.policy import Grant
from proxy.tenancy.rulebook import RuleBook
from proxy.tenancy.servers import Place, place_of

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
) -> None:
    """Print the SQL that makes the schemas and roles of tenants in schema mode, or run it. It may be run again."""
    with reported():
        grants = _grants(load(rules, os.environ, 1), tenant, database)
        texts = [provisioned(grant, secrets.token_bytes(SALT_BYTES)) for grant in grants]
        if run is None:
            typer.echo("\n".join(texts), nl=False)
        else:
            asyncio.run(_run(_place(run), texts))


def _grants(book: RuleBook, tenant: str | None, database: str | None) -> list[Grant]:
    found = [
        grant
        for (owner, name, read_only), grant in sorted(book.grants.items())
        if not read_only and tenant in (None, owner) and database in (None, name) and grant.policy.schema
    ]
    if not found:
        raise ConfigurationError(["no tenant of these rules has a schema of its own there"])
    return found


def _place(uri: str) -> Place:
    try:
        return place_of(uri, os.environ.get("PGPASSWORD"))
    except ValueError as error:
        raise ConfigurationError([f"--run: {error}"]) from None


async def _run(place: Place, texts: list[str]) -> None:
    """Each tenant's in one transaction."""
    try:
        connection = await connect(*place)
        try:
            await connection.execute("SET default_transaction_read_only = off")
            for text in texts:
                async with connection.transaction():
                    await connection.execute(text)
        finally:
            await connection.close()
    except FAILURES as error:
        raise ConfigurationError([f"provision: {error}"]) from error
