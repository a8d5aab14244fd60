"""CsvReader: COPY data in CSV become rows of fields.

What stands between quotes is data, newlines included; NULL and DEFAULT are compared with a field that has no
quotes. Before PostgreSQL 18 a line of `\\.` ended the data. Source: CopyReadLineText and CopyReadAttributesCSV in
commands/copyfromparse.c.
"""

from __future__ import annotations

import re
from typing import Literal

from proxy.wire.copyfields import DEFAULT, LONE_MARKER, Field, Line, Reader, Row, Shape

QUICK = 65_536  # bytes that are held and may be looked at twice


class CsvReader(Reader):
    """delimiter, quote, escape: one byte each."""

    __slots__ = ("_delimiter", "_escape", "_escaped", "_quote", "_quoted", "_tokens")

    def __init__(self, shape: Shape, most: int, delimiter: bytes, quote: bytes, escape: bytes) -> None:
        super().__init__(shape, most)
        self._delimiter, self._quote, self._escape = delimiter, quote, escape
        self._quoted = False
        self._escaped = -1  # where an escape that counts ended
        special = {re.escape(quote), re.escape(escape)}
        self._tokens = re.compile(rb"|".join([*sorted(special), rb"\r\n?", rb"\n"]))

    def _take(self, data: bytes, rows: list[Line]) -> None:
        if self._newline in (b"", b"\n") and not self._quoted and len(self._held) < QUICK:
            whole = bytes(self._held) + data if self._held else data
            if self._quote not in whole and b"\r" not in whole and b"\\" not in whole and b"\n" in whole:
                self._escaped = -1
                self._quick(whole, rows)
                return
        super()._take(data, rows)

    def _line_end(self, final: bool) -> tuple[int, int] | None:
        held, quote = self._held, self._quote[0]
        escape = self._escape[0] if self._escape != self._quote else -1
        if self._at == self._begin:
            ended = self._marker(final)
            if ended is not False:
                return ended
        for token in self._tokens.finditer(held, self._at):
            start, end = token.span()
            byte = held[start]
            if byte == quote:
                if self._escaped != start:
                    self._quoted = not self._quoted
            elif byte == escape:
                if self._quoted:
                    self._escaped = -1 if self._escaped == start else end
            elif self._quoted:
                self.line += bytes(held[start:end]).count(b"\n" if self._newline == b"\n" else b"\r")
            else:
                size = self._newline_size(start, end, final, True)
                if size is None:
                    self._at = start
                    return None
                self._escaped = -1
                return start, start + size
        self._at = len(held)
        return None

    def _marker(self, final: bool) -> tuple[int, int] | Literal[False] | None:
        """The end of the data, None where that cannot be told yet, False where it is not the marker."""
        begin, held = self._begin, self._held
        if self._shape.major >= LONE_MARKER or held[begin : begin + 1] != b"\\":
            return False
        line, style = bytes(held[begin : begin + 4]), self._newline
        if not final and (line in (b"\\", b"\\.") or (style == b"\r\n" and line == b"\\.\r")):
            return None
        if line[:2] != b"\\." or line[2:3] not in (b"\r", b"\n"):
            return False
        if style and not line[2:].startswith(style):
            if style == b"\r\n" and line[2:3] == b"\r" and line[3:4] not in (b"\r", b"\n"):
                return False
            raise self.broken("end-of-copy marker does not match previous newline style", begin)
        self._over = True
        return begin, len(held)

    def _rows(self, rows: list[Line], final: bool) -> None:
        size = len(self._held)
        super()._rows(rows, final)
        if self._escaped >= 0:
            self._escaped -= size - len(self._held)

    def _fields(self, line: bytes) -> Row:
        if self._quote not in line:
            return [self._marked(one, False, at) for at, one in enumerate(line.split(self._delimiter))]
        row: Row = []
        delimiter, quote, escape = self._delimiter[0], self._quote[0], self._escape[0]
        at, size = 0, len(line)
        while True:
            value, saw_quote = bytearray(), False
            ended = True
            while at < size:
                byte = line[at]
                at += 1
                if byte == delimiter:
                    ended = False
                    break
                if byte != quote:
                    value.append(byte)
                    continue
                saw_quote = True
                at = self._inside(line, at, value, quote, escape)
            row.append(self._marked(bytes(value), saw_quote, len(row)))
            if ended:
                return row

    def _inside(self, line: bytes, at: int, value: bytearray, quote: int, escape: int) -> int:
        """What stands between quotes; where it ends."""
        size = len(line)
        while at < size:
            byte = line[at]
            at += 1
            if byte == escape and at < size and line[at] in (escape, quote):
                value.append(line[at])
                at += 1
            elif byte == quote:
                return at
            else:
                value.append(byte)
        raise self.bad("unterminated CSV quoted field", line)

    def _marked(self, value: bytes, quoted: bool, at: int) -> Field:
        shape = self._shape
        found: Field = value
        if not quoted and value == shape.null:
            found = None
        elif not quoted and value == shape.default:
            return DEFAULT
        if found is None and at in shape.not_null:
            return shape.null
        if found == shape.null and at in shape.force_null:
            return None
        return found
