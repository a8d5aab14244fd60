"""With which role, and where, the commands go that work on a tenant's data beside the proxy.

The place is the rules'; the role is the operator's where the settings have one. `--server` names both. Passwords come
from settings, rule files and PGPASSWORD, and are never printed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError
from proxy.fleet.tables import read_rules
from proxy.settings import Settings
from proxy.tenancy.policy import Grant
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


async def grant_of(rules: Path, tenant: str, database: str) -> Grant:
    """What the rules say of a tenant there. ConfigurationError when they say nothing."""
    book = await read_rules(rules, os.environ, 1)
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
    if settings.operator_role is None:
        return grant.server, grant.credentials
    password = settings.operator_password
    secret = None if password is None else password.get_secret_value()
    return replace(grant.server, role=settings.operator_role), replace(grant.credentials, password=secret)


@contextmanager
def told(what: str) -> Iterator[None]:
    """A server's error as the reason why it did not go."""
    try:
        yield
    except ConfigurationError:
        raise
    except ExceptionGroup as group:
        first: Exception = group
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        if not isinstance(first, FAILURES):
            raise
        raise ConfigurationError(_reasons(what, first)) from first
    except FAILURES as error:
        raise ConfigurationError(_reasons(what, error)) from error


def _reasons(what: str, error: Exception) -> list[str]:
    if isinstance(error, ConfigurationError):
        return error.problems
    told = [f"{what}: {str(error) or type(error).__name__}"]
    told += [f"  {part}" for name in ("detail", "hint") if (part := getattr(error, name, None))]
    if getattr(error, "sqlstate", None) == "42501":
        told.append("  the role may not do this; set operator_role, or name another with --server")
    return told
