"""Export: one file for each whole hour in which anything was used, for billing. Blocking, in the journal's thread.

A file appears whole under its name or not at all, and never changes: the hour was closed before, so whoever writes it,
now or after a crash, writes the same bytes. A file of that name with other bytes is somebody else's (another host's,
in a folder that two share): FileExistsError, and it stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from proxy.accounting.forms import rendered
from proxy.accounting.hours import begin_of, named
from proxy.accounting.journal import Journal
from proxy.quota.usage import Usage

Format = Literal["csv", "json"]
HEADER = ("hour", "tenant", "login", *Usage._fields)


def export(journal: Journal, before: int, folder: Path, form: Format) -> int:
    """Writes the files of all hours before this one that have none yet; how many. OSError, sqlite3.Error."""
    hours = journal.close_hours(before)
    for hour in hours:
        write_once(folder / f"usage-{named(hour)}.{form}", content(hour, journal.hour(hour), form))
        journal.exported(hour)
    return len(hours)


def content(hour: int, rows: Iterable[tuple[str, str, Usage]], form: Format) -> bytes:
    """What stands in the file of an hour."""
    begin = f"{begin_of(hour):%Y-%m-%dT%H:%M:%SZ}"
    return rendered(HEADER, [(begin, tenant, login, *usage) for tenant, login, usage in rows], form).encode()


def write_once(path: Path, data: bytes) -> None:
    """The file, on the disk when this returns. FileExistsError when there is one with other bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(fresh)  # fails where replace would overwrite
    except FileExistsError:
        if path.read_bytes() != data:
            raise
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
