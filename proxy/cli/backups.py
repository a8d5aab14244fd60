"""`partywall backups`: what scheduled archives there are, and the end of those that the rules do not keep.

It looks where the rules send archives now; what is elsewhere is nobody's business. Exit status: 0: done; 1: a place
could not be reached, or something could not be removed, with the reasons on standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from proxy.accounting.forms import rendered
from proxy.cli.asking import AsJson
from proxy.cli.operator import Config, Rules
from proxy.cli.report import reported
from proxy.errors import ConfigurationError
from proxy.fleet.tables import read_rules
from proxy.settings import load_settings

if TYPE_CHECKING:
    from proxy.backup.inventory import Inventory
    from proxy.tenancy.policy import BackupRule

T = TypeVar("T")
AT_A_TIME = 8  # places that are looked at
HEADER = ("tenant", "database", "moment", "size", "verified", "archive")

backups = typer.Typer(no_args_is_help=True, help="Archives that schedules have made: list them, remove old ones.")

Tenant = Annotated[str | None, typer.Option(help="This one only.")]
Database = Annotated[str | None, typer.Option(help="This one only, as applications name it.")]


@backups.command("list")
def show(
    tenant: Tenant = None, database: Database = None, as_json: AsJson = False, rules: Rules = Path("rules")
) -> None:
    """Print the archives of every tenant that has a schedule, the newest first; and who has none yet."""

    def look(names: tuple[str, str], _rule: BackupRule, inventory: Inventory) -> list[dict[str, Any]]:
        whose: dict[str, Any] = {"tenant": names[0], "database": names[1]}
        found: list[dict[str, Any]] = [
            whose
            | {
                "moment": _time(one.moment),
                "size": one.size,
                "verified": one.verified,
                "archive": one.url,
                "sha256": one.readback.sha256 if one.readback is not None and one.verified else None,
            }
            for one in inventory.archives()
        ]
        return found or [whose | dict.fromkeys(("moment", "size", "verified", "archive", "sha256"))]

    with reported():
        found, problems = _each(rules, tenant, database, look)
    lines = [line for some in found for line in some]
    if as_json:
        typer.echo(json.dumps([one for one in lines if one["archive"] is not None], indent=2))
    else:
        typer.echo(rendered(HEADER, [_row(one) for one in lines], "table"), nl=False)
    _end(problems)


@backups.command()
def prune(
    tenant: Tenant = None,
    database: Database = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go, and remove nothing.")] = False,
    as_json: AsJson = False,
    rules: Rules = Path("rules"),
    config: Config = None,
) -> None:
    """Remove the archives that `keep` of the rules does not keep, as the proxy does after every backup."""
    from proxy.backup.scheduled import prune as remove
    from proxy.backup.scheduled import superfluous

    problems: list[str] = []
    with reported():
        longest = load_settings(config, {}).backup_timeout

        def go(_names: tuple[str, str], rule: BackupRule, inventory: Inventory) -> list[str]:
            if dry_run:
                return [url for _, url in superfluous(inventory, rule, time.time(), longest)]
            gone, problem = remove(inventory, rule, time.time(), longest)
            if problem:
                problems.append(problem)
            return gone

        found, unreached = _each(rules, tenant, database, go)
    gone = [one for some in found for one in some]
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "removed": gone}, indent=2))
    else:
        for one in gone:
            typer.echo(f"{'would remove' if dry_run else 'removed'} {one}")
        if not gone:
            typer.echo("nothing to remove")
    _end([*unreached, *problems])


def _each(
    rules: Path,
    tenant: str | None,
    database: str | None,
    act: Callable[[tuple[str, str], BackupRule, Inventory], T],
) -> tuple[list[T], list[str]]:
    """What came of it at each place, by the names of tenants; and of those that could not be reached why."""
    from proxy.backup.inventory import Inventory

    book = asyncio.run(read_rules(rules, os.environ, 1))
    chosen = {
        names: rule
        for names, rule in sorted(book.backups.items())
        if tenant in {None, names[0]} and database in {None, names[1]}
    }
    if not chosen:
        raise ConfigurationError(["the rules have no backups for anybody of that name; see `backups` in docs/rules.md"])
    problems: list[str] = []

    def one(item: tuple[tuple[str, str], BackupRule]) -> list[T]:
        names, rule = item
        try:
            return [act(names, rule, Inventory(rule.to, *names))]
        except ConfigurationError as error:
            problems.extend(error.problems)
            return []

    with ThreadPoolExecutor(AT_A_TIME) as threads:
        return [found for some in threads.map(one, chosen.items()) for found in some], problems


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    who = line["tenant"], line["database"]
    if line["archive"] is None:
        return (*who, "never", "", "", "")
    return (*who, line["moment"], f"{line['size'] / 1e6:.1f} MB", "yes" if line["verified"] else "no", line["archive"])


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _end(problems: Iterable[str]) -> None:
    told = list(dict.fromkeys(problems))
    for one in told:
        typer.echo(one, err=True)
    if told:
        raise typer.Exit(1)
