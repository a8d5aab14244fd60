"""`partywall usage`: what each login used, from the journal; also while the proxy runs."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from proxy.accounting.forms import Form, rendered
from proxy.accounting.hours import since as hour_since
from proxy.accounting.journal import NAME
from proxy.accounting.report import HEADER, By, Span, read, records
from proxy.cli.report import reported
from proxy.settings import load_settings

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]
Moment = Annotated[datetime | None, typer.Option(formats=FORMATS, help="UTC.")]


def usage(
    journals: Annotated[
        list[Path] | None, typer.Argument(help="Journals, perhaps of several hosts; default: this one's.")
    ] = None,
    since: Moment = None,
    until: Moment = None,
    tenant: Annotated[str | None, typer.Option(help="This one only.")] = None,
    by: Annotated[By, typer.Option(help="What is added up.")] = "day",
    form: Annotated[Form, typer.Option("--format", help="How it is printed.")] = "table",
    config: Annotated[Path | None, typer.Option(help="A TOML file of process settings: state_directory.")] = None,
) -> None:
    """Print what each login used. Hours are of UTC, and counted whole."""
    with reported():
        paths = journals or [load_settings(config, {}).state_directory / NAME]
        span = Span(0 if since is None else hour_since(since), 1 << 40 if until is None else hour_since(until), tenant)
        try:
            lines = read(paths, span, by)
        except sqlite3.Error as error:
            raise OSError(f"{', '.join(map(str, paths))}: {error}") from error
    typer.echo(rendered(HEADER, records(lines), form), nl=False)
