"""TextReader: COPY data in the text format become rows of fields.

A backslash makes the next byte plain, a newline included; `\\.` ends the data. NULL and DEFAULT are compared with a
field as it was sent. Most data take `_quick`, which splits whole buffers; the careful way gives the same rows. Source:
CopyReadLineText and CopyReadAttributesText in commands/copyfromparse.c.
"""

from __future__ import annotations

import re

from proxy.wire.copyfields import (
    BACKSLASH,
    DEFAULT,
    FULL_STOP,
    LONE_MARKER,
    Default,
    Field,
    Line,
    Reader,
    Row,
    Shape,
)

TOKENS = re.compile(rb"\\.|\r\n?|\n", re.DOTALL)
ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.|\Z)", re.DOTALL)
LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
QUICK = 65_536  # bytes that are held and may be looked at twice


def unescaped(found: re.Match[bytes]) -> bytes:
    """What a backslash and what follows it stand for."""
    what = found[1]
    if len(what) > 1 and what[:1] == b"x":
        return bytes((int(what[1:], 16),))
    if what.isdigit() and what < b"8":
        return bytes((int(what, 8) & 0xFF,))
    return LETTERS.get(what, what)


class TextReader(Reader):
    """delimiter: one byte."""

    __slots__ = ("_delimiter", "_split")

    def __init__(self, shape: Shape, most: int, delimiter: bytes) -> None:
        super().__init__(shape, most)
        self._delimiter = delimiter
        self._split = re.compile(rb"\\.|%b" % re.escape(delimiter), re.DOTALL)

    def _take(self, data: bytes, rows: list[Line]) -> None:
        if self._newline in (b"", b"\n") and len(self._held) < QUICK:
            whole = bytes(self._held) + data if self._held else data
            if self._is_plain(whole):
                self._quick(whole, rows)
                return
        super()._take(data, rows)

    @staticmethod
    def _is_plain(data: bytes) -> bool:
        """Does each line feed end a row, and nothing else does?"""
        if b"\r" in data or b"\n" not in data or data[-1] == BACKSLASH:
            return False
        return b"\\" not in data or not (b"\\\n" in data or b"\\." in data)

    def _fields(self, line: bytes) -> Row:
        shape, wanted = self._shape, self._wanted
        if BACKSLASH not in line:
            row: Row = list(line.split(self._delimiter, wanted))
            if shape.null[:1] == b"\\" and shape.default is None:
                return row
            return [self._marked(one, one) for one in row if isinstance(one, bytes)]
        self._marks = 0
        self._count(line.count(b"\\"), self.line)
        raw: list[bytes] = []
        start = 0
        for token in self._split.finditer(line):
            at = token.start()
            if line[at] != BACKSLASH:
                raw.append(line[start:at])
                start = at + 1
                if len(raw) == wanted:
                    break
        raw.append(line[start:])  # the last, or one too many: all that is left
        row = [self._marked(one, ESCAPE.sub(unescaped, one) if BACKSLASH in one else one) for one in raw]
        for one in row:
            if one is not None and not isinstance(one, Default) and (not one.isascii() or 0 in one):
                self.check_encoding(one, line)
        return row

    def _marked(self, raw: bytes, value: bytes) -> Field:
        if raw == self._shape.null:
            return None
        return DEFAULT if raw == self._shape.default else value

    def _line_end(self, final: bool) -> tuple[int, int] | None:
        held = self._held
        at = self._at
        for token in TOKENS.finditer(held, at):
            start, end = token.span()
            at = end
            if held[start] != BACKSLASH:
                size = self._newline_size(start, end, final, False)
                if size is None:
                    self._at = start
                    return None
                return start, start + size
            if held[start + 1] == FULL_STOP:
                if len(held) < start + 4 and not final and held[-1:] != b"\n":
                    self._at = start
                    return None
                self._check_marker(start)
                self._over = True
                return start, len(held)
            self._count(1, self.line + 1)
        open_escape = len(held) > at and held[-1] == BACKSLASH
        self._at = len(held) - 1 if open_escape and not final else len(held)
        return None

    def _check_marker(self, start: int) -> None:
        """It must stand before a newline of the data's style, or at their end."""
        held, style, alone = self._held, self._newline, self._shape.major >= LONE_MARKER
        rest = bytes(held[start + 2 : start + 4])
        if alone and start > self._begin:
            raise self.broken("end-of-copy marker is not alone on its line", start)
        fits = rest.startswith(style) if style else rest[:1] in (b"\r", b"\n")
        if rest and not fits:
            text = "end-of-copy marker is not alone on its line" if alone else "end-of-copy marker corrupt"
            mixed = rest[:1] in (b"\r", b"\n")
            raise self.broken("end-of-copy marker does not match previous newline style" if mixed else text, start)
