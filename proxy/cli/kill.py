"""`partywall kill`: sessions of a tenant or login, or one by its process id, end at once."""

from __future__ import annotations

from typing import Annotated

import typer

from proxy.cli.asking import AsJson, At, Config, StateDirectory, asked, line


def kill(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant.")] = None,
    login: Annotated[str | None, typer.Option(help="Of this login.")] = None,
    process_id: Annotated[int | None, typer.Option(help="The one whose pg_backend_pid() this is.")] = None,
    state_directory: StateDirectory = None,
    at: At = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """End the sessions that fit everything given, with 57P01."""
    from proxy.fleet.control import Kill

    if tenant is None and login is None and process_id is None:
        raise typer.BadParameter("whose sessions? --tenant, --login or --process-id is needed")
    result = asked(Kill(tenant, login, process_id), state_directory, at, config, as_json)
    if result is not None:
        typer.echo(f"killed: {len(result['killed'])} sessions")
        for one in result["killed"]:
            typer.echo(line(one))
