"""What a server says after start-up: one frozen value per message, encode() and decode(body).

Used for the few messages that matter and for those that the proxy writes itself; rows on their way to a client are
relayed and never pass through here. Authentication messages, reports and NegotiateProtocolVersion have files of their
own, CopyData and CopyDone are the frontend's: `decode_backend` knows them all.
Source: PostgreSQL documentation, "Message Formats".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from proxy.errors import RemoteProtocolError
from proxy.wire.authentication import Authentication, decode_authentication
from proxy.wire.fields import Reader, Writer, message
from proxy.wire.frontend import CopyData, CopyDone
from proxy.wire.report import ErrorResponse, NoticeResponse
from proxy.wire.startup import NegotiateProtocolVersion

__all__ = [
    "FAILED",
    "IDLE",
    "IN_TRANSACTION",
    "BackendKeyData",
    "BackendMessage",
    "BindComplete",
    "CloseComplete",
    "Column",
    "CommandComplete",
    "CopyBothResponse",
    "CopyData",
    "CopyDone",
    "CopyInResponse",
    "CopyOutResponse",
    "DataRow",
    "EmptyQueryResponse",
    "ErrorResponse",
    "NegotiateProtocolVersion",
    "NoData",
    "NoticeResponse",
    "NotificationResponse",
    "ParameterDescription",
    "ParameterStatus",
    "ParseComplete",
    "PortalSuspended",
    "ReadyForQuery",
    "RowDescription",
    "decode_backend",
]

IDLE = ord("I")  # ReadyForQuery's status
IN_TRANSACTION = ord("T")
FAILED = ord("E")


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    """A setting's value, at start-up and whenever it changes."""

    name: str
    value: str

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().text(self.name).text(self.value).message(ord("S"))

    @classmethod
    def decode(cls, body: bytes) -> ParameterStatus:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        status = cls(reader.text(), reader.text())
        reader.end()
        return status


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    """What a CancelRequest must show. The key has 4 bytes in protocol 3.0, up to 256 in 3.2."""

    process_id: int
    secret_key: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().uint32(self.process_id).raw(self.secret_key).message(ord("K"))

    @classmethod
    def decode(cls, body: bytes) -> BackendKeyData:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        process_id, secret_key = reader.uint32(), reader.rest()
        if not 4 <= len(secret_key) <= 256:
            raise RemoteProtocolError("invalid message format")
        return cls(process_id, secret_key)


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """The next query may come; status is IDLE, IN_TRANSACTION or FAILED."""

    status: int

    def encode(self) -> bytes:
        """The whole message."""
        return message(ord("Z"), bytes([self.status]))

    @classmethod
    def decode(cls, body: bytes) -> ReadyForQuery:
        """The message with this body, or RemoteProtocolError."""
        if len(body) != 1 or body not in b"ITE":
            raise RemoteProtocolError("invalid message format")
        return cls(body[0])


@dataclass(frozen=True, slots=True)
class CommandComplete:
    """A statement is done; tag is like `SELECT 3`."""

    tag: str

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().text(self.tag).message(ord("C"))

    @classmethod
    def decode(cls, body: bytes) -> CommandComplete:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        complete = cls(reader.text())
        reader.end()
        return complete


@dataclass(frozen=True, slots=True)
class ParseComplete:
    """Parse went well."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"1\0\0\0\4"


@dataclass(frozen=True, slots=True)
class BindComplete:
    """Bind went well."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"2\0\0\0\4"


@dataclass(frozen=True, slots=True)
class CloseComplete:
    """Close went well, also when there was nothing of that name."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"3\0\0\0\4"


@dataclass(frozen=True, slots=True)
class NoData:
    """What was described returns no rows."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"n\0\0\0\4"


@dataclass(frozen=True, slots=True)
class PortalSuspended:
    """Execute's limit was reached and there may be more."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"s\0\0\0\4"


@dataclass(frozen=True, slots=True)
class EmptyQueryResponse:
    """The text held no statement; in CommandComplete's place."""

    def encode(self) -> bytes:
        """The whole message."""
        return b"I\0\0\0\4"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a RowDescription; table and attribute are 0 when it is not a table's."""

    name: str
    table: int = 0
    attribute: int = 0
    type: int = 25
    size: int = -1
    modifier: int = -1
    format: int = 0


@dataclass(frozen=True, slots=True)
class RowDescription:
    """The columns of the rows that follow."""

    columns: tuple[Column, ...]

    def encode(self) -> bytes:
        """The whole message."""
        writer = Writer().int16(len(self.columns))
        for column in self.columns:
            writer.text(column.name).uint32(column.table).int16(column.attribute).uint32(column.type)
            writer.int16(column.size).int32(column.modifier).int16(column.format)
        return writer.message(ord("T"))

    @classmethod
    def decode(cls, body: bytes) -> RowDescription:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        columns = [
            Column(
                reader.text(), reader.uint32(), reader.int16(), reader.uint32(), reader.int16(), reader.int32(),
                reader.int16(),
            )
            for _ in range(reader.count16())
        ]  # fmt: skip
        reader.end()
        return cls(tuple(columns))


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """The types of a statement's parameters."""

    types: tuple[int, ...]

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().uint32s(self.types).message(ord("t"))

    @classmethod
    def decode(cls, body: bytes) -> ParameterDescription:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        description = cls(reader.uint32s())
        reader.end()
        return description


@dataclass(frozen=True, slots=True)
class DataRow:
    """One row; for answers of the proxy's own and for tests."""

    values: tuple[bytes | None, ...]

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().values(self.values).message(ord("D"))

    @classmethod
    def decode(cls, body: bytes) -> DataRow:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        row = cls(reader.values())
        reader.end()
        return row


def _copy(body: bytes) -> tuple[int, tuple[int, ...]]:
    reader = Reader(body)
    overall, formats = reader.byte(), reader.int16s()
    reader.end()
    if overall > 1:
        raise RemoteProtocolError("invalid message format")
    return overall, formats


@dataclass(frozen=True, slots=True)
class CopyInResponse:
    """Send the data of a copy. format: 0 text, 1 binary; formats: one per column."""

    format: int
    formats: tuple[int, ...]

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().byte(self.format).int16s(self.formats).message(ord("G"))

    @classmethod
    def decode(cls, body: bytes) -> CopyInResponse:
        """The message with this body, or RemoteProtocolError."""
        return cls(*_copy(body))


@dataclass(frozen=True, slots=True)
class CopyOutResponse:
    """The data of a copy follow. format: 0 text, 1 binary; formats: one per column."""

    format: int
    formats: tuple[int, ...]

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().byte(self.format).int16s(self.formats).message(ord("H"))

    @classmethod
    def decode(cls, body: bytes) -> CopyOutResponse:
        """The message with this body, or RemoteProtocolError."""
        return cls(*_copy(body))


@dataclass(frozen=True, slots=True)
class CopyBothResponse:
    """Replication begins; the proxy never asks for it. format: 0 text, 1 binary; formats: one per column."""

    format: int
    formats: tuple[int, ...]

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().byte(self.format).int16s(self.formats).message(ord("W"))

    @classmethod
    def decode(cls, body: bytes) -> CopyBothResponse:
        """The message with this body, or RemoteProtocolError."""
        return cls(*_copy(body))


@dataclass(frozen=True, slots=True)
class NotificationResponse:
    """Somebody notified a channel that this session listens to."""

    process_id: int
    channel: str
    payload: str

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().uint32(self.process_id).text(self.channel).text(self.payload).message(ord("A"))

    @classmethod
    def decode(cls, body: bytes) -> NotificationResponse:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        notification = cls(reader.uint32(), reader.text(), reader.text())
        reader.end()
        return notification


BackendMessage = (
    Authentication | ParameterStatus | BackendKeyData | ReadyForQuery | ErrorResponse | NoticeResponse
    | CommandComplete | ParseComplete | BindComplete | CloseComplete | NoData | PortalSuspended | EmptyQueryResponse
    | RowDescription | ParameterDescription | DataRow | CopyInResponse | CopyOutResponse | CopyBothResponse
    | CopyData | CopyDone | NotificationResponse | NegotiateProtocolVersion
)  # fmt: skip

_BARE: Mapping[int, BackendMessage] = {
    ord("1"): ParseComplete(),
    ord("2"): BindComplete(),
    ord("3"): CloseComplete(),
    ord("n"): NoData(),
    ord("s"): PortalSuspended(),
    ord("I"): EmptyQueryResponse(),
}

_DECODERS: Mapping[int, Callable[[bytes], BackendMessage]] = {
    ord("R"): decode_authentication,
    ord("S"): ParameterStatus.decode,
    ord("K"): BackendKeyData.decode,
    ord("Z"): ReadyForQuery.decode,
    ord("E"): ErrorResponse.decode,
    ord("N"): NoticeResponse.decode,
    ord("C"): CommandComplete.decode,
    ord("T"): RowDescription.decode,
    ord("t"): ParameterDescription.decode,
    ord("D"): DataRow.decode,
    ord("G"): CopyInResponse.decode,
    ord("H"): CopyOutResponse.decode,
    ord("W"): CopyBothResponse.decode,
    ord("d"): CopyData.decode,
    ord("c"): CopyDone.decode,
    ord("A"): NotificationResponse.decode,
    ord("v"): NegotiateProtocolVersion.decode,
}


def decode_backend(tag: int, body: bytes) -> BackendMessage:
    """The message of a server with this type byte and body; RemoteProtocolError when there is none such."""
    bare = _BARE.get(tag)
    if bare is not None:
        Reader(body).end()
        return bare
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise RemoteProtocolError(f"unexpected message type 0x{tag:02X} from server")
    return decoder(body)
