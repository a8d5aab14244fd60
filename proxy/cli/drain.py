"""`partywall drain`: the proxy, or one tenant's sessions, come to their end."""

from __future__ import annotations

from typing import Annotated

import typer

from proxy.cli.asking import AsJson, At, Config, StateDirectory, asked


def drain(
    tenant: Annotated[str | None, typer.Option(help="Only its sessions, and no new ones until resume.")] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds for a tenant's transactions to end; then new sessions may come again.")
    ] = 30,
    state_directory: StateDirectory = None,
    at: At = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """End the process as SIGTERM does, or with --tenant its sessions: idle ones at once, others after a transaction."""
    from proxy.fleet.control import Drain

    result = asked(Drain(tenant, timeout), state_directory, at, config, as_json)
    if result is not None:
        whole = result.get("whole", True)
        typer.echo("drained" if whole else "drained; some sessions had to be cut off")
