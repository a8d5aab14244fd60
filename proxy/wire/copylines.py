"""TextRows and CsvRows: bytes of COPY data cut anywhere go in, the same bytes with something before each row come out.

Where rows begin is decided as CopyReadLineText does (commands/copyfromparse.c), with its memory: the style of newlines
that the first row fixed, a quote that is open, an escape that came last. What the server must answer with an error is
passed on as it is, and so is all that follows, so that the error is the server's own. Memory is constant: what is held
back from one piece to the next are at most three bytes. Most pieces take `_quick`, which looks at whole buffers;
`_careful` looks at each token and gives the same result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

BACKSLASH, FULL_STOP = ord("\\"), ord(".")
UNKNOWN, NL, CR, CRNL = b"", b"\n", b"\r", b"\r\n"
MARKER = b"\\."
TEXT_TOKENS = re.compile(rb"\\.|\\\Z|\r\n?|\n", re.DOTALL)


class Rows:
    """What both formats share. prefix: put before each row; first: before the first line, which may be a header."""

    __slots__ = ("_at_start", "_held", "_next", "_prefix", "_raw", "newline")

    def __init__(self, prefix: bytes, first: bytes) -> None:
        self._prefix = prefix
        self._next = first
        self._at_start = True  # a row begins with the next byte
        self._held = b""  # seen, and not decidable yet
        self._raw = False  # the data ended, or the server must refuse it: nothing is put in any more
        self.newline = UNKNOWN

    def feed(self, data: bytes) -> bytes:
        """The next piece, with prefixes. Less comes out than went in where its end is not decidable yet."""
        if self._raw or not data:
            return data
        if self._held:
            data, self._held = self._held + data, b""
        quick = self._quick(data)
        return self._careful(data, False) if quick is None else quick

    def end(self) -> bytes:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, b""
        return self._careful(held, True) if held and not self._raw else held

    def _quick(self, data: bytes) -> bytes | None:
        raise NotImplementedError

    def _newlines(self, data: bytes, final: bool) -> Iterator[tuple[int, int]]:
        """Where newlines stand that may end a row; it ends early with `_raw` or `_held` set."""
        raise NotImplementedError

    def _careful(self, data: bytes, final: bool) -> bytes:
        """Token by token. What is held is always the end of the data."""
        out: list[bytes] = []
        done = 0
        if self._at_start:
            put = self._begin_row(data, 0, final)
            if put is None:
                return data[: len(data) - len(self._held)]
            out.append(put)
        for start, end in self._newlines(data, final):
            count = self._line_end(data[start:end], end == len(data), final)
            if count == 0:
                self._held = data[start:]
                break
            if count is None:
                self._raw = True
                break
            self._at_start = True
            if start + count == len(data):
                break
            put = self._begin_row(data, start + count, final)
            if put is None:
                break
            out += (data[done : start + count], put)
            done = start + count
            if count < end - start:  # \r ended the row, and \n begins the next: the server refuses it
                self._raw = True
                break
        out.append(data[done : len(data) - len(self._held)])
        return b"".join(out)

    def _plain_newline(self, data: bytes) -> bytes | None:
        """The newline of data in which each line feed and carriage return is part of one; None where it is not so."""
        if self.newline != CRNL:
            return NL if self.newline != CR and b"\r" not in data else None
        pairs = data.count(CRNL)
        return CRNL if pairs == data.count(b"\n") and pairs == data.count(b"\r") else None

    def _opened(self, data: bytes, replaced: bytes, newline: bytes, quoted: bool) -> bytes:
        """The result of a quick look: what begins and ends the piece is put right."""
        if not quoted and data.endswith(newline):
            replaced = replaced[: -len(self._prefix)]
            at_start = True
        else:
            at_start = False
        if self._at_start:
            replaced = self._next + replaced
            self._next = self._prefix
        self._at_start = at_start
        return replaced

    def _begin_row(self, data: bytes, start: int, final: bool) -> bytes | None:
        """What to put before the row at `start`, where there is a byte. None: nothing more is put in from here on, or
        (with `_held` set) it cannot be told yet."""
        if data[start] == BACKSLASH and self._marker(data, start, final):
            return None
        self._at_start = False
        put, self._next = self._next, self._prefix
        return put

    def _marker(self, data: bytes, start: int, final: bool) -> bool:
        """Is it the end-of-copy marker (`_raw`), or too short to tell (`_held`)?"""
        raise NotImplementedError

    def _line_end(self, found: bytes, at_end: bool, final: bool) -> int | None:
        """How many bytes of a `\\n`, `\\r` or `\\r\\n` end the row: 0 where more must be seen, None where the server
        must refuse it."""
        if found == NL:
            if self.newline not in (UNKNOWN, NL):
                return None
            self.newline = NL
            return 1
        if self.newline == NL:
            return None
        if self.newline == CR:
            return 1
        if found == CRNL:
            self.newline = CRNL
            return 2
        if at_end and not final:
            return 0
        if self.newline == CRNL:
            return None
        self.newline = CR
        return 1


class TextRows(Rows):
    """The text format: a backslash makes the next byte plain, a newline included; `\\.` ends the data."""

    __slots__ = ()

    def _quick(self, data: bytes) -> bytes | None:
        newline = self._plain_newline(data)
        if newline is None or data[-1] in b"\\\r":
            return None
        if b"\\" in data and (b"\\\n" in data or b"\\." in data or b"\\\r" in data):
            return None
        if self.newline == UNKNOWN and newline in data:
            self.newline = newline
        return self._opened(data, data.replace(newline, newline + self._prefix), newline, False)

    def _newlines(self, data: bytes, final: bool) -> Iterator[tuple[int, int]]:
        for token in TEXT_TOKENS.finditer(data):
            start, end = token.span()
            if data[start] != BACKSLASH:
                yield start, end
            elif end - start == 1:  # the last byte
                self._held = b"" if final else data[start:]
            elif data[start + 1] == FULL_STOP:
                self._raw = True
                return

    def _marker(self, data: bytes, start: int, final: bool) -> bool:
        if len(data) == start + 1:
            if final:
                return False
            self._held = data[start:]
            return True
        self._raw = data[start + 1] == FULL_STOP
        return self._raw


class CsvRows(Rows):
    """CSV: a newline within quotes is data. marker: a line of `\\.` alone ends the data."""

    __slots__ = ("_escape", "_escaped", "_has_marker", "_quote", "_quoted", "_tokens")

    def __init__(self, prefix: bytes, first: bytes, quote: bytes, escape: bytes, marker: bool) -> None:
        super().__init__(prefix, first)
        self._quote = quote
        self._escape = b"" if escape == quote else escape
        self._has_marker = marker
        self._quoted = False  # a quote is open
        self._escaped = False  # an escape that is not itself escaped came last
        self._tokens = re.compile(rb"[%b%b]|\r\n?|\n" % (re.escape(quote), re.escape(self._escape)))

    def _quick(self, data: bytes) -> bytes | None:
        if self._escaped or (self._escape and self._escape in data):
            return None
        if data[-1] in b"\\\r" or (self._has_marker and MARKER in data):
            return None
        if not self._quoted and self._quote not in data:
            newline = self._plain_newline(data)
            if newline is None:
                return None
            seen, replaced = data, data.replace(newline, newline + self._prefix)
        else:
            parts = data.split(self._quote)
            outside = parts[self._quoted :: 2]
            seen = self._quote.join(outside)
            newline = self._plain_newline(seen)
            if newline is None:
                return None
            after = newline + self._prefix
            parts[self._quoted :: 2] = [one.replace(newline, after) for one in outside]
            replaced = self._quote.join(parts)
            self._quoted = (len(parts) + self._quoted) % 2 == 0
        if self.newline == UNKNOWN and newline in seen:
            self.newline = newline
        return self._opened(seen, replaced, newline, self._quoted)

    def _newlines(self, data: bytes, final: bool) -> Iterator[tuple[int, int]]:
        escaped = 0 if self._escaped else -1  # where an escape that counts ended
        self._escaped = False  # so it stays where a row ends
        for token in self._tokens.finditer(data):
            found = token.group()
            if found == self._quote:
                if escaped != token.start():
                    self._quoted = not self._quoted
            elif found == self._escape:
                if self._quoted:
                    escaped = -1 if escaped == token.start() else token.end()
            elif not self._quoted:
                yield token.span()
        self._escaped = escaped == len(data)

    def _marker(self, data: bytes, start: int, final: bool) -> bool:
        """Data after all where the line goes on behind the full stop, or the data end there."""
        if not self._has_marker:
            return False
        wanted = 4 if self.newline == CRNL else 3
        line = data[start : start + wanted]
        if line[:2] == MARKER[: len(line)] and (len(line) < 4 or line[2:3] == b"\r"):
            if len(line) == wanted:
                self._raw = line[-1] in b"\r\n"
                return self._raw
            if not final and (len(line) < 3 or line[2:3] == b"\r"):
                self._held = line
                return True
        return False
