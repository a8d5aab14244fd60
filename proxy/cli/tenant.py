"""`partywall tenant add|disable|enable|list`: tenants, in rule files or in a table of tenants.

Whatever is changed, the whole rule set is validated as it would be, and only then it is so; by one writer at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from proxy.auth.scram import build_verifier
from proxy.catalog.tenants import INSERT, SWITCH, TenantRows, change_tenants
from proxy.catalog.watch import FAILURES
from proxy.cli.asking import StateDirectory
from proxy.cli.document import Table, file_of, written_table
from proxy.cli.report import reported
from proxy.errors import ConfigurationError
from proxy.fleet.rulefiles import one_writer, write_new, write_over
from proxy.fleet.tables import take_rows
from proxy.settings import load_settings
from proxy.tenancy.documents import as_yaml, keys_of, switched, tenant_document
from proxy.tenancy.load import Reading
from proxy.tenancy.models import Tenant
from proxy.tenancy.policy import TenantTable
from proxy.tenancy.read import Spot

FOLDER = "tenants"  # below the rules: a file for each tenant that was added
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

Rules = Annotated[Path, typer.Option(help="The folder of rule files.")]
Name = Annotated[str, typer.Argument(help="The tenant.")]

tenant = typer.Typer(no_args_is_help=True, help="Add, disable, enable and list tenants.")


@tenant.command()
def add(
    name: Name,
    database: Annotated[list[str], typer.Option(help="A database that it may use; once for each.")],
    key: Annotated[list[str], typer.Option(help="What its rows have in the tenant columns; or NAME=VALUE for each.")],
    login: Annotated[str | None, typer.Option(help="Its login; default: the tenant's name and _app.")] = None,
    rules: Rules = Path("rules"),
    table: Table = None,
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the printed DSN; default: where it listens.")
    ] = None,
    state_directory: StateDirectory = None,
) -> None:
    """Make a tenant with one login and a password of its own; print its DSN, this once."""
    login = f"{name}_app" if login is None else login
    password = secrets.token_urlsafe(24)
    with reported():
        try:
            keys = keys_of(key)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        verifier = build_verifier(password, secrets.token_bytes(16))
        document = tenant_document(name, keys, database, login, verifier)
        if table is not None:
            if not asyncio.run(_change_row(rules, table, INSERT, [json.dumps(document)])):
                raise ConfigurationError([f"tenant {name} is already in the table"])
        else:
            _add_file(rules, name, as_yaml(document))
        if address is None:
            listen = load_settings(None, {}).listen
            address = f"{listen.host}:{listen.port}"
    for one in database:  # whatever comes now: the password stands nowhere else
        typer.echo(f"postgresql://{quote(login, safe='')}:{password}@{address}/{quote(one, safe='')}")
    if table is None:
        _reload(state_directory)


def _add_file(rules: Path, name: str, text: str) -> None:
    if FILE_NAME.fullmatch(name) is None:
        raise ConfigurationError([f"{name!r} does not do for the name of a file; write one by hand"])
    path = rules / FOLDER / f"{name}.yaml"
    with one_writer(rules):
        if path.exists():
            raise ConfigurationError([f"{path} is already there"])
        _validated(rules, {path: text})
        write_new(path, text)


@tenant.command()
def disable(
    name: Name, rules: Rules = Path("rules"), table: Table = None, state_directory: StateDirectory = None
) -> None:
    """Nobody can log in as the tenant any more, and its sessions end; everything else stays."""
    _switch(name, rules, table, disabled=True)
    if table is None:
        _reload(state_directory)


@tenant.command()
def enable(
    name: Name, rules: Rules = Path("rules"), table: Table = None, state_directory: StateDirectory = None
) -> None:
    """Undo `disable`."""
    _switch(name, rules, table, disabled=False)
    if table is None:
        _reload(state_directory)


def _switch(name: str, rules: Path, table: str | None, *, disabled: bool) -> None:
    with reported():
        if table is not None:
            word = str(disabled).lower()
            if not asyncio.run(_change_row(rules, table, SWITCH, [name, word])):
                raise ConfigurationError([f"there is no tenant {name} in the table"])
            return
        with one_writer(rules):
            file = file_of(name, rules)
            try:
                text = switched(file.read_text(encoding="utf-8"), name, disabled)
            except ValueError as error:
                raise ConfigurationError([f"{file}: {error}"]) from None
            _validated(rules, {file: text})
            write_over(file, text)


def _reload(state: Path | None) -> None:
    """Has the running proxy take the rules, if one is there. Ends the command with what it says against them."""
    from proxy.app.door import CONTROL
    from proxy.fleet.channel import Unanswered, ask
    from proxy.fleet.control import Reload

    with reported():
        path = load_settings(None, {} if state is None else {"state_directory": state}).state_directory / CONTROL
        try:
            answer = asyncio.run(ask(str(path), Reload()))
        except Unanswered as problem:
            typer.echo(f"{path}: {problem}; a proxy elsewhere has to reload", err=True)
            return
        if answer.problems:
            raise ConfigurationError(list(answer.problems))


@tenant.command("list")
def list_tenants(
    rules: Rules = Path("rules"), as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Every tenant of the rule files and of the tables that they name."""
    with reported():
        reading = _validated(rules, {})
    found = sorted(
        (_described(source.at(), source.model) for source in reading.sources if isinstance(source.model, Tenant)),
        key=lambda one: str(one["tenant"]),
    )
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [("tenant", "state", "databases", "logins")]
    rows += [(one["tenant"], one["state"], ",".join(one["databases"]), ",".join(one["logins"])) for one in found]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _described(place: str, model: Tenant) -> dict[str, Any]:
    """State: active when somebody can log in; canary; else disabled."""
    logins = {name: "disabled" if model.disabled or one.disabled else "active" for name, one in model.logins.items()}
    state = "canary" if model.canary else "active" if "active" in logins.values() else "disabled"
    return {
        "tenant": model.tenant,
        "state": state,
        "databases": model.databases,
        "logins": logins,
        "place": place,
    }


def _validated(rules: Path, instead: dict[Spot, str]) -> Reading:
    """The rule set with these files, whole. ConfigurationError with all problems."""
    reading = Reading(rules, os.environ, instead)
    asyncio.run(take_rows(reading))
    reading.book(1)
    return reading


async def _change_row(rules: Path, uri: str, statement: str, arguments: list[str]) -> bool:
    """Changes the table as its writer, if the rule set that comes of it is whole. False when nothing was changed."""
    table, (server, credentials), reading = written_table(uri, rules)
    try:
        return await change_tenants(server, credentials, statement, arguments, _checked(reading, table))
    except ConfigurationError:
        raise
    except FAILURES as error:
        raise ConfigurationError([f"{table.name}: {str(error) or type(error).__name__}"]) from None


def _checked(reading: Reading, table: TenantTable) -> Callable[[TenantRows], Awaitable[None]]:
    async def check(rows: TenantRows) -> None:
        await take_rows(reading, {table: rows})
        reading.book(1)

    return check
