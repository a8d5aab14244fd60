"""`partywall resume`: what was paused or drained goes on."""

from __future__ import annotations

import typer

from proxy.cli.asking import AsJson, At, Config, Database, StateDirectory, Tenant, asked


def resume(
    tenant: Tenant = None,
    database: Database = None,
    state_directory: StateDirectory = None,
    at: At = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Undo a pause or a tenant's drain; without names all of them."""
    from proxy.fleet.control import Resume

    result = asked(Resume(tenant, database), state_directory, at, config, as_json)
    if result is not None:
        typer.echo(f"resumed: {', '.join(result['resumed']) or 'nothing was paused'}")
