"""With which role, and where, the commands go that work on a tenant's data beside the proxy.

The place is the rules'; the role is the operator's where the settings have one. `--server` names both. Passwords come
from settings, rule files and PGPASSWORD, and are never printed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from proxy.app.operators import operators_place, reasons
from proxy.errors import ConfigurationError
from proxy.fleet.tables import read_rules
from proxy.settings import Settings
from proxy.tenancy.policy import Grant
from proxy.tenancy.rulebook import RuleBook
from proxy.tenancy.servers import Place, place_of

Rules = Annotated[Path, typer.Option(help="The folder of rule files.")]
ServerUri = Annotated[
    str | None,
    typer.Option(
        help="Go there, as this role, whose password is in PGPASSWORD: postgresql://role@host/database. Default: where"
        " the rules say, as operator_role of the settings, or as the role that serves the tenant."
    ),
]
Config = Annotated[Path | None, typer.Option(help="A TOML file of settings, for operator_role.")]
Identity = Annotated[
    Path | None, typer.Option(help="The file of the age identity or SSH key that an encrypted archive is for.")
]
Triggers = Annotated[
    Literal["fire", "off"], typer.Option(help="Of the tables: off locks out whoever writes to them meanwhile.")
]
Timeout = Annotated[float, typer.Option(help="Seconds that what runs may take to end before.")]
Hold = Annotated[float, typer.Option("--for", help="Seconds after which its sessions go on by themselves.")]
At = Annotated[
    list[str] | None,
    typer.Option(help="Admin addresses of the proxies that serve it; default: this host's, and peers."),
]


async def grant_of(rules: Path, tenant: str, database: str) -> Grant:
    """What the rules say of a tenant there. ConfigurationError when they say nothing."""
    return grant_in(await read_rules(rules, os.environ, 1), tenant, database)


def grant_in(book: RuleBook, tenant: str, database: str) -> Grant:
    """The same of rules that were read."""
    found = book.grants.get((tenant, database, False)) or book.grants.get((tenant, database, True))
    if found is None:
        raise ConfigurationError([f"no tenant {tenant} has a database {database} in these rules"])
    return found


def place_for(grant: Grant, server: str | None, settings: Settings, option: str = "--server") -> Place:
    """Where to go, and as whom. option: where `server` comes from."""
    if server is not None:
        try:
            return place_of(server, os.environ.get("PGPASSWORD"))
        except ValueError as error:
            raise ConfigurationError([f"{option}: {error}"]) from None
    return operators_place(grant, settings)


@contextmanager
def told(what: str) -> Iterator[None]:
    """A server's error as the reason why it did not go."""
    try:
        yield
    except ConfigurationError:
        raise
    except Exception as error:
        found = reasons(what, error)
        if found is None:
            raise
        raise ConfigurationError(found) from error
