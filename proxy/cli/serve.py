"""`partywall serve`: the proxy in the foreground, until SIGTERM."""

from __future__ import annotations

import asyncio
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from proxy.app.process import serve as serve_proxy
from proxy.cli.report import reported
from proxy.settings import load_settings


def serve(
    config: Annotated[Path | None, typer.Option(help="A TOML file of process settings.")] = None,
    rules: Annotated[Path | None, typer.Option(help="The folder of rule files.")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT for clients.")] = None,
    admin_listen: Annotated[str | None, typer.Option(help="HOST:PORT for /metrics, /healthz and /readyz.")] = None,
) -> None:
    """Serve clients. Command line beats environment (PARTYWALL_*) beats file."""
    given: dict[str, Any] = {"rules": rules, "listen": listen, "admin_listen": admin_listen}
    with reported():
        settings = load_settings(config, {name: value for name, value in given.items() if value is not None})
        run(serve_proxy(settings, os.environ))


def run(main: Any) -> Any:
    """asyncio.run, on uvloop where it is installed."""
    factory = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
