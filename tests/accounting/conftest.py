"""A journal in a folder of its own, and connections that fail where a test wants it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.accounting.journal import NAME
from proxy.accounting.pending import Batch
from proxy.accounting.report import Line, Span, read
from proxy.quota.usage import Usage


class Failing:
    """Makes connections on which a statement that begins with these words fails: before it is run, or after."""

    def __init__(self) -> None:
        self.words = ""
        self.after = False

    def connect(self, *arguments: Any, **named: Any) -> sqlite3.Connection:
        outer = self

        class Connection(sqlite3.Connection):
            def _run(self, call: Callable[..., sqlite3.Cursor], sql: str, *values: Any) -> sqlite3.Cursor:
                hit = bool(outer.words) and sql.lstrip().startswith(outer.words)
                if hit and not outer.after:
                    raise sqlite3.OperationalError("disk I/O error")
                cursor = call(sql, *values)
                if hit:
                    raise sqlite3.OperationalError("disk I/O error")
                return cursor

            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
                return self._run(super().execute, sql, *values)

            def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
                return self._run(super().executemany, sql, *values)

        return sqlite3.connect(*arguments, factory=Connection, **named)


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / NAME


def batch(number: int, rows: dict[tuple[int, str, str], int]) -> Batch:
    """Of so many statements."""
    return Batch(number, float(number), {row: Usage(statements=count) for row, count in rows.items()})


def lines(*paths: Path) -> list[Line]:
    """Everything, by hours."""
    return read(paths, Span(), "hour")


def statements(path: Path) -> int:
    """The sum of all; 0 where there is no journal yet."""
    return sum(line.usage.statements for line in lines(path)) if path.is_file() else 0
