"""Progress as people and programs see it: a bar on a terminal, else a JSON object a second, on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.backup.progress import Progress

INTERVAL = 1.0  # seconds between two lines for programs


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """What is to be told how far it is. For programs each phase ends with a line, so the last figures are told."""
    if sys.stderr.isatty():
        yield from _bar()
    else:
        yield from _lines()


def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import (
        Progress as Bar,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"))
    with Bar(*columns, TextColumn("{task.fields[size]}"), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        phases: dict[str, object] = {}

        def tell(progress: Progress) -> None:
            if progress.phase not in phases:
                phases[progress.phase] = bar.add_task(progress.phase, size="")
            total = max(progress.expected_rows, progress.rows)
            size = f"{progress.bytes / 1e6:.1f} MB"
            bar.update(phases[progress.phase], completed=progress.rows, total=total, size=size)  # type: ignore[arg-type]  # TaskID is rich's own int

        yield tell


def _lines() -> Iterator[Callable[[Progress], None]]:
    last: Progress | None = None
    at = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last, at
        now = time.monotonic()
        if last is not None and last.phase != progress.phase:
            print(_line(last), file=sys.stderr)
        elif now - at >= INTERVAL:
            print(_line(progress), file=sys.stderr)
            at, last = now, None
            return
        last = progress

    yield tell
    if last is not None:
        print(_line(last), file=sys.stderr)


def _line(progress: Progress) -> str:
    return json.dumps(
        {
            "phase": progress.phase,
            "rows": progress.rows,
            "expected_rows": progress.expected_rows,
            "bytes": progress.bytes,
            "table": progress.table,
        }
    )
