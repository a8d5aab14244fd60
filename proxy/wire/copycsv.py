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


UNTERMINATED = "unterminated CSV quoted field"


class Next:
    """Where a byte of the line stands next; asked with places that only grow, it looks at each byte once."""

    __slots__ = ("_at", "_byte", "_line")

    def __init__(self, line: bytes, byte: bytes) -> None:
        self._line, self._byte = line, byte
        self._at = -1

    def behind(self, start: int) -> int:
        """There or behind it; the line's length where there is none."""
        if self._at < start:
            found = self._line.find(self._byte, start)
            self._at = len(self._line) if found < 0 else found
        return self._at


class CsvReader(Reader):
    """delimiter, quote, escape: one byte each."""

    __slots__ = ("_delimiter", "_escape", "_escaped", "_inner", "_outer", "_quote", "_quoted")

    def __init__(self, shape: Shape, most: int, delimiter: bytes, quote: bytes, escape: bytes) -> None:
        super().__init__(shape, most)
        self._delimiter, self._quote, self._escape = delimiter, quote, escape
        self._quoted = False
        self._escaped = -1  # where an escape that counts ended
        # What counts between quotes, and what does elsewhere.
        self._inner = re.compile(rb"|".join(sorted({re.escape(quote), re.escape(escape)})))
        self._outer = re.compile(rb"%b|\r\n?|\n" % re.escape(quote))

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
        while True:
            token = (self._inner if self._quoted else self._outer).search(held, self._at)
            start, end = (len(held), len(held)) if token is None else token.span()
            if self._quoted:
                self.line += held.count(b"\n" if self._newline == b"\n" else b"\r", self._at, start)
            if token is None:
                self._at = len(held)
                return None
            byte = held[start]
            if byte == quote:
                if self._escaped != start:
                    self._quoted = not self._quoted
            elif byte == escape:
                self._escaped = -1 if self._escaped == start else end
            else:
                self._at = start
                size = self._newline_size(start, end, final, True)
                if size is None:
                    return None
                self._escaped = -1
                return start, start + size
            self._at = end
            self._count(1, self.line + 1)

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
        wanted = self._wanted
        if self._quote not in line:
            return [self._marked(one, False, at) for at, one in enumerate(line.split(self._delimiter, wanted))]
        row: Row = []
        delimiters, quotes, escapes = (Next(line, one) for one in (self._delimiter, self._quote, self._escape))
        at, size = 0, len(line)
        while len(row) < wanted:
            value: list[bytes] = []
            end, quote = delimiters.behind(at), quotes.behind(at)
            saw_quote = quote < end
            while quote < end:
                value.append(line[at:quote])
                at = self._inside(line, quote + 1, value, quotes, escapes)
                end, quote = delimiters.behind(at), quotes.behind(at)
            value.append(line[at:end])
            row.append(self._marked(b"".join(value), saw_quote, len(row)))
            if end == size:
                return row
            at = end + 1
        if self._quoted:
            raise self.bad(UNTERMINATED, line)
        return [*row, line[at:]]  # one too many: all that is left

    def _inside(self, line: bytes, at: int, value: list[bytes], quotes: Next, escapes: Next) -> int:
        """What stands between quotes; where it ends."""
        size, special = len(line), (self._quote, self._escape)
        while True:
            quote, escape = quotes.behind(at), escapes.behind(at)
            start = min(quote, escape)
            if start == size:
                raise self.bad(UNTERMINATED, line)
            value.append(line[at:start])
            following = line[start + 1 : start + 2]
            if start == escape and following in special:
                value.append(following)
                at = start + 2
            elif start == quote:
                return start + 1
            else:
                value.append(self._escape)
                at = start + 1

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
