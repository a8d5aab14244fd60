"""A command that SIGTERM ends lets go of what it holds first, as one that Ctrl-C ends."""

from __future__ import annotations

import asyncio
import os
import signal
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from proxy.backup import cloning, erasing
from proxy.cli.ending import awaited
from tests.cli.conftest import Run
from tests.kit.rules import write_sample_rules


def test_what_is_under_way_is_cancelled_and_lets_go(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # letting go takes a turn of the loop
            done.append("let go")

    with pytest.raises(typer.Exit) as ended:
        awaited(work())
    assert (ended.value.exit_code, done, capsys.readouterr().err) == (143, ["let go"], "ended by SIGTERM\n")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # so that a second one does not wait


def test_what_ends_by_itself_is_as_it_was() -> None:
    async def work(error: BaseException | None) -> int:
        if error is not None:
            raise error
        return 7

    assert awaited(work(None)) == 7
    with pytest.raises(ZeroDivisionError):
        awaited(work(ZeroDivisionError()))
    with pytest.raises(asyncio.CancelledError):
        awaited(work(asyncio.CancelledError()))


def test_restore_clone_and_erase_are_ended_so(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    async def work(*_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            done.append("let go")

    write_sample_rules(tmp_path, 5432, "shared")
    of = SimpleNamespace(manifest=SimpleNamespace(tenant="acme", database="shared"))
    restore = import_module("proxy.cli.restore")  # in the package that name is the command
    monkeypatch.setattr(restore, "chained", lambda *_: of)
    monkeypatch.setattr(restore, "_restored", work)
    monkeypatch.setattr(cloning, "clone", work)
    monkeypatch.setattr(erasing, "erase", work)
    rules = ("--rules", str(tmp_path))
    assert run("restore", "a", *rules).exit_code == 143
    whose = ("--tenant", "acme", "--database", "shared", *rules)
    assert run("clone", *whose, "--as", "globex").exit_code == 143
    assert run("erase", *whose, "--dry-run").exit_code == 143
    assert done == ["let go"] * 3
