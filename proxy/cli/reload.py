"""`partywall reload`: a running proxy takes its rules anew, and says what is wrong with them when it does not."""

from __future__ import annotations

import typer

from proxy.cli.asking import AsJson, At, Config, StateDirectory, asked


def reload(
    state_directory: StateDirectory = None, at: At = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Take the rules and certificates anew, whole or not at all."""
    from proxy.fleet.control import Reload

    result = asked(Reload(), state_directory, at, config, as_json)
    if result is not None:
        typer.echo(f"generation {result['generation']}")
