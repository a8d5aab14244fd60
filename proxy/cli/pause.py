"""`partywall pause`: no statement of a tenant or database runs until `partywall resume`; its clients wait."""

from __future__ import annotations

from typing import Annotated

import typer

from proxy.cli.asking import AsJson, At, Config, Database, StateDirectory, Tenant, asked


def pause(
    tenant: Tenant = None,
    database: Database = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds that what runs may take to end; then nothing is paused.")
    ] = 30,
    hold: Annotated[float | None, typer.Option("--for", help="Seconds after which it is resumed by itself.")] = None,
    state_directory: StateDirectory = None,
    at: At = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Hold server connections back: clients wait, and are not dropped."""
    from proxy.fleet.control import Pause

    result = asked(Pause(tenant, database, timeout, hold), state_directory, at, config, as_json)
    if result is not None:
        typer.echo(f"paused: {result['paused']}{'' if hold is None else f', for {hold:g} s'}")
