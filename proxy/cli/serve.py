"""`partywall serve`: the proxy in the foreground, until SIGTERM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from proxy.cli.report import reported
from proxy.settings import load_settings


def serve(
    config: Annotated[Path | None, typer.Option(help="A TOML file of process settings.")] = None,
    rules: Annotated[Path | None, typer.Option(help="The folder of rule files.")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT for clients.")] = None,
    admin_listen: Annotated[str | None, typer.Option(help="HOST:PORT for /metrics, /healthz and /readyz.")] = None,
) -> None:
    """Serve clients. Command line beats environment (PARTYWALL_*) beats file."""
    from proxy.app.loop import run  # here, so that no other command waits for all that serving needs
    from proxy.app.process import serve as serve_proxy
    from proxy.app.supervision import supervise
    from proxy.fleet.supervisor import WorkerFailed

    given: dict[str, Any] = {"rules": rules, "listen": listen, "admin_listen": admin_listen}
    with reported():
        settings = load_settings(config, {name: value for name, value in given.items() if value is not None})
        serve_all = serve_proxy if settings.workers == 1 else supervise
        try:
            run(serve_all(settings, os.environ))
        except WorkerFailed as problem:
            typer.echo(str(problem), err=True)
            raise typer.Exit(1) from None
