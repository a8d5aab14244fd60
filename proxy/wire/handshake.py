"""ServerHandshake: the proxy's own log-in at a PostgreSQL server, from StartupMessage to ReadyForQuery.

Messages in, bytes out; whoever owns the socket reads with the table framing.LOGIN. Trust, md5, SCRAM-SHA-256 and
SCRAM-SHA-256-PLUS are answered, a password in clear only where that was allowed. The server is not believed before it
proved what it must: a login by SCRAM that ends without the server's signature is refused.
Source: PostgreSQL documentation, "Start-up".
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.auth.md5 import md5_response
from proxy.auth.scram import MECHANISM, PLUS, SaltedPasswords, ScramClient
from proxy.errors import ConnectionFailure, RemoteProtocolError
from proxy.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
)
from proxy.wire.backend import (
    BackendKeyData,
    NegotiateProtocolVersion,
    NoticeResponse,
    ParameterStatus,
    ReadyForQuery,
    decode_backend,
)
from proxy.wire.frontend import PasswordMessage, SASLInitialResponse, SASLResponse
from proxy.wire.report import ErrorResponse
from proxy.wire.startup import PROTOCOL_3_0, PROTOCOL_3_2, StartupMessage


class HandshakeRefused(ConnectionFailure):
    """The server said no. `response` is what it said: for the log, because it names the proxy's own role and server."""

    def __init__(self, response: ErrorResponse) -> None:
        super().__init__("the server refused the connection")
        self.response = response


class ServerHandshake:
    """One log-in. Send `start()`, then hand in every message; `done` when the server is ready for queries.

    parameters: further start-up parameters. nonce: at least 18 random bytes in base64. cache: derived keys, kept by the
    caller for the next connection. binding: of the server's certificate (auth.binding), where there is one. version: to
    be asked for; the server may answer with an older one.
    """

    __slots__ = (
        "_allow_cleartext", "_authenticated", "_begun", "_binding", "_cache", "_nonce", "_password", "_scram",
        "_startup", "_user", "done", "parameters", "process_id", "secret_key", "status",
    )  # fmt: skip

    def __init__(
        self,
        user: str,
        database: str,
        parameters: Mapping[str, str],
        password: str | None,
        nonce: bytes,
        *,
        allow_cleartext: bool = False,
        cache: SaltedPasswords | None = None,
        binding: bytes | None = None,
        version: int = PROTOCOL_3_2,
    ) -> None:
        self._startup = StartupMessage({"user": user, "database": database, **parameters}, version)
        self._binding = binding
        self._begun = False  # the server has said something
        self._user = user
        self._password = password
        self._nonce = nonce
        self._allow_cleartext = allow_cleartext
        self._cache = cache
        self._scram: ScramClient | None = None  # an exchange that is not proved yet
        self._authenticated = False
        self.parameters: dict[str, str] = {}  # as the server reported them
        self.process_id = 0
        self.secret_key = b""
        self.status = 0  # of ReadyForQuery
        self.done = False

    def start(self) -> bytes:
        """The first bytes to send, behind TLS if there is any."""
        return self._startup.encode()

    def receive(self, tag: int, body: bytes) -> list[bytes]:
        """What to send after this message, usually nothing.

        HandshakeRefused when the server refuses; ConnectionFailure when it wants what was not given or not allowed;
        RemoteProtocolError for what has no place here.
        """
        message = decode_backend(tag, body)
        if isinstance(message, ErrorResponse):
            raise HandshakeRefused(message)
        if isinstance(message, NoticeResponse):
            return []  # nobody would read it, and there may be many
        if self.done:
            raise RemoteProtocolError("unexpected message from server after the log-in")
        if not self._authenticated:
            return self._authenticate(message)
        if isinstance(message, ParameterStatus):
            self.parameters[message.name] = message.value
        elif isinstance(message, BackendKeyData):
            self.process_id, self.secret_key = message.process_id, message.secret_key
        elif isinstance(message, ReadyForQuery):
            self.status = message.status
            self.done = True
        else:
            raise RemoteProtocolError("unexpected message from server during the log-in")
        return []

    def _authenticate(self, message: object) -> list[bytes]:
        begun, self._begun = self._begun, True
        scram = self._scram
        if scram is not None:  # nothing but its own next step may follow
            if isinstance(message, AuthenticationSASLContinue):
                return [SASLResponse(scram.final(message.data)).encode()]
            if isinstance(message, AuthenticationSASLFinal):
                scram.verify(message.data)
                self._scram = None
                self._password = None  # proved: a second request would not be the same server's need
                return []
        elif isinstance(message, AuthenticationOk):
            self._authenticated = True
            return []
        elif isinstance(message, NegotiateProtocolVersion):
            older = PROTOCOL_3_0 <= message.newest < self._startup.version
            if older and not message.unrecognized and not begun:  # what was asked for is not needed
                return []
        elif isinstance(message, AuthenticationSASL):
            known = {MECHANISM} if self._binding is None else {MECHANISM, PLUS}
            if known.isdisjoint(message.mechanisms):
                raise ConnectionFailure("the server asks for an authentication method that is not supported")
            self._scram = ScramClient(
                self._secret(), self._nonce, self._cache, binding=self._binding, offered=message.mechanisms
            )
            return [SASLInitialResponse(self._scram.mechanism, self._scram.first()).encode()]
        elif isinstance(message, AuthenticationMD5Password):
            return [PasswordMessage(md5_response(self._user.encode(), self._secret().encode(), message.salt)).encode()]
        elif isinstance(message, AuthenticationCleartextPassword):
            if not self._allow_cleartext:
                raise ConnectionFailure("the server asks for the password in clear, which is not allowed")
            return [PasswordMessage(self._secret().encode()).encode()]
        raise RemoteProtocolError("unexpected message from server during the log-in")

    def _secret(self) -> str:
        if self._password is None:
            raise ConnectionFailure("the server asks for a password, and none is configured")
        return self._password
