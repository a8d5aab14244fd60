"""Progress is a bar for people and JSON lines for programs, on standard error."""

from __future__ import annotations

import io
import json
import sys

import pytest

from proxy.backup.progress import Progress
from proxy.cli.showing import shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_each_phase_ends_with_a_line_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as tell:
        tell(Progress("read", 1, 10, 5, "a"))
        tell(Progress("read", 5, 50, 5, "b"))
        tell(Progress("write", 2, 20, 5, "a"))
    said = capsys.readouterr()
    assert said.out == ""
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert lines[0] == {"phase": "read", "rows": 5, "expected_rows": 5, "bytes": 50, "table": "b"}
    assert lines[-1]["phase"] == "write"


def test_a_terminal_has_a_bar_with_rows_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with shown() as tell:
        tell(Progress("read", 3, 2_000_000, 5, "a"))
        tell(Progress("read", 5, 3_000_000, 4, "a"))
    assert "5/5" in terminal.getvalue()
    assert "3.0 MB" in terminal.getvalue()


def test_nothing_that_is_told_is_nothing_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with shown():
        pass
    assert capsys.readouterr().err == ""
