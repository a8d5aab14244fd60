"""`partywall verify`: is an archive whole and unchanged; are a tenant's rows those in it, or those at another server?

Exit status: 0: it is, they are; 1: not, with the first thing that is wrong, or with all that differs; 2: wrong usage.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.operator import Config, Identity, Rules, ServerUri, grant_of, place_for, told
from proxy.cli.report import reported
from proxy.cli.showing import shown
from proxy.errors import ConfigurationError
from proxy.settings import load_settings

if TYPE_CHECKING:
    from proxy.backup.manifest import Manifest
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
    identity: Identity = None,
    rules: Rules = Path("rules"),
    server: ServerUri = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: the manifest, or what differs.")] = False,
) -> None:
    """Check every member of an archive against its checksums, or a tenant's rows against it or another server."""
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
        manifest = checked(archive, identity)
        against_live = None
        if live:
            against_live = asyncio.run(_live(archive, manifest, database, identity, rules, server, config))
    if against_live is not None:
        _compared(against_live, manifest.tenant, "in the archive", "live", as_json)
    elif as_json:
        typer.echo(json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=2))
    else:
        typer.echo(
            f"{manifest.tenant} in {manifest.database} ({manifest.isolation}), as of {manifest.snapshot.time},"
            f" PostgreSQL {manifest.server_version // 10000}: {manifest.rows} rows of {len(manifest.relations)} tables"
        )


def checked(archive: str, identity: Path | None) -> Manifest:
    """The manifest of an archive that is whole."""
    from proxy.backup.archive import members
    from proxy.backup.checking import verified
    from proxy.backup.progress import Progress

    with shown() as tell:
        rows = size = 0

        def count(member: Any) -> None:
            nonlocal rows, size
            rows, size = rows + member.rows, size + member.bytes
            tell(Progress("verify", rows, size, rows, member.name))

        return verified(members(archive, keys(identity)), count)


def keys(identity: Path | None) -> list[Any]:
    """The secrets of an --identity."""
    from proxy.backup.sealing import identities

    return [] if identity is None else identities(identity)


async def _live(
    archive: str,
    manifest: Manifest,
    database: str | None,
    identity: Path | None,
    rules: Path,
    server: str | None,
    config: Path | None,
) -> Comparison:
    from proxy.backup.verifying import with_archive

    grant = await grant_of(rules, manifest.tenant, database or manifest.database)
    place = place_for(grant, server, load_settings(config, {}))
    with told(f"verify of {manifest.tenant}"), shown() as tell:
        return await with_archive(place, grant, manifest, archive, keys(identity), tell)


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
