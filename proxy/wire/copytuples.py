"""BinaryReader: COPY data in the binary format become rows of fields.

Values are passed on as they came; the server's receive functions say what is wrong with one. Bytes of one row are held,
no more. Source: PostgreSQL documentation, "COPY", Binary Format; commands/copyfromparse.c for the errors.
"""

from __future__ import annotations

from struct import Struct

from proxy.wire.copybinary import HEADER, SIGNATURE, TRAILER
from proxy.wire.copyfields import TOO_LARGE, BadCopy, Line, Row

WITH_OIDS = 1 << 16
COUNT = 2  # bytes of what begins a row; with less there is none
CRITICAL = 0xFFFF0000  # of the flags: who does not know one of them must refuse the file

_INT16 = Struct("!h")
_INT32 = Struct("!i")


class BinaryReader:
    """columns: their names. line: the number of the row that was read last. problem: why nothing more is read."""

    __slots__ = ("_columns", "_fields", "_held", "_most", "_need", "_over", "_started", "line", "problem")

    def __init__(self, columns: tuple[str, ...], most: int) -> None:
        self._columns = columns
        self._fields = len(columns)
        self._most = most
        self._held = bytearray()
        self._need = HEADER  # with less nothing more can be told
        self._started = False
        self._over = False
        self.line = 0
        self.problem: BadCopy | None = None

    def feed(self, data: bytes) -> list[Line]:
        """The rows that are whole now; those before a problem, if there is one."""
        rows: list[Line] = []
        try:
            if self.problem is None:
                self._take(data, rows)
        except BadCopy as problem:
            self.problem = problem
        return rows

    def end(self) -> list[Line]:
        """Nothing may follow."""
        try:
            if self.problem is None:
                self._end()
        except BadCopy as problem:
            self.problem = problem
        return []

    def _take(self, data: bytes, rows: list[Line]) -> None:
        if self._over:
            if data:
                raise self._bad("received copy data after EOF marker")
            return
        self._held += data
        if len(self._held) < self._need:
            self._check_size()
            return
        at = 0
        if not self._started:
            at = self._begin()
            if at < 0:
                return
        held, size = self._held, len(self._held)
        while not self._over:
            if at + 2 > size:
                self._need = 2
                break
            (count,) = _INT16.unpack_from(held, at)
            if count == TRAILER:
                self._over = True
                if at + 2 < size:
                    raise self._bad("received copy data after EOF marker")
                break
            if count != self._fields:
                self.line += 1
                raise self._bad(f"row field count is {count}, expected {self._fields}")
            row, end, _ = self._row(at + 2)
            if row is None:
                self._need = end - at
                break
            self.line += 1
            rows.append((self.line, row))
            at = end
        del held[:at]
        self._check_size()

    def _end(self) -> None:
        if self._over:
            return
        if not self._started:
            self._check_header()
            raise self._no_header("wrong length")
        if len(self._held) >= COUNT:
            self.line += 1
            raise self._bad("unexpected EOF in COPY data", column=self._row(COUNT)[2])

    def _row(self, at: int) -> tuple[Row | None, int, str]:
        """The fields from there on and where they end; None, and how far at least and in which column, where they are
        not whole.
        """
        held, size = self._held, len(self._held)
        row: Row = []
        for column in self._columns:
            if at + 4 > size:
                return None, at + 4, column
            (width,) = _INT32.unpack_from(held, at)
            at += 4
            if width == -1:
                row.append(None)
                continue
            if width < 0:
                self.line += 1
                raise self._bad("invalid field size", column=column)
            if at + width > size:
                return None, at + width, column
            row.append(bytes(held[at : at + width]))
            at += width
        return row, at, ""

    def _begin(self) -> int:
        """Where the first row begins; -1 where it has not come."""
        held = self._held
        self._check_header()
        (extension,) = _INT32.unpack_from(held, HEADER - 4)
        if len(held) < HEADER + extension:
            self._need = HEADER + int(extension)
            self._check_size()
            return -1
        self._started = True
        return HEADER + int(extension)

    def _check_header(self) -> None:
        held = self._held
        if held[: len(SIGNATURE)] != SIGNATURE:
            raise BadCopy("COPY file signature not recognized")
        if len(held) < HEADER - 4:
            raise self._no_header("missing flags")
        (flags,) = _INT32.unpack_from(held, len(SIGNATURE))
        if flags & WITH_OIDS:
            raise self._no_header("WITH OIDS")
        if flags & CRITICAL & ~WITH_OIDS:
            raise BadCopy("unrecognized critical flags in COPY file header")
        if len(held) < HEADER or _INT32.unpack_from(held, HEADER - 4)[0] < 0:
            raise self._no_header("missing length")

    @staticmethod
    def _no_header(what: str) -> BadCopy:
        return BadCopy(f"invalid COPY file header ({what})")

    def _check_size(self) -> None:
        if max(len(self._held), self._need) > self._most:
            self.line += 1
            raise self._bad(f"a row of more than {self._most} bytes cannot be inserted", TOO_LARGE)

    def _bad(self, message: str, sqlstate: str | None = None, column: str = "") -> BadCopy:
        found = BadCopy(message, sqlstate=sqlstate)
        found.context = f"line {max(self.line, 1)}" + (f", column {column}" if column else "")
        return found
