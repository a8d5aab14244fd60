"""BinaryRows: COPY data in the binary format, cut anywhere, with one more field before the fields of each row.

A row with another number of fields than it must have never gets to look right: the server refuses it, and from there
on everything is passed as it is. So is what follows the trailer, and a header that is not one. Memory is constant:
values are passed on as they come. Source: PostgreSQL documentation, "COPY", Binary Format.
"""

from __future__ import annotations

from struct import Struct

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = len(SIGNATURE) + 8  # flags, and the length of what extends the header
TRAILER = -1
MOST = 32767

_INT16 = Struct("!h")
_INT32 = Struct("!i")


class BinaryRows:
    """field: length and bytes of what is put in; fields: how many a row of the client's has."""

    __slots__ = ("_field", "_fields", "_held", "_left", "_raw", "_skip", "_started")

    def __init__(self, field: bytes, fields: int) -> None:
        self._field = _INT16.pack(fields + 1) + field
        self._fields = fields
        self._held = b""  # the begin of a header, count or length
        self._skip = 0  # bytes of a value or of the header's extension still to come
        self._left = 0  # fields of this row still to come
        self._started = False
        self._raw = False

    def feed(self, data: bytes) -> bytes:
        """The next piece, with the field put in. Less comes out than went in where a number is cut."""
        if self._raw:
            return data
        if self._skip >= len(data):
            self._skip -= len(data)
            return data
        if self._held:
            data, self._held = self._held + data, b""
        at = self._skip
        if not self._started:
            at = self._begin(data)
            if at < 0:
                return data if self._raw else b""
        return self._walk(data, at)

    def end(self) -> bytes:
        """What was held back, now that nothing follows: a number that was cut."""
        held, self._held = self._held, b""
        return held

    def _begin(self, data: bytes) -> int:
        """Where the first row begins, perhaps beyond this piece; -1 where it cannot be told, or never will."""
        if data[: len(SIGNATURE)] != SIGNATURE[: len(data)]:
            self._raw = True
            return -1
        if len(data) < HEADER:
            self._held = data
            return -1
        (extension,) = _INT32.unpack_from(data, HEADER - 4)
        self._started = True
        self._raw = extension < 0
        return -1 if self._raw else HEADER + int(extension)

    def _walk(self, data: bytes, at: int) -> bytes:
        size = len(data)
        left = self._left
        out: list[bytes] = []
        done = 0
        count, length = _INT16.unpack_from, _INT32.unpack_from
        field, fields = self._field, self._fields
        while True:
            while left and at + 4 <= size:
                (width,) = length(data, at)
                at += 4
                left -= 1
                if width > 0:
                    at += width
                elif width < -1:
                    self._raw = True
                    return b"".join(out) + data[done:]
            if left or at + 2 > size:
                break
            (many,) = count(data, at)
            out.append(data[done:at])
            if many != fields:
                self._raw = True
                if 0 <= many < MOST:  # so that the server names one more than there are, as it expects one more
                    out.append(_INT16.pack(many + 1))
                    at += 2
                out.append(data[at:])
                return b"".join(out)
            out.append(field)
            at += 2
            done = at
            left = fields
        self._left = left
        if at >= size:
            self._skip = at - size
            out.append(data[done:])
        else:
            self._skip = 0
            self._held = data[at:]
            out.append(data[done:at])
        return b"".join(out)
