"""`partywall restore`: an archive's rows become a tenant's, in one transaction, or nothing does.

Exit status: 0: done; 1: nothing was changed, with the reasons, or all was and a proxy did not answer at the end of
the pause, which is told; 2: wrong usage; 143: SIGTERM ended it.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from proxy.cli.chained import Bases, chained
from proxy.cli.ending import awaited
from proxy.cli.operator import (
    At,
    Config,
    Hold,
    Identity,
    Rules,
    ServerUri,
    Timeout,
    Triggers,
    grant_of,
    place_for,
    told,
)
from proxy.cli.report import reported
from proxy.cli.showing import shown
from proxy.errors import ConfigurationError
from proxy.settings import Settings, load_settings

if TYPE_CHECKING:
    from proxy.backup.chain import Chain
    from proxy.backup.restoring import Quiet, Restored


def restore(
    archive: Annotated[str, typer.Argument(help="A file, a folder, or a URL such as s3://….")],
    tenant: Annotated[
        str | None, typer.Option("--as", help="Whose rows they become; default: whose they were.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="The database, as applications name it; default: where they were.")
    ] = None,
    mode: Annotated[
        Literal["into-empty", "merge", "replace"],
        typer.Option(help="Only where the tenant has no rows; or beside those it has; or instead of them."),
    ] = "into-empty",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would be changed.")] = False,
    triggers: Triggers = "fire",
    pause: Annotated[
        bool, typer.Option("--pause/--no-pause", help="Hold the tenant's sessions while rows are written.")
    ] = True,
    timeout: Timeout = 30,
    hold: Hold = 600,
    at: At = None,
    base: Bases = None,
    identity: Identity = None,
    rules: Rules = Path("rules"),
    server: ServerUri = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Put an archive's rows back: in place, as another tenant's, or in another database."""
    from proxy.cli.quiet import paused

    with reported():
        if archive == "-":
            raise ConfigurationError(["an archive is read twice, to be sure of it before; name a file"])
        settings = load_settings(config, {})
        chain = chained(archive, base or [], identity)
        manifest = chain.manifest
        whose, where = tenant or manifest.tenant, database or manifest.database
        quiet = pause and mode != "into-empty"
        done = awaited(
            _restored(
                chain,
                whose,
                where,
                mode,
                dry_run,
                triggers == "fire",
                (lambda: paused(whose, where, timeout, hold, settings, at or ())) if quiet else nullcontext,
                rules,
                server,
                settings,
            )
        )
    if as_json:
        typer.echo(json.dumps(fields(done), indent=2))
    else:
        typer.echo("\n".join(described(done, dry_run)))


def fields(done: Restored) -> dict[str, Any]:
    """What was done, for programs."""
    return {
        "tables": {name: asdict(one) for name, one in done.tables.items()},
        "renumbered": dict(done.renumbered),
        "foreign_keys": done.away,
        "foreign_keys_refused": done.apart,
        "grants": done.grants,
    }


def described(done: Restored, dry_run: bool) -> list[str]:
    """What was done, line by line."""
    lines = [
        f"{name}: {one.insert} inserted, {one.update} updated, {one.delete} deleted"
        for name, one in done.tables.items()
        if one
    ]
    lines += [f"{name}: {count} keys given anew" for name, count in done.renumbered.items()]
    if done.away:
        lines += ["not made: foreign keys to shared tables, which are the operator's to decide on", *done.away]
    if done.apart:
        lines += ["not made, and not to be: a table or a column's type of the tenant's own would run its code"]
        lines += [f"foreign key {one}" for one in done.apart]
    if done.grants:
        lines += ["other roles had these, and a replace takes them: give again what they are to have", *done.grants]
    return [*(lines or ["nothing differs"]), *(["a dry run: nothing was changed"] if dry_run else [])]


async def _restored(
    chain: Chain,
    tenant: str,
    database: str,
    mode: Literal["into-empty", "merge", "replace"],
    dry_run: bool,
    triggers: bool,
    quiet: Quiet,
    rules: Path,
    server: str | None,
    settings: Settings,
) -> Restored:
    from proxy.backup.remaking import remake
    from proxy.backup.restoring import restore as restored
    from proxy.backup.target import check_kinds

    grant = await grant_of(rules, tenant, database)
    place = place_for(grant, server, settings)
    with told(f"restore of {tenant}: nothing was changed"), shown() as tell:
        check_kinds(chain.manifest, grant)
        if chain.manifest.isolation in ("schema", "database"):
            return await remake(place, grant, chain.manifest, chain, (), mode, dry_run, quiet, tell)
        return await restored(place, grant, chain.manifest, chain, (), mode, dry_run, triggers, quiet, tell)
