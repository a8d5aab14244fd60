"""Reach a server: TCP or a Unix socket, then TLS as its sslmode says. No login, and no word of the protocol behind it.

Bytes that arrive behind the one-byte answer to SSLRequest kill the connection: they were not encrypted
(CVE-2021-23222). Direct TLS asks nothing and insists on ALPN. Source: PostgreSQL documentation, "SSL Session
Encryption"; libpq's sslmode and sslnegotiation.
"""

from __future__ import annotations

import asyncio
import ssl

from proxy.auth.binding import end_point
from proxy.catalog.sockets import PEER_TIMEOUT, tune
from proxy.catalog.tls import ALPN, tls_context
from proxy.errors import ConfigurationError, ConnectionFailure
from proxy.tenancy.policy import Credentials, Server
from proxy.wire.startup import SSLRequest

UNREACHABLE = "could not connect to the server"


class _Knock(asyncio.Protocol):
    """Waits for the one byte that answers an SSLRequest."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_result(b"")


async def dial(
    protocol: asyncio.Protocol,
    server: Server,
    credentials: Credentials,
    timeout: float,
    peer_timeout: float = PEER_TIMEOUT,
) -> asyncio.Transport:
    """Connect `protocol`; its connection_made is called when bytes may flow. `timeout` in seconds; `peer_timeout` as
    well, until a server that answers nothing is given up.

    ConnectionFailure when the server cannot be reached in time, speaks no TLS where it must, or cannot prove itself.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _dial(protocol, server, credentials, peer_timeout)
    except (OSError, TimeoutError, ConfigurationError) as error:  # ssl.SSLError is an OSError
        raise ConnectionFailure(UNREACHABLE) from error


async def _dial(
    protocol: asyncio.Protocol, server: Server, credentials: Credentials, peer_timeout: float
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    if server.host.startswith("/"):
        path = f"{server.host}/.s.PGSQL.{server.port}"
        transport, _ = await loop.create_unix_connection(lambda: protocol, path)
        return transport
    context = tls_context(credentials)
    if context is None:
        transport, _ = await loop.create_connection(lambda: protocol, server.host, server.port)
        tune(transport, peer_timeout)
        return transport
    knock = _Knock()
    transport, _ = await loop.create_connection(lambda: knock, server.host, server.port)
    try:
        tune(transport, peer_timeout)
        if credentials.direct_tls:
            return await _encrypt(transport, knock, protocol, context, server.host, direct=True)
        transport.write(SSLRequest().encode())
        answer = await knock.answer
        if answer == b"S":
            return await _encrypt(transport, knock, protocol, context, server.host)
        if answer == b"N" and credentials.tls == "prefer":
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            return transport
        raise ConnectionFailure(UNREACHABLE, detail="the server does not speak TLS")
    except BaseException:
        transport.abort()
        raise


async def _encrypt(
    transport: asyncio.Transport,
    knock: asyncio.Protocol,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    host: str,
    *,
    direct: bool = False,
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    secured = await loop.start_tls(transport, knock, context, server_hostname=host)
    if secured is None:
        raise ConnectionFailure(UNREACHABLE)
    if direct and secured.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
        raise ConnectionFailure(UNREACHABLE, detail="the server answered direct TLS without ALPN")
    secured.set_protocol(protocol)
    protocol.connection_made(secured)
    return secured


def binding_of(transport: asyncio.Transport) -> bytes | None:
    """What ties a log-in to the server's certificate; None without TLS, or where none is defined."""
    secured = transport.get_extra_info("ssl_object")
    certificate = None if secured is None else secured.getpeercert(binary_form=True)
    return None if certificate is None else end_point(certificate)
