"""`partywall demo`: everything on one machine, to try in a minute."""

from __future__ import annotations

from typing import Annotated

import typer

from proxy.cli.report import reported
from proxy.demo.cluster import PostgresError
from proxy.demo.run import DemoFailed, run
from proxy.demo.tour import WallBroken


def demo(
    once: Annotated[bool, typer.Option("--once", help="Walk a scripted tour and end.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the data directory behind.")] = False,
) -> None:
    """An embedded PostgreSQL, sample tenants and the proxy; prints their DSNs."""
    with reported():
        try:
            run(typer.echo, once=once, keep=keep)
        except (PostgresError, DemoFailed, WallBroken) as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
