"""What stands before the first regular message: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest.

These packets have no type byte; their first int32 is a version or a request code. Decoding judges the form only: which
parameters, databases and versions are welcome is the session's business. NegotiateProtocolVersion, the answer to a
minor version or an option that is not spoken here, stands with them.
Source: PostgreSQL documentation, "Start-up" and "Message Formats"; 3.2 lengthens the secret key of CancelRequest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.errors import RemoteProtocolError
from proxy.wire.fields import Reader, Writer

PROTOCOL_3_0 = 0x30000
PROTOCOL_3_2 = 0x30002
NEWEST = PROTOCOL_3_2  # that is spoken here

LONG_KEY = 32  # bytes of a cancel key as PostgreSQL makes them for 3.2
SHORT_KEY = 4  # all that 3.0 has room for

_CANCEL = 80877102
_SSL = 80877103
_GSSENC = 80877104


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """The begin of a session. `version` is major << 16 | minor with major 3; parameters by name, in the order sent."""

    parameters: Mapping[str, str]
    version: int = PROTOCOL_3_0

    def encode(self) -> bytes:
        """The whole packet."""
        writer = Writer().uint32(self.version)
        for name, value in self.parameters.items():
            writer.text(name).text(value)
        return _packet(writer.raw(b"\0").body())


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """May this connection speak TLS? The answer is one byte, S or N."""

    def encode(self) -> bytes:
        """The whole packet."""
        return _packet(Writer().uint32(_SSL).body())


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """May this connection speak GSSAPI encryption? The answer is one byte, G or N."""

    def encode(self) -> bytes:
        """The whole packet."""
        return _packet(Writer().uint32(_GSSENC).body())


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Cancel what the session with this key is doing. The connection carries nothing else and gets no answer."""

    process_id: int
    secret_key: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole packet."""
        return _packet(Writer().uint32(_CANCEL).uint32(self.process_id).raw(self.secret_key).body())


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """The version that will be spoken, as the server sends it, and the `_pq_.` options that are not known."""

    newest: int
    unrecognized: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """The whole message."""
        writer = Writer().uint32(self.newest).uint32(len(self.unrecognized))
        for name in self.unrecognized:
            writer.text(name)
        return writer.message(ord("v"))

    @classmethod
    def decode(cls, body: bytes) -> NegotiateProtocolVersion:
        """The message with this body, or RemoteProtocolError."""
        reader = Reader(body)
        newest = reader.uint32()
        names = tuple([reader.text() for _ in range(reader.uint32())])  # a false count ends with the body: 1 byte each
        reader.end()
        return cls(newest, names)


StartupPacket = StartupMessage | SSLRequest | GSSENCRequest | CancelRequest


def _packet(body: bytes) -> bytes:
    return (len(body) + 4).to_bytes(4, "big") + body


def decode_startup(body: bytes) -> StartupPacket:
    """What a packet without a type byte says; `body` is what follows the length.

    RemoteProtocolError for what is malformed, for a parameter given twice, and, with SQLSTATE 0A000, for another major
    version than 3.
    """
    reader = Reader(body)
    code = reader.uint32()
    if code == _SSL:
        reader.end()
        return SSLRequest()
    if code == _GSSENC:
        reader.end()
        return GSSENCRequest()
    if code == _CANCEL:
        process_id = reader.uint32()
        secret_key = reader.rest()
        if not 4 <= len(secret_key) <= 256:
            raise RemoteProtocolError("invalid length of query cancel packet")
        return CancelRequest(process_id, secret_key)
    if code >> 16 != 3:
        asked = f"{code >> 16}.{code & 0xFFFF}"
        raise RemoteProtocolError(
            f"unsupported frontend protocol {asked}: server supports 3.0 to 3.2", sqlstate="0A000"
        )
    parameters: dict[str, str] = {}
    while name := reader.text():
        if name in parameters:
            raise RemoteProtocolError("invalid startup packet layout: a parameter is given twice")
        parameters[name] = reader.text()
    if reader.offset != len(body):
        raise RemoteProtocolError("invalid startup packet layout: expected terminator as last byte")
    return StartupMessage(parameters, code)
