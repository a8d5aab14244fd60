"""What an archive builds on, told from its manifest alone: rows in front of it are skipped, and nothing is verified.

Promises: reads headers and one member. What is no archive, is not finished, is sealed or cannot be read builds on
nothing that could be known here. Of files on this machine only. Blocking.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from proxy.backup.manifest import MANIFEST, decode
from proxy.backup.refusal import Damaged, Refused
from proxy.backup.tape import BLOCK, opened, padding


def bases_of(path: Path) -> frozenset[str]:
    """The names that archives had when this one was built on them. path: of a file, or of a manifest in a folder."""
    try:
        with path.open("rb") as file:
            text = file.read() if path.name == MANIFEST else _manifest(file)
        return frozenset(one.name for one in decode(text).bases)
    except (OSError, Damaged, Refused):
        return frozenset()


def _manifest(file: BinaryIO) -> bytes:
    while len(block := file.read(BLOCK)) == BLOCK and (found := opened(block)) is not None:
        name, size = found
        if name == MANIFEST:
            return file.read(size)
        file.seek(size + len(padding(size)), io.SEEK_CUR)
    raise Damaged("it has no manifest")
