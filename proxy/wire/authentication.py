"""The messages with which a server asks for a proof of identity, all of type R, told apart by an int32.

Formats only: SASL bodies are framed and not read (auth does that). A kind that is not spoken here, such as Kerberos,
GSSAPI or SSPI, still decodes, so that a refusal can name it.
Source: PostgreSQL documentation, "Message Formats".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.errors import RemoteProtocolError
from proxy.wire.fields import Reader, Writer

_TAG = ord("R")
_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12
_OTHERS = {2: "Kerberos V5", 6: "SCM", 7: "GSSAPI", 8: "GSSAPI", 9: "SSPI"}


@dataclass(frozen=True, slots=True)
class AuthenticationOk:
    """The identity is proved, or nobody asked."""

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().int32(_OK).message(_TAG)


@dataclass(frozen=True, slots=True)
class AuthenticationCleartextPassword:
    """Send the password as it is."""

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().int32(_CLEARTEXT).message(_TAG)


@dataclass(frozen=True, slots=True)
class AuthenticationMD5Password:
    """Send the md5 of password, name and these four bytes."""

    salt: bytes

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().int32(_MD5).raw(self.salt).message(_TAG)


@dataclass(frozen=True, slots=True)
class AuthenticationSASL:
    """Choose one of these mechanisms, the server's favourite first."""

    mechanisms: tuple[str, ...]

    def encode(self) -> bytes:
        """The whole message."""
        writer = Writer().int32(_SASL)
        for mechanism in self.mechanisms:
            writer.text(mechanism)
        return writer.raw(b"\0").message(_TAG)


@dataclass(frozen=True, slots=True)
class AuthenticationSASLContinue:
    """The server's challenge."""

    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().int32(_SASL_CONTINUE).raw(self.data).message(_TAG)


@dataclass(frozen=True, slots=True)
class AuthenticationSASLFinal:
    """The server's outcome: its own proof."""

    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().int32(_SASL_FINAL).raw(self.data).message(_TAG)


@dataclass(frozen=True, slots=True)
class AuthenticationOther:
    """A kind of proof that is not spoken here; `name` says which."""

    code: int
    data: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """The kind, as people call it."""
        return _OTHERS[self.code]

    def encode(self) -> bytes:
        """The whole message."""
        return Writer().int32(self.code).raw(self.data).message(_TAG)


Authentication = (
    AuthenticationOk | AuthenticationCleartextPassword | AuthenticationMD5Password | AuthenticationSASL
    | AuthenticationSASLContinue | AuthenticationSASLFinal | AuthenticationOther
)  # fmt: skip


def decode_authentication(body: bytes) -> Authentication:
    """The message of type R with this body, or RemoteProtocolError."""
    reader = Reader(body)
    code = reader.int32()
    if code == _SASL_CONTINUE:
        return AuthenticationSASLContinue(reader.rest())
    if code == _SASL_FINAL:
        return AuthenticationSASLFinal(reader.rest())
    if code in _OTHERS:
        return AuthenticationOther(code, reader.rest())
    request: Authentication
    if code == _OK:
        request = AuthenticationOk()
    elif code == _CLEARTEXT:
        request = AuthenticationCleartextPassword()
    elif code == _MD5:
        request = AuthenticationMD5Password(reader.take(4))
    elif code == _SASL:
        mechanisms = []
        while name := reader.text():
            mechanisms.append(name)
        request = AuthenticationSASL(tuple(mechanisms))
    else:
        raise RemoteProtocolError(f"authentication method {code} not supported")
    reader.end()
    return request
