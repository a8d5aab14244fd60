"""What the commands that ask a running proxy have in common: where its door is, and how an answer is told.

Exit status 0: done; 1: not done, with the reasons on standard error, or nobody answered; 2: wrong usage.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.report import reported
from proxy.settings import load_settings

if TYPE_CHECKING:
    from proxy.fleet.control import Answer, Request

StateDirectory = Annotated[
    Path | None, typer.Option(help="The state_directory of the running proxy; default: of the settings.")
]
At = Annotated[
    str | None, typer.Option(help="The admin address of a proxy elsewhere, https://HOST:PORT; needs admin_token.")
]
Config = Annotated[Path | None, typer.Option(help="The proxy's TOML file, for where it is and its token.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Tenant = Annotated[str | None, typer.Option(help="One tenant; default: all.")]
Database = Annotated[str | None, typer.Option(help="One database, as applications name it; default: all.")]


def asked(request: Request, state: Path | None, at: str | None, config: Path | None, as_json: bool) -> Any:
    """The result of a request; prints it and returns None with `as_json`. Ends the command when there are problems."""
    with reported():
        answer = _answer(request, state, at, config)
    if as_json:
        typer.echo(json.dumps({"result": answer.result, "problems": answer.problems}, indent=2))
    for problem in answer.problems:
        typer.echo(problem, err=True)
    if answer.problems:
        for one in _named(answer.result):
            typer.echo(line(one), err=True)
        raise typer.Exit(1)
    return None if as_json else answer.result


def _answer(request: Request, state: Path | None, at: str | None, config: Path | None) -> Answer:
    from proxy.app.door import CONTROL
    from proxy.fleet.channel import Unanswered, ask
    from proxy.fleet.remote import post

    settings = load_settings(config, {} if state is None else {"state_directory": state})
    if at is None:
        path = settings.state_directory / CONTROL
        try:
            return asyncio.run(ask(str(path), request))
        except Unanswered as problem:
            raise OSError(f"{path}: {problem}") from None
    if settings.admin_token is None:
        raise OSError("admin_token is not set, and --at needs it")
    return post(at, settings.admin_token.get_secret_value(), request)


def _named(result: Any) -> list[dict[str, Any]]:
    """The sessions that an answer names."""
    found = result if isinstance(result, dict) else {}
    return [one for name in ("holders", "sessions") for one in found.get(name, ())]


def line(session: dict[str, Any]) -> str:
    """A session as people read it."""
    if "process_id" not in session:
        return f"  {session['state']}"
    pins = f" ({', '.join(session['pins'])})" if session["pins"] else ""
    who = f"{session['tenant']}/{session['login']}/{session['database']}"
    return f"  {session['process_id']}  {who}  {session['peer']}  {session['state']}{pins}"
