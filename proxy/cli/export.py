"""`partywall export`: a tenant's data as files that other programs read, for a tenant that leaves or asks for it.

Exit status: 0: done; 1: nothing was made, with the reasons; 2: wrong usage.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from proxy.cli.operator import Config, Rules, ServerUri, grant_of, place_for, told
from proxy.cli.report import reported
from proxy.cli.showing import shown
from proxy.errors import ConfigurationError
from proxy.settings import load_settings

if TYPE_CHECKING:
    from proxy.backup.exporting import Exported


def export(
    tenant: Annotated[str, typer.Option(help="Whose data.")],
    database: Annotated[str, typer.Option(help="The database, as applications name it.")],
    output: Annotated[str, typer.Option("--output", "-o", help="A folder, which must be empty or not there yet.")],
    form: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="Of the files.")] = "csv",
    rules: Rules = Path("rules"),
    server: ServerUri = None,
    config: Config = None,
) -> None:
    """Write a tenant's rows, as of one moment, as one CSV or Parquet file for each table."""
    with reported():
        done = asyncio.run(_exported(tenant, database, output, form, rules, server, config))
    typer.echo(f"{tenant} in {database}: {done.rows} rows of {done.tables} tables, as of {done.time}")


async def _exported(
    tenant: str,
    database: str,
    output: str,
    form: Literal["csv", "parquet"],
    rules: Path,
    server: str | None,
    config: Path | None,
) -> Exported:
    from proxy.backup.exporting import export_tenant

    if form == "parquet" and find_spec("pyarrow") is None:
        raise ConfigurationError(["Parquet needs pyarrow, which is not installed: pip install 'partywall[parquet]'"])
    grant = await grant_of(rules, tenant, database)
    place = place_for(grant, server, load_settings(config, {}))
    with told(f"export of {tenant}"), shown() as tell:
        return await export_tenant(place, grant, form, output, tell)
