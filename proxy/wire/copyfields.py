"""Fields of COPY data in text and CSV: what both readers share, and the errors of commands/copyfromparse.c.

Bytes cut anywhere go in, rows come out, each with the number of its line. A field is its bytes, None for NULL, or
DEFAULT. Bytes of one row are held, no more: a row longer than `most` is an error, and so is one with more than MARKS
backslashes or quotes, for each takes a step in Python; each byte is looked at once however small the pieces are.
Nothing is known here of types; what bytes are no UTF-8 is for the server to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.errors import Refusal

BACKSLASH, FULL_STOP = ord("\\"), ord(".")
SHOWN = 100  # bytes of a line or value in CONTEXT
LONE_MARKER = 18  # the first major that asks for the end marker on a line of its own
MARKS = 32_768  # of backslashes, or of quotes and escapes, in a row: some 20 ms
HEADER_FIELDS = 10_000  # that a header line may have too many and still be told their number
SLICE = 1 << 20  # bytes of a value that are decoded at a time
MARKS_HINT = "Use the binary format, or smaller values."
TOO_LARGE, NO_SUCH_CHARACTER = "54000", "22021"


class Default:
    """The field holds the DEFAULT marker."""


DEFAULT = Default()
Field = bytes | None | Default
Row = list[Field]
Line = tuple[int, Row]
"""The number of the line on which a row ends, and its fields."""


class BadCopy(Refusal):
    """The data are not what the format says. context: `line 3: "…"`, or as much of it as is known."""

    sqlstate = "22P04"
    context = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the options say of fields. columns: names, in the order of the rows; header: "", skip or match; default:
    the DEFAULT marker, None where there is none; not_null, force_null: numbers of columns; defaults: those that have
    one.
    """

    columns: tuple[str, ...]
    null: bytes = b"\\N"
    default: bytes | None = None
    header: str = ""
    not_null: frozenset[int] = frozenset()
    force_null: frozenset[int] = frozenset()
    defaults: frozenset[int] = frozenset()
    major: int = 18


def cut(line: bytes) -> str:
    """As CONTEXT shows a line or value: whole characters of it."""
    if len(line) <= SHOWN:
        return line.decode("utf-8", "replace")
    end = SHOWN
    while end and line[end] & 0xC0 == 0x80:
        end -= 1
    return line[:end].decode("utf-8", "replace") + "..."


class Reader:
    """line: the number of the one that was read last. problem: why nothing more is read."""

    __slots__ = (
        "_at", "_begin", "_header", "_held", "_marks", "_most", "_newline", "_over", "_shape", "line", "problem",
    )  # fmt: skip

    def __init__(self, shape: Shape, most: int) -> None:
        self._shape = shape
        self._most = most
        self._held = bytearray()  # what has come and is no whole row yet
        self._begin = 0  # where in it the row under way begins
        self._at = 0  # so much of it was looked at
        self._marks = 0  # backslashes or quotes of the row under way
        self._newline = b""  # the style that the first row fixed
        self._over = False  # the end marker came: what follows is ignored
        self._header = shape.header
        self.line = 0
        self.problem: BadCopy | None = None

    @property
    def over(self) -> bool:
        """Did the end marker come?"""
        return self._over

    def feed(self, data: bytes) -> list[Line]:
        """The rows that are whole now; those before a problem, if there is one."""
        rows: list[Line] = []
        if self._over or self.problem is not None:
            return rows
        try:
            self._take(data, rows)
            if len(self._held) > self._most:
                found = BadCopy(f"a row of more than {self._most} bytes cannot be inserted", sqlstate=TOO_LARGE)
                found.context = f"line {self.line + 1}"
                raise found
        except BadCopy as problem:
            self.problem = problem
        return rows

    def end(self) -> list[Line]:
        """The last row, which need not end with a newline."""
        rows: list[Line] = []
        try:
            if not self._over and self.problem is None:
                self._rows(rows, True)
            if self._header == "match" and self.problem is None:  # there was not even a line
                self.line += 1
                self.row(b"")
        except BadCopy as problem:
            self.problem = problem
        return rows

    def _take(self, data: bytes, rows: list[Line]) -> None:
        """Adds the rows that are whole now. BadCopy."""
        self._held += data
        self._rows(rows, False)

    def bad(self, message: str, line: bytes, hint: str | None = None, detail: str | None = None) -> BadCopy:
        """An error in the line that was read last."""
        found = BadCopy(message, detail=detail, hint=hint)
        found.context = f'line {self.line}: "{cut(line)}"'
        return found

    def broken(self, message: str, end: int, hint: str | None = None) -> BadCopy:
        """An error there, where the line under way does not end as one."""
        self.line += 1
        self.check_encoding(bytes(self._held[self._begin : end]))
        found = BadCopy(message, hint=hint)
        found.context = f"line {self.line}"
        return found

    def _count(self, marks: int, line: int) -> None:
        """BadCopy where a row has more marks than are worked through."""
        self._marks += marks
        if self._marks > MARKS:
            text = f"a row with more than {MARKS} backslashes or quotes cannot be inserted"
            found = BadCopy(text, hint=MARKS_HINT, sqlstate=TOO_LARGE)
            found.context = f"line {line}"
            raise found

    @property
    def _wanted(self) -> int:
        """Fields of a line; of one with more than these not all need be found."""
        return len(self._shape.columns) + (HEADER_FIELDS if self._header else 0)

    def check_encoding(self, value: bytes, line: bytes | None = None) -> None:
        """BadCopy unless it is UTF-8. line: it is a value of that line."""
        at = value.find(0)
        start, size = 0, len(value)
        while start < size:
            end = start + SLICE
            while start < end < size and value[end] & 0xC0 == 0x80:  # within a character
                end -= 1
            end = end if end > start else size
            try:
                value[start:end].decode()
            except UnicodeDecodeError as problem:
                at = start + problem.start if at < 0 else min(at, start + problem.start)
                break
            start = end
        if at < 0:
            return
        first = value[at]
        size = 4 if first >> 3 == 30 else 3 if first >> 4 == 14 else 2 if first >> 5 == 6 else 1
        shown = " ".join(f"0x{one:02x}" for one in value[at : at + size])
        text = f'invalid byte sequence for encoding "UTF8": {shown}'
        found = BadCopy(text, sqlstate=NO_SUCH_CHARACTER)
        found.context = f"line {self.line}" if line is None else f'line {self.line}: "{cut(line)}"'
        raise found

    def row(self, line: bytes) -> Row | None:
        """The row of this line; None where it is the header."""
        if not line.isascii() or 0 in line:
            self.check_encoding(line)
        row = self._fields(line)
        shape = self._shape
        if self._header:
            if self._header == "match":
                self._check_header(row, line)
            self._header = ""
            return None
        wanted = len(shape.columns)
        if len(row) > wanted:
            raise self.bad("extra data after last expected column", line)
        if len(row) < wanted:
            raise self.bad(f'missing data for column "{shape.columns[len(row)]}"', line)
        if shape.default is not None:
            for at, one in enumerate(row):
                if one is DEFAULT and at not in shape.defaults:
                    detail = f'Column "{shape.columns[at]}" has no default value.'
                    raise self.bad("unexpected default marker in COPY data", line, detail=detail)
        return row

    def _fields(self, line: bytes) -> Row:
        raise NotImplementedError

    def _line_end(self, final: bool) -> tuple[int, int] | None:
        """Where the row under way ends and the next begins, of what is held; None where that cannot be told yet."""
        raise NotImplementedError

    def _quick(self, data: bytes, rows: list[Line]) -> None:
        """The rows of data in which each line feed ends one."""
        lines = data.split(b"\n")
        self._held = bytearray(lines.pop())
        self._begin, self._at, self._newline = 0, len(self._held), b"\n"
        for line in lines:
            self.line += 1
            self._marks = 0
            row = self.row(line)
            if row is not None:
                rows.append((self.line, row))
        self._marks = self._held.count(BACKSLASH)

    def _rows(self, rows: list[Line], final: bool) -> None:
        """Of what is held, which is let go."""
        held = self._held
        while not self._over:
            found = self._line_end(final)
            if found is None:
                if not final or self._begin == len(held):
                    break
                found = len(held), len(held)
            line = bytes(held[self._begin : found[0]])
            self._begin = self._at = found[1]
            if self.over and not line:
                break
            self.line += 1
            row = self.row(line)
            self._marks = 0
            if row is not None:
                rows.append((self.line, row))
        if self._over:
            self._begin = len(held)
        if self._begin:
            del held[: self._begin]
            self._at = max(0, self._at - self._begin)
            self._begin = 0

    def _check_header(self, row: Row, line: bytes) -> None:
        columns = self._shape.columns
        if len(row) != len(columns):
            text = f"wrong number of fields in header line: got {len(row)}, expected {len(columns)}"
            raise self.bad(text, line)
        for at, (one, wanted) in enumerate(zip(row, columns, strict=True), 1):
            text = f"column name mismatch in header line field {at}: got "
            if one is None:
                null = self._shape.null.decode("utf-8", "replace")
                raise self.bad(f'{text}null value ("{null}"), expected "{wanted}"', line)
            if one != wanted.encode():
                shown = one.decode("utf-8", "replace") if isinstance(one, bytes) else ""
                raise self.bad(f'{text}"{shown}", expected "{wanted}"', line)

    def _newline_size(self, start: int, end: int, final: bool, quoting: bool) -> int | None:
        """How many bytes of the `\\n`, `\\r` or `\\r\\n` there end a row; None where more must be seen."""
        style = self._newline
        found = bytes(self._held[start:end])
        if found == b"\n":
            if style not in (b"", b"\n"):
                raise self._mixed("newline", quoting, start)
            self._newline = found
            return 1
        if style == b"\n":
            raise self._mixed("carriage return", quoting, start)
        if style == b"\r":
            return 1
        if found == b"\r\n":
            self._newline = found
            return 2
        if end == len(self._held) and not final:
            return None
        if style == b"\r\n":
            raise self._mixed("carriage return", quoting, start)
        self._newline = b"\r"
        return 1

    def _mixed(self, what: str, quoting: bool, end: int) -> BadCopy:
        if quoting:
            return self.broken(f"unquoted {what} found in data", end, f"Use quoted CSV field to represent {what}.")
        letter = "n" if what == "newline" else "r"
        return self.broken(f"literal {what} found in data", end, f'Use "\\{letter}" to represent {what}.')
