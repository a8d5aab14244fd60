"""connect: dial, log in with pinned start-up parameters, and check what the server says about itself.

The tenant's own settings are start-up parameters, too: so they are the session's defaults; RESET and DISCARD ALL lead
back to them and never to another tenant's. A connection on which a pinned parameter is not what it must be is closed.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import Mapping

from proxy.auth.scram import SaltedPasswords
from proxy.backend.state import IDLE, BackendState
from proxy.catalog.sockets import PEER_TIMEOUT
from proxy.errors import ConnectionFailure, RemoteProtocolError
from proxy.pool.connection import NOBODY, ServerConnection
from proxy.pool.dial import binding_of, dial
from proxy.tenancy.policy import Grant, Policy
from proxy.wire.framing import LOGIN
from proxy.wire.handshake import HandshakeRefused, ServerHandshake
from proxy.wire.startup import PROTOCOL_3_0
from proxy.wire.streams import BackendStream

PINNED = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "search_path": "public",
    "application_name": "partywall",
}
# On a tenant's own database the search path is what the database's owner made of it.
OWN_PINNED = {name: value for name, value in PINNED.items() if name != "search_path"}
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")  # a name that needs no quotes
REQUIRED = {
    "client_encoding": "UTF8",
    "server_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "is_superuser": "off",
    "integer_datetimes": "on",
}
CONNECT_TIMEOUT = 10.0  # seconds, for all of it
LOG_IN_SIZE = 1_048_576  # bytes that a server may say until it is ready; a real one says some hundreds
PASSED_ON = ("53", "57")  # classes of SQLSTATE that say something about the server, not about the proxy's own login


async def connect(
    grant: Grant,
    cache: SaltedPasswords | None = None,
    timeout: float = CONNECT_TIMEOUT,
    peer_timeout: float = PEER_TIMEOUT,
) -> ServerConnection:
    """A connection logged in for this grant, idle. `timeout` in seconds; `peer_timeout`, until a server that answers
    nothing is given up; `cache` keeps derived keys of passwords.

    ConnectionFailure (08006, or the server's own SQLSTATE of classes 53 and 57) when it cannot be made; its text names
    nothing of the server, its __cause__ has the reason.
    """
    connection = ServerConnection(grant.server, grant.credentials, startup_of(grant))
    try:
        async with asyncio.timeout(timeout):
            transport = await dial(connection, grant.server, grant.credentials, timeout, peer_timeout)
            try:
                await _log_in(connection, grant, cache, binding_of(transport))
            except BaseException:
                connection.receiver = NOBODY
                transport.abort()
                raise
    except HandshakeRefused as refused:
        code = refused.response.fields.get("C", "")
        raise ConnectionFailure(
            refused.message, sqlstate=code if code[:2] in PASSED_ON and len(code) == 5 else None
        ) from refused
    except RemoteProtocolError as error:
        raise ConnectionFailure("the server broke the protocol") from error
    except TimeoutError as error:
        raise ConnectionFailure("could not connect to the server") from error
    return connection


def require_pinned(parameters: Mapping[str, str], role: str) -> None:
    """ConnectionFailure unless the server reports what everything that was verified relies on."""
    for name, value in {**REQUIRED, "session_authorization": role}.items():
        if parameters.get(name) != value:
            raise ConnectionFailure(
                "the server connection is not as it must be",
                detail=f"{name} is {parameters.get(name)!r}, not {value!r}",
            )


def pinned_of(policy: Policy) -> Mapping[str, str]:
    """The start-up parameters that no tenant's setting changes."""
    if policy.isolation == "database":
        return OWN_PINNED
    if policy.isolation == "schema":
        names = [one if PLAIN.fullmatch(one) else '"' + one.replace('"', '""') + '"' for one in policy.path]
        return {**PINNED, "search_path": ", ".join(names)}
    return PINNED


def startup_of(grant: Grant) -> Mapping[str, str]:
    """All start-up parameters of the grant's connections; what is pinned wins."""
    return {**grant.settings, **pinned_of(grant.policy)}


async def _log_in(
    connection: ServerConnection, grant: Grant, cache: SaltedPasswords | None, binding: bytes | None
) -> None:
    server, credentials = grant.server, grant.credentials
    handshake = ServerHandshake(
        server.role,
        server.database,
        connection.settings,
        credentials.password,
        base64.b64encode(secrets.token_bytes(18)),
        cache=cache,
        binding=binding if credentials.channel_binding else None,
        version=PROTOCOL_3_0 + credentials.minor_version,
    )
    driver = _LogIn(connection, handshake)
    connection.receiver = driver
    connection.write(handshake.start())
    await driver.finished
    if handshake.status != IDLE:
        raise RemoteProtocolError("unexpected transaction status after the log-in")
    require_pinned(handshake.parameters, server.role)
    connection.state = BackendState(handshake.process_id, handshake.secret_key, handshake.parameters)
    connection.receiver = NOBODY


class _LogIn:
    """Feeds the handshake."""

    def __init__(self, connection: ServerConnection, handshake: ServerHandshake) -> None:
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._handshake = handshake
        self._stream = BackendStream(LOGIN)

    def backend_data(self, data: bytes) -> None:
        try:
            run, marks = self._stream.feed(data)
            if self._stream.bytes > LOG_IN_SIZE:
                raise RemoteProtocolError("the server talks without an end")
            for tag, start, end in marks:
                for answer in self._handshake.receive(tag, run[start + 5 : end]):
                    self._connection.write(answer)
        except (ConnectionFailure, RemoteProtocolError) as error:
            if not self.finished.done():
                self.finished.set_exception(error)
            return
        if self._handshake.done and not self.finished.done():
            self.finished.set_result(None)

    def backend_lost(self, reason: str) -> None:
        if not self.finished.done():
            self.finished.set_exception(ConnectionFailure(reason))

    def backend_writable(self, writable: bool) -> None: ...
