"""`partywall clone`: a tenant's data as another tenant's, for staging; masked on its way by a file.

Exit status: 0: done; 1: nothing was changed, with the reasons, or all was and a proxy did not answer at the end of
the pause, which is told; 2: wrong usage; 143: SIGTERM ended it.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import nullcontext
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from proxy.cli.ending import awaited
from proxy.cli.operator import At, Config, Hold, Rules, ServerUri, Timeout, Triggers, grant_of, place_for, told
from proxy.cli.report import reported
from proxy.cli.restore import described, fields
from proxy.cli.showing import shown
from proxy.settings import Settings, load_settings

if TYPE_CHECKING:
    from proxy.backup.cloning import Masking
    from proxy.backup.restoring import Quiet, Restored
    from proxy.tenancy.policy import Grant

KEY_BYTES = 32


def clone(
    tenant: Annotated[str, typer.Option(help="Whose data.")],
    other: Annotated[str, typer.Option("--as", help="Whose it becomes.")],
    database: Annotated[str, typer.Option(help="The database, as applications name it.")],
    to_database: Annotated[str | None, typer.Option(help="In which it becomes so; default: the same.")] = None,
    masking: Annotated[
        Path | None, typer.Option(help="The file that says what becomes of each column; without it all stays.")
    ] = None,
    mode: Annotated[
        Literal["into-empty", "replace"],
        typer.Option(help="Only where the other tenant has no rows; or instead of those it has."),
    ] = "into-empty",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would be changed.")] = False,
    triggers: Triggers = "fire",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Tables that are read at a time.")] = 2,
    pause: Annotated[
        bool, typer.Option("--pause/--no-pause", help="Hold the other tenant's sessions while rows are replaced.")
    ] = True,
    timeout: Timeout = 30,
    hold: Hold = 600,
    at: At = None,
    rules: Rules = Path("rules"),
    server: ServerUri = None,
    to_server: Annotated[
        str | None, typer.Option(help="As --server, where the data goes; default: as --server.")
    ] = None,
    pg_dump: Annotated[
        str, typer.Option(help="The program for definitions, in modes schema and database.")
    ] = "pg_dump",
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Copy a tenant's data to another tenant, masked by a file."""
    from proxy.cli.quiet import paused

    where = to_database or database
    with reported():
        settings = load_settings(config, {})
        theirs = asyncio.run(grant_of(rules, tenant, database))
        ours = asyncio.run(grant_of(rules, other, where))
        masks = None if masking is None else _masks(masking, theirs, settings)
        places = place_for(theirs, server, settings), place_for(ours, to_server or server, settings)
        quiet: Quiet = nullcontext
        if pause and mode != "into-empty":
            quiet = lambda: paused(other, where, timeout, hold, settings, at or ())  # noqa: E731
        from proxy.backup.cloning import clone as cloned
        from proxy.backup.manifest import RulesForm

        under = RulesForm(generation=1, hash=theirs.policy.policy_class)

        async def run() -> Restored:
            with told(f"clone of {tenant}: nothing was changed"), shown() as tell:
                return await cloned(
                    (places[0], theirs),
                    (places[1], ours),
                    under,
                    masks,
                    mode,
                    dry_run,
                    triggers == "fire",
                    jobs,
                    pg_dump,
                    quiet,
                    tell,
                )

        done = awaited(run())
    columns = 0 if masks is None else masks.columns
    if as_json:
        typer.echo(json.dumps(fields(done) | {"masked_columns": columns}, indent=2))
    else:
        typer.echo(
            "\n".join([*described(done, dry_run), f"{columns} columns masked" if columns else "nothing is masked"])
        )


def _masks(file: Path, grant: Grant, settings: Settings) -> Masking:
    from proxy.backup.cloning import Masking
    from proxy.backup.masking import read_masking
    from proxy.backup.pseudonyms import Pseudonyms

    given = settings.masking_key
    key = token_bytes(KEY_BYTES) if given is None else given.get_secret_value().encode()
    return Masking(read_masking(file, os.environ), grant, Pseudonyms(key, grant.tenant))
