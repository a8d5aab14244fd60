"""`partywall verify`: is an archive whole and unchanged; are a tenant's rows those in it, or those at another server?

Exit status: 0: it is, they are; 1: not, with the first thing that is wrong, or with all that differs; 2: wrong usage.
An archive of only what changed is looked at with those that it builds on.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.chained import Bases, chained
from proxy.cli.operator import Config, Identity, Rules, ServerUri, grant_of, place_for, told
from proxy.cli.report import reported
from proxy.cli.showing import shown
from proxy.errors import ConfigurationError
from proxy.settings import load_settings

if TYPE_CHECKING:
    from proxy.backup.chain import Chain
    from proxy.backup.verifying import Comparison


def verify(
    archive: Annotated[
        str | None, typer.Argument(help="A file, a folder, a URL such as s3://…, or - for stdin.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Compare it with the tenant's rows as they are, too.")] = False,
    against: Annotated[
        str | None,
        typer.Option(
            help="Instead of an archive: another server that has the tenant, postgresql://role@host/database."
        ),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose rows, with --against.")] = None,
    database: Annotated[
        str | None, typer.Option(help="The database, as applications name it; of an archive: default where it was.")
    ] = None,
    base: Bases = None,
    identity: Identity = None,
    rules: Rules = Path("rules"),
    server: ServerUri = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: the manifest, or what differs.")] = False,
) -> None:
    """Check every member of an archive against its checksums, or a tenant's rows against it or another server."""
    from proxy.backup.manifest import fields

    if archive is None and against is not None and tenant is not None and database is not None and not live:
        with reported():
            found = asyncio.run(_servers(tenant, database, against, rules, server, config))
        _compared(found, tenant, "here", "there", as_json)
        return
    if archive is None or against is not None or tenant is not None:
        typer.echo("name an archive, or --against a server with --tenant and --database", err=True)
        raise typer.Exit(2)
    with reported():
        if live and archive == "-":
            raise ConfigurationError(["an archive is read twice, to compare it; name a file"])
        chain = chained(archive, base or [], identity)
        against_live = None
        if live:
            against_live = asyncio.run(_live(chain, database, rules, server, config))
    manifest = chain.links[-1].manifest
    if against_live is not None:
        _compared(against_live, manifest.tenant, "in the archive", "live", as_json)
    else:
        typer.echo(json.dumps(fields(manifest), indent=2) if as_json else described(chain))


def described(chain: Chain) -> str:
    """What an archive is, in a line; and with those that it builds on."""
    manifest = chain.links[-1].manifest
    told_of = (
        f"{manifest.tenant} in {manifest.database} ({manifest.isolation}), as of {manifest.snapshot.time},"
        f" PostgreSQL {manifest.server_version // 10000}: {chain.manifest.rows} rows of"
        f" {len(manifest.relations)} tables"
    )
    if not manifest.bases:
        return told_of
    gone = sum(one.rows for form in manifest.relations for one in form.gone)
    names = ", ".join(one.archive for one in chain.links[:-1])
    return f"{told_of}, with {names}; since {manifest.bases[-1].time} {manifest.rows} rows came, and {gone} went"


async def _live(
    chain: Chain,
    database: str | None,
    rules: Path,
    server: str | None,
    config: Path | None,
) -> Comparison:
    from proxy.backup.verifying import with_archive

    manifest = chain.manifest
    grant = await grant_of(rules, manifest.tenant, database or manifest.database)
    place = place_for(grant, server, load_settings(config, {}))
    with told(f"verify of {manifest.tenant}"), shown() as tell:
        return await with_archive(place, grant, manifest, chain, (), tell)


async def _servers(
    tenant: str, database: str, against: str, rules: Path, server: str | None, config: Path | None
) -> Comparison:
    from proxy.backup.verifying import with_server

    settings = load_settings(config, {})
    grant = await grant_of(rules, tenant, database)
    place, other = place_for(grant, server, settings), place_for(grant, against, settings, "--against")
    with told(f"verify of {tenant}"), shown() as tell:
        return await with_server(place, other, grant, tell)


def _compared(found: Comparison, tenant: str, left: str, right: str, as_json: bool) -> None:
    """Prints it; status 1 where anything differs."""
    if as_json:
        moments = [{"time": time, "lsn": lsn} for time, lsn in found.moments]
        tables = {name: asdict(one) for name, one in found.tables.items()}
        typer.echo(json.dumps({"equal": not found, "moments": moments, "tables": tables}, indent=2))
    else:
        for name, one in found.tables.items():
            if one.left or one.right or one.changed:
                typer.echo(f"{name}: {one.left} only {left}, {one.right} only {right}, {one.changed} changed")
            for told_of in one.columns:
                typer.echo(f"{name}: {told_of}")
        times = " and ".join(time for time, _ in found.moments)
        if not found:
            typer.echo(f"{tenant}: the rows of {len(found.tables)} tables are the same, as of {times}")
    if found:
        raise typer.Exit(1)
