"""TLS towards clients: one context, and the upgrade of a connection after SSLRequest.

TLS 1.2 at least, no compression, no renegotiation: Python's defaults for servers. What a client sent in the clear
behind its SSLRequest has ended the session before this module is asked (session/startup.py).
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for this certificate chain and key. OSError or ssl.SSLError when they cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


class _Early(asyncio.Protocol):
    """Keeps what a client sends right behind its handshake: it may be read before `upgrade` has returned, while the
    session still writes in the clear.
    """

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.data = b""
        self._protocol = protocol

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)


async def upgrade(
    transport: asyncio.Transport, protocol: asyncio.Protocol, context: ssl.SSLContext, timeout: float
) -> tuple[asyncio.Transport, bytes]:
    """The same connection, encrypted, and what the client has sent through it already: to be given to `protocol` once
    it knows its new transport. ConnectionError, ssl.SSLError or TimeoutError when the handshake fails.
    """
    loop = asyncio.get_running_loop()
    early = _Early(protocol)
    secured = await loop.start_tls(transport, early, context, server_side=True, ssl_handshake_timeout=timeout)
    if secured is None:
        raise ConnectionResetError("the client left during the TLS handshake")
    secured.set_protocol(protocol)
    return secured, early.data
