"""Rule files are written whole, one writer at a time, and only where nothing was that is not meant to go.

A file appears by a link and is replaced by a rename, each from a file beside it that no reader takes for rules, once
that is on the disk.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_writer(directory: Path) -> Iterator[None]:
    """Holds the folder of rule files against others that write. OSError when it is not there."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def write_new(path: Path, text: str) -> None:
    """A file that was not there; FileExistsError when it was. Who may read its folder may read it."""
    path.parent.mkdir(exist_ok=True)
    fresh = _beside(path, text, path.parent.stat().st_mode & 0o666)
    try:
        os.link(fresh, path)
    finally:
        fresh.unlink()


def write_over(path: Path, text: str) -> None:
    """Another text in the place of a file's, with its mode."""
    target = path.resolve()  # a link stays one
    _beside(target, text, target.stat().st_mode & 0o777).replace(target)


def write_draft(path: Path, draft: Path, text: str) -> None:
    """What a file may become, in another beside it that only those may read who may read the file."""
    _beside(draft, text, path.stat().st_mode & 0o777).replace(draft)


def _beside(path: Path, text: str, mode: int) -> Path:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return fresh
