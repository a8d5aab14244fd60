"""What a client says after start-up: one frozen value per message, encode() and decode(body).

A decoder is handed exactly its message's body and refuses whatever is not exactly that message. SQL texts are bytes,
for the parser judges them; names of statements and portals are bytes too, but UTF-8. All kinds of PasswordMessage share
the type byte p and differ by what is being proved, so `decode_frontend` makes the plain one and the session asks for
another. Source: PostgreSQL documentation, "Message Formats".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from proxy.errors import RemoteProtocolError
from proxy.wire.fields import Reader, Writer, message

STATEMENT = ord("S")  # what Describe and Close are about
PORTAL = ord("P")


@dataclass(frozen=True, slots=True)
class Query:
    """A simple query: one text, any number of statements."""

    text: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().cstring(self.text).message(ord("Q"))

    @classmethod
    def decode(cls, body: bytes) -> Query:
        """The message with this body, or RemoteProtocolError."""
        if not body or body.find(b"\0") != len(body) - 1:
            raise RemoteProtocolError("invalid string in message")
        return cls(body[:-1])


@dataclass(frozen=True, slots=True)
class Parse:
    """Prepare `text` under `name` (empty: the unnamed statement); types are OIDs, 0 is unspecified."""

    name: bytes
    text: bytes
    types: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().cstring(self.name).cstring(self.text).uint32s(self.types).message(ord("P"))

    @classmethod
    def decode(cls, body: bytes) -> Parse:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        parse = cls(reader.name(), reader.cstring(), reader.uint32s())
        reader.end()
        return parse


@dataclass(frozen=True, slots=True)
class Bind:
    """Make a portal of a statement and values. Format codes: none, one for all, or one each."""

    portal: bytes
    statement: bytes
    formats: tuple[int, ...] = ()
    values: tuple[bytes | None, ...] = field(default=(), repr=False)
    result_formats: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The whole message."""
        writer = Writer().cstring(self.portal).cstring(self.statement)
        return writer.int16s(self.formats).values(self.values).int16s(self.result_formats).message(ord("B"))

    @classmethod
    def decode(cls, body: bytes) -> Bind:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        bind = cls(reader.name(), reader.name(), reader.int16s(), reader.values(), reader.int16s())
        reader.end()
        return bind


def split_bind(body: bytes) -> tuple[bytes, bytes, bytes]:
    """(portal, statement, the rest unread) of a Bind's body: enough to send it under another statement's name."""
    reader = Reader(body)
    portal, statement = reader.name(), reader.name()
    return portal, statement, body[reader.offset :]


def join_bind(portal: bytes, statement: bytes, rest: bytes) -> bytes:
    """The whole Bind message; `rest` comes from split_bind."""
    return message(66, b"%b\0%b\0%b" % (portal, statement, rest))


def _target(reader: Reader) -> int:
    kind = reader.byte()
    if kind not in {STATEMENT, PORTAL}:
        raise RemoteProtocolError("invalid message format")
    return kind


@dataclass(frozen=True, slots=True)
class Describe:
    """Describe a statement or a portal; `kind` is STATEMENT or PORTAL."""

    kind: int
    name: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().byte(self.kind).cstring(self.name).message(ord("D"))

    @classmethod
    def decode(cls, body: bytes) -> Describe:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        describe = cls(_target(reader), reader.name())
        reader.end()
        return describe


@dataclass(frozen=True, slots=True)
class Close:
    """Forget a statement or a portal; `kind` is STATEMENT or PORTAL."""

    kind: int
    name: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().byte(self.kind).cstring(self.name).message(ord("C"))

    @classmethod
    def decode(cls, body: bytes) -> Close:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        close = cls(_target(reader), reader.name())
        reader.end()
        return close


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a portal; at most `limit` rows, 0 or less is all."""

    portal: bytes
    limit: int = 0

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().cstring(self.portal).int32(self.limit).message(ord("E"))

    @classmethod
    def decode(cls, body: bytes) -> Execute:
        """The message with this body, or RemoteProtocolError."""
        if body == b"\0\0\0\0\0":  # what nearly every driver sends
            return _EXECUTE
        reader = Reader(body)
        execute = cls(reader.name(), reader.int32())
        reader.end()
        return execute


@dataclass(frozen=True, slots=True)
class Sync:
    """The end of an extended query's segment."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"S\0\0\0\4"

    @classmethod
    def decode(cls, body: bytes) -> Sync:
        """The message with this body, or RemoteProtocolError."""
        if body:
            Reader(body).end()
        return _SYNC


@dataclass(frozen=True, slots=True)
class Flush:
    """Send what is due; it has no reply of its own."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"H\0\0\0\4"

    @classmethod
    def decode(cls, body: bytes) -> Flush:
        """The message with this body, or RemoteProtocolError."""
        Reader(body).end()
        return cls()


@dataclass(frozen=True, slots=True)
class Terminate:
    """The client goes."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"X\0\0\0\4"

    @classmethod
    def decode(cls, body: bytes) -> Terminate:
        """The message with this body, or RemoteProtocolError."""
        Reader(body).end()
        return cls()


@dataclass(frozen=True, slots=True)
class CopyData:
    """Some bytes of a copy, in either direction."""

    data: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return message(ord("d"), self.data)

    @classmethod
    def decode(cls, body: bytes) -> CopyData:
        """The message with this body; every body is one."""
        return cls(body)


@dataclass(frozen=True, slots=True)
class CopyDone:
    """The copy is complete, in either direction."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"c\0\0\0\4"

    @classmethod
    def decode(cls, body: bytes) -> CopyDone:
        """The message with this body, or RemoteProtocolError."""
        Reader(body).end()
        return cls()


@dataclass(frozen=True, slots=True)
class CopyFail:
    """The client gives up the copy, and why."""

    reason: str

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().text(self.reason).message(ord("f"))

    @classmethod
    def decode(cls, body: bytes) -> CopyFail:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        fail = cls(reader.text())
        reader.end()
        return fail


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Call a function by OID: SQL that no parser sees. Decoded so that it can be refused by name."""

    function: int
    formats: tuple[int, ...] = ()
    values: tuple[bytes | None, ...] = field(default=(), repr=False)
    result_format: int = 0

    def encode(self) -> bytes:
        """The whole message."""
        writer = Writer().uint32(self.function).int16s(self.formats).values(self.values)
        return writer.int16(self.result_format).message(ord("F"))

    @classmethod
    def decode(cls, body: bytes) -> FunctionCall:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        call = cls(reader.uint32(), reader.int16s(), reader.values(), reader.int16())
        reader.end()
        return call


@dataclass(frozen=True, slots=True)
class PasswordMessage:
    """A password in clear, or its md5."""

    password: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().cstring(self.password).message(ord("p"))

    @classmethod
    def decode(cls, body: bytes) -> PasswordMessage:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        password = cls(reader.cstring())
        reader.end()
        return password


@dataclass(frozen=True, slots=True)
class SASLInitialResponse:
    """The mechanism that the client chose, and its first message; None when it sent none."""

    mechanism: str
    data: bytes | None = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        writer = Writer().text(self.mechanism)
        if self.data is None:
            return writer.int32(-1).message(ord("p"))
        return writer.int32(len(self.data)).raw(self.data).message(ord("p"))

    @classmethod
    def decode(cls, body: bytes) -> SASLInitialResponse:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        response = cls(reader.text(), reader.value())
        reader.end()
        return response


@dataclass(frozen=True, slots=True)
class SASLResponse:
    """A further message of the SASL exchange."""

    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return message(ord("p"), self.data)

    @classmethod
    def decode(cls, body: bytes) -> SASLResponse:
        """The message with this body; every body is one."""
        return cls(body)


_EXECUTE = Execute(b"")
_SYNC = Sync()

FrontendMessage = (
    Query | Parse | Bind | Describe | Execute | Close | Sync | Flush | Terminate | CopyData | CopyDone | CopyFail
    | FunctionCall | PasswordMessage
)  # fmt: skip

_DECODERS: Mapping[int, Callable[[bytes], FrontendMessage]] = {
    ord("Q"): Query.decode,
    ord("P"): Parse.decode,
    ord("B"): Bind.decode,
    ord("D"): Describe.decode,
    ord("E"): Execute.decode,
    ord("C"): Close.decode,
    ord("S"): Sync.decode,
    ord("H"): Flush.decode,
    ord("X"): Terminate.decode,
    ord("d"): CopyData.decode,
    ord("c"): CopyDone.decode,
    ord("f"): CopyFail.decode,
    ord("F"): FunctionCall.decode,
    ord("p"): PasswordMessage.decode,
}


def decode_frontend(tag: int, body: bytes) -> FrontendMessage:
    """The message of a client with this type byte and body; RemoteProtocolError when there is none such."""
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise RemoteProtocolError(f"invalid frontend message type {tag}")
    return decoder(body)
