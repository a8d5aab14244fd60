"""Rows as CSV files have them: what the server's COPY writes, with the ends of lines that RFC 4180 wants.

Promises: NULL is an empty field, and a text of no characters is `""`; nothing between quotes is changed. Rows are
counted on the way, the header not. Pure but for the file that is given.
"""

from __future__ import annotations

from typing import BinaryIO, Final


class Commas:
    """A table's file. What is added begins with the header."""

    form: Final = "csv"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._quoted = False
        self._lines = 0

    def add(self, text: bytes) -> None:
        """Writes what COPY sent, cut anywhere."""
        parts = text.split(b'"')
        for number, part in enumerate(parts):
            if number:
                self._quoted = not self._quoted
            if not self._quoted and b"\n" in part:
                self._lines += part.count(b"\n")
                parts[number] = part.replace(b"\n", b"\r\n")
        self._file.write(b'"'.join(parts))

    def close(self) -> int:
        """How many rows there were."""
        return self._lines - 1
