"""`partywall backup`: one tenant's data out of a database, in one consistent archive."""

from __future__ import annotations

import asyncio
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.chained import Bases, chained
from proxy.cli.operator import Config, Identity, Rules, ServerUri, grant_of, place_for, told
from proxy.cli.report import reported
from proxy.cli.showing import shown
from proxy.settings import load_settings

if TYPE_CHECKING:
    from proxy.backup.chain import Chain
    from proxy.backup.manifest import Manifest


def backup(
    tenant: Annotated[str, typer.Option(help="Whose data.")],
    database: Annotated[str, typer.Option(help="The database, as applications name it.")],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="A file, a folder (with a slash at its end), a URL such as s3://…, or - for stdout."
        ),
    ],
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Tables that are read at a time.")] = 2,
    recipient: Annotated[
        list[str] | None, typer.Option(help="Encrypt to this age recipient or SSH public key; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what changed since this archive, which is needed to restore the new one.")
    ] = None,
    base: Bases = None,
    identity: Identity = None,
    rules: Rules = Path("rules"),
    server: ServerUri = None,
    pg_dump: Annotated[
        str, typer.Option(help="The program for definitions, in modes schema and database.")
    ] = "pg_dump",
    config: Config = None,
) -> None:
    """Copy a tenant's rows, as of one moment, into an archive."""
    with reported():
        before = None if since is None else chained(since, base or [], identity)
        manifest = asyncio.run(
            _taken(tenant, database, output, jobs, recipient or [], before, rules, server, pg_dump, config)
        )
    typer.echo(
        f"{manifest.tenant} in {manifest.database}: {manifest.rows} rows of {len(manifest.relations)} tables,"
        f" as of {manifest.snapshot.time}",
        err=output == "-",
    )


async def _taken(
    tenant: str,
    database: str,
    output: str,
    jobs: int,
    recipients: list[str],
    before: Chain | None,
    rules: Path,
    server: str | None,
    pg_dump: str,
    config: Path | None,
) -> Manifest:
    from proxy.backup.archive import writing
    from proxy.backup.manifest import RulesForm
    from proxy.backup.sealing import recipient
    from proxy.backup.since import Since
    from proxy.backup.taking import back_up

    grant = await grant_of(rules, tenant, database)
    place = place_for(grant, server, load_settings(config, {}))
    known = [recipient(one) for one in recipients]
    under = RulesForm(generation=1, hash=grant.policy.policy_class)
    with (
        told(f"backup of {tenant}"),
        nullcontext() if before is None else closing(Since(before)) as since,
        writing(output, known) as sink,
        shown() as tell,
    ):
        return await back_up(place, grant, under, sink, jobs, tell, pg_dump=pg_dump, since=since)
