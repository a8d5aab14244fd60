"""Reader and Writer of the protocol's fields: integers in network order, zero-terminated strings, counted bytes.

A Reader owns exactly one message's body: it cannot see beyond it, and `end()` refuses what is left over. Text that is
for people or for lookup must be UTF-8; SQL and values are bytes that nobody in here judges. Whatever is malformed is a
RemoteProtocolError with PostgreSQL's own message (src/backend/libpq/pqformat.c).
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct, unpack_from
from typing import Self

from proxy.errors import RemoteProtocolError

_INT16 = Struct("!h")
_INT32 = Struct("!i")
_UINT32 = Struct("!I")
_HEADER = Struct("!BI")


def message(tag: int, body: bytes) -> bytes:
    """A regular message: type byte, length, body."""
    return _HEADER.pack(tag, len(body) + 4) + body


def utf8(data: bytes) -> str:
    """Text for people or lookup; RemoteProtocolError when it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("invalid string in message") from None


class Reader:
    """Reads one body from its begin; each method moves on or raises RemoteProtocolError."""

    __slots__ = ("body", "offset")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.offset = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self.offset + count
        if count < 0 or end > len(self.body):
            raise RemoteProtocolError("insufficient data left in message")
        data = self.body[self.offset : end]
        self.offset = end
        return data

    def rest(self) -> bytes:
        """All bytes that are left, perhaps none."""
        return self.take(len(self.body) - self.offset)

    def _pass(self, count: int) -> int:
        """Moves on over `count` bytes that are there; returns where they begin."""
        offset = self.offset
        if offset + count > len(self.body):
            raise RemoteProtocolError("insufficient data left in message")
        self.offset = offset + count
        return offset

    def byte(self) -> int:
        """One unsigned byte."""
        return self.body[self._pass(1)]

    def int16(self) -> int:
        """A signed int16."""
        value: int = _INT16.unpack_from(self.body, self._pass(2))[0]
        return value

    def int32(self) -> int:
        """A signed int32."""
        value: int = _INT32.unpack_from(self.body, self._pass(4))[0]
        return value

    def uint32(self) -> int:
        """An unsigned int32: object identifiers."""
        value: int = _UINT32.unpack_from(self.body, self._pass(4))[0]
        return value

    def count16(self) -> int:
        """How many of something follow: an int16 that must not be negative."""
        count = self.int16()
        if count < 0:
            raise RemoteProtocolError("invalid message format")
        return count

    def int16s(self) -> tuple[int, ...]:
        """A counted list of int16: format codes."""
        count = self.count16()
        return unpack_from(f"!{count}h", self.body, self._pass(2 * count)) if count else ()

    def uint32s(self) -> tuple[int, ...]:
        """A counted list of object identifiers."""
        count = self.count16()
        return unpack_from(f"!{count}I", self.body, self._pass(4 * count)) if count else ()

    def cstring(self) -> bytes:
        """Bytes up to the next NUL, which is passed."""
        end = self.body.find(b"\0", self.offset)
        if end < 0:
            raise RemoteProtocolError("invalid string in message")
        data = self.body[self.offset : end]
        self.offset = end + 1
        return data

    def name(self) -> bytes:
        """A zero-terminated name of a statement or portal: bytes, but UTF-8."""
        data = self.cstring()
        if data and not data.isascii():
            utf8(data)
        return data

    def text(self) -> str:
        """A zero-terminated UTF-8 string."""
        return utf8(self.cstring())

    def value(self) -> bytes | None:
        """Bytes counted by an int32; -1 is NULL."""
        length = self.int32()
        if length == -1:
            return None
        return self.take(length)

    def values(self) -> tuple[bytes | None, ...]:
        """A counted list of values."""
        count = self.count16()
        return tuple([self.value() for _ in range(count)]) if count else ()

    def end(self) -> None:
        """The message must end here."""
        if self.offset != len(self.body):
            raise RemoteProtocolError("invalid message format")


class Writer:
    """Builds one body; methods return the writer, so a layout reads as one line. Out of range is a struct.error."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = bytearray()

    def raw(self, data: bytes) -> Self:
        """Bytes as they are."""
        self.data += data
        return self

    def byte(self, value: int) -> Self:
        """One unsigned byte."""
        self.data.append(value)
        return self

    def int16(self, value: int) -> Self:
        """A signed int16."""
        self.data += _INT16.pack(value)
        return self

    def int32(self, value: int) -> Self:
        """A signed int32."""
        self.data += _INT32.pack(value)
        return self

    def uint32(self, value: int) -> Self:
        """An unsigned int32."""
        self.data += _UINT32.pack(value)
        return self

    def int16s(self, values: tuple[int, ...]) -> Self:
        """A counted list of int16."""
        self.int16(len(values))
        for value in values:
            self.int16(value)
        return self

    def uint32s(self, values: tuple[int, ...]) -> Self:
        """A counted list of object identifiers."""
        self.int16(len(values))
        for value in values:
            self.uint32(value)
        return self

    def cstring(self, data: bytes) -> Self:
        """Bytes and a NUL. A NUL inside would end the field early and smuggle the rest into the next: ValueError."""
        if b"\0" in data:
            raise ValueError("a zero-terminated string must not hold a NUL")
        self.data += data
        self.data.append(0)
        return self

    def text(self, value: str) -> Self:
        """A zero-terminated UTF-8 string."""
        return self.cstring(value.encode())

    def values(self, values: Iterable[bytes | None]) -> Self:
        """A counted list of values; None is NULL."""
        listed = tuple(values)
        self.int16(len(listed))
        for value in listed:
            if value is None:
                self.int32(-1)
            else:
                self.int32(len(value)).raw(value)
        return self

    def body(self) -> bytes:
        """What was written."""
        return bytes(self.data)

    def message(self, tag: int) -> bytes:
        """What was written, as the body of a regular message."""
        return message(tag, bytes(self.data))
