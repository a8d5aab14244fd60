"""FrontendStream and BackendStream: bytes as they arrive, turned into what may be acted upon.

From a client come whole messages, one at a time, because any of them may change the phase; a length is judged before
the message is buffered. From a server come runs: one slice that may be relayed as it is, and marks for the few messages
in it that matter; rows and copy data never become objects and are passed on in pieces when they are larger than a read.
Neither class answers anything: what breaks the protocol raises RemoteProtocolError, and the connection must then be
closed, for the stream has lost its place.
"""

from __future__ import annotations

from proxy.errors import RemoteProtocolError
from proxy.wire.framing import FULL, HEADER, REFUSED, RELAYED, Mark, length_at, scan

STARTUP_LIMIT = 10_000  # MAX_STARTUP_PACKET_LENGTH
AUTHENTICATION_LIMIT = 65_535  # PG_MAX_AUTH_TOKEN_LENGTH
SMALL_LIMIT = 10_000  # PQ_SMALL_MESSAGE_LIMIT: messages that hold a name or nothing
MESSAGE_LIMIT = 64 * 1_048_576
LARGE_LIMIT = 0x3FFFFFFE  # PQ_LARGE_MESSAGE_LIMIT: no server would take more, so nobody means it
WATCHED_LIMIT = 16 * 1_048_576  # a server's ErrorResponse may quote a long statement

_UNKNOWN, _SMALL, _LARGE = 0, 1, 2
_FRONTEND = bytes([_SMALL if tag in b"CDEHSXcf" else _LARGE if tag in b"QPBFdp" else _UNKNOWN for tag in range(256)])


class Oversize(bytes):
    """Stands for the body of a message that was too large to be kept; `length` is what its header said."""

    length = 0


class FrontendStream:
    """What a client sent. `limit`: the largest length field of a message in this phase; the session raises it. `texts`:
    the largest of a Query or Parse; a larger one, or a Bind or FunctionCall above `limit`, is thrown away as it comes
    and handed out as Oversize, so that it can be answered and the connection goes on. None: nothing is.
    """

    __slots__ = ("_data", "_need", "_offset", "_partial", "_skip", "_skipped", "limit", "messages", "texts")

    def __init__(self, limit: int = AUTHENTICATION_LIMIT) -> None:
        self.limit = limit
        self.messages = 0  # whole messages handed out
        self._data = b""
        self._offset = 0
        self._partial = bytearray()  # the begin of a message whose header was judged
        self._need = 0  # its size; 0: there is none
        self.texts: int | None = None
        self._skip = 0  # bytes still to be thrown away
        self._skipped: tuple[int, Oversize] | None = None  # what they belong to

    def feed(self, data: bytes) -> None:
        """Takes what was read. Nothing is judged before the next call of `startup` or `message`."""
        if self._skip:
            thrown = min(self._skip, len(data))
            self._skip -= thrown
            data = data[thrown:]
        if self._need:
            self._partial += data
            if len(self._partial) >= self._need:
                self._data = bytes(self._partial)
                self._partial = bytearray()
                self._offset = self._need = 0
        elif self._offset == len(self._data):
            self._data = data
            self._offset = 0
        else:
            self._data = self._data[self._offset :] + data
            self._offset = 0

    @property
    def buffered(self) -> int:
        """Bytes that came behind the last message handed out. Behind an SSLRequest there must be none."""
        return len(self._data) - self._offset + len(self._partial)

    @property
    def whole(self) -> bool:
        """True when the next byte begins a message: nothing waits, and nothing of one is still to be thrown away."""
        return self._offset == len(self._data) and not (self._need or self._skip or self._skipped)

    @property
    def first(self) -> int | None:
        """The first byte of a client that has said nothing else yet: 0x16 begins a TLS handshake, and no packet is that
        long.
        """
        return self._data[0] if self._data and not self.messages and not self._offset else None

    def take(self) -> bytes:
        """Everything that waits, as it came."""
        data, self._data, self._offset = self._data[self._offset :], b"", 0
        return data

    def startup(self) -> bytes | None:
        """The body of the next packet without a type byte, for decode_startup; None when it is not whole.

        RemoteProtocolError when its length is below 8 or above 10,000.
        """
        start = self._offset
        if len(self._data) - start < 4:
            return None
        length = length_at(self._data, start)
        if not 8 <= length <= STARTUP_LIMIT:
            raise RemoteProtocolError("invalid length of startup packet")
        return self._body(start + 4, start + length)

    def message(self) -> tuple[int, bytes] | None:
        """(type byte, body) of the next message; None when it is not whole. The body may be an Oversize.

        RemoteProtocolError for a type that no client sends, and for a length below 4 or above the limit.
        """
        if self._skipped is not None:
            return self._thrown_away()
        start = self._offset
        if len(self._data) - start < HEADER:
            return None
        tag = self._data[start]
        kind = _FRONTEND[tag]
        if kind == _UNKNOWN:
            raise RemoteProtocolError(f"invalid frontend message type {tag}")
        length = length_at(self._data, start + 1)
        if self.texts is not None and tag in b"QPBF":
            bound = self.texts if tag in b"QP" else self.limit
            if bound < length <= LARGE_LIMIT:
                return self._throw_away(tag, length)
        if length < 4 or length > self.limit or (kind == _SMALL and length > SMALL_LIMIT):
            raise RemoteProtocolError("invalid message length")
        body = self._body(start + HEADER, start + 1 + length)
        return None if body is None else (tag, body)

    def _throw_away(self, tag: int, length: int) -> tuple[int, bytes] | None:
        there = len(self._data) - self._offset
        self._skip = max(0, 1 + length - there)
        self._offset += min(there, 1 + length)
        body = Oversize()
        body.length = length - 4
        self._skipped = (tag, body)
        return self._thrown_away()

    def _thrown_away(self) -> tuple[int, bytes] | None:
        if self._skip:
            return None
        found, self._skipped = self._skipped, None
        self.messages += 1
        return found

    def _body(self, begin: int, end: int) -> bytes | None:
        if end > len(self._data):
            self._need = end - self._offset
            self._partial += self._data[self._offset :]
            self._data = b""
            self._offset = 0
            return None
        self._offset = end
        self.messages += 1
        return self._data[begin:end]


class BackendStream:
    """What a server sent. `table` (framing.LOGIN, FULL) says what is watched, relayed, refused; it may change
    between feeds, so that a phase that knows no rows refuses them."""

    __slots__ = ("_need", "_partial", "bytes", "limit", "messages", "remaining", "rows", "table")

    def __init__(self, table: bytes = FULL, limit: int = WATCHED_LIMIT) -> None:
        self.table = table
        self.limit = limit  # largest length field of a watched message
        self.messages = 0  # begun, since the connection is
        self.rows = 0
        self.bytes = 0
        self.remaining = 0  # bytes still to come of a relayed message that has begun
        self._partial = bytearray()  # a cut header, or a watched message that is not whole
        self._need = 0  # bytes wanted in partial before looking again

    @property
    def between_messages(self) -> bool:
        """True when what was handed out ends with a whole message: only then may the proxy write one of its own."""
        return self.remaining == 0

    @property
    def whole(self) -> bool:
        """True when nothing of a message that is still to come has been read: only then may another begin to read."""
        return self.remaining == 0 and not self._partial

    def feed(self, data: bytes) -> tuple[bytes, list[Mark]]:
        """A run: bytes that may be relayed now, and the whole watched messages among them, in order.

        Bytes between marks belong to relayed messages; a run may begin and end in the middle of one.
        RemoteProtocolError for a type that has no business here, and for a length below 4 or above the limit: then
        nothing of that read is handed out.
        """
        self.bytes += len(data)
        marks: list[Mark] = []
        if self._partial:
            self._partial += data
            if len(self._partial) < self._need:
                return b"", marks
            data = bytes(self._partial)
            self._partial = bytearray()
        size = len(data)
        if self.remaining >= size:
            self.remaining -= size
            return data, marks
        offset, messages, rows = scan(data, self.remaining, self.table, marks)
        self.messages += messages
        self.rows += rows
        if offset >= size:
            self.remaining = offset - size
            return data, marks
        self.remaining = 0
        self._need = self._want(data, offset)
        self._partial += data[offset:]
        return data[:offset], marks

    def _want(self, data: bytes, offset: int) -> int:
        """How many bytes there must be before the message at `offset`, where the scan stopped, can be passed."""
        kind = self.table[data[offset]]
        if kind == REFUSED:
            raise RemoteProtocolError(f"unexpected message type 0x{data[offset]:02X} from server")
        if len(data) - offset < HEADER:
            return HEADER
        length = length_at(data, offset + 1)
        if length < 4 or length > self.limit or kind == RELAYED:  # a relayed message stops the scan by its length only
            raise RemoteProtocolError("invalid message length from server")
        return 1 + length
