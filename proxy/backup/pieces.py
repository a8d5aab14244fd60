"""Rows of COPY's text format in pieces: whole rows, near a size; how many there are, and whether all begin alike.

In this format every row ends with a newline and holds no other, and fields are parted by tabs, so bytes can be counted
without being parsed. Pure. Source: PostgreSQL documentation, COPY, "Text Format".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

PIECE = 2 << 20  # bytes of text, about: larger ones cost more to pack, for their memory is new each time
NULL = rb"\N"  # a field of no value
_ESCAPES = str.maketrans({"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"})
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Pieces:
    """Gathers what COPY sends, which is whole rows each time, until there is enough for a member."""

    def __init__(self, size: int = PIECE) -> None:
        self._size = size
        self._parts: list[bytes] = []
        self._held = 0

    def add(self, rows: bytes) -> bytes | None:
        """The next piece, when these rows fill it."""
        self._parts.append(rows)
        self._held += len(rows)
        return self.rest() if self._held >= self._size else None

    def rest(self) -> bytes | None:
        """What is left; None when nothing is."""
        parts, self._parts, self._held = self._parts, [], 0
        return b"".join(parts) if parts else None


def rows_of(piece: bytes) -> int:
    """How many rows there are."""
    return piece.count(b"\n")


def beginning(piece: bytes) -> bytes | None:
    """The first field that all rows have in common; None when they have not, or there is no row."""
    first, tab, _ = piece.partition(b"\n")[0].partition(b"\t")
    if not piece.endswith(b"\n"):
        return None
    if not tab:
        return first if set(piece.splitlines()) == {first} else None
    start = first + b"\t"
    if not piece.startswith(start, piece.rfind(b"\n", 0, -1) + 1):
        return None  # the last row says so at once
    return first if piece.startswith(start) and 1 + piece.count(b"\n" + start) == rows_of(piece) else None


def field_of(value: str) -> bytes:
    """A value as a field has it."""
    return value.translate(_ESCAPES).encode()


def value_of(field: bytes) -> str:
    """The value that a field has, which is not NULL."""
    text = field.decode()
    return _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), text) if "\\" in text else text


def altered(piece: bytes, changes: Sequence[tuple[int, Callable[[bytes], bytes]]], width: int) -> bytes:
    """The rows with some fields changed, by their places. width: how many fields a row has; ValueError for another."""
    found = []
    for row in piece.split(b"\n")[:-1]:
        fields = row.split(b"\t")
        if len(fields) != width:
            raise ValueError(f"a row has {len(fields)} fields, not {width}")
        for place, change in changes:
            fields[place] = change(fields[place])
        found.append(b"\t".join(fields))
    found.append(b"")
    return b"\n".join(found)
