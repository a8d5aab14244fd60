"""TLS towards clients: the certificate that is shown, and the upgrade of a connection, after SSLRequest or at once.

TLS 1.2 at least, no compression, no renegotiation: Python's defaults for servers. ALPN is `postgresql`. What a client
sent in the clear behind its SSLRequest has ended the session before this module is asked (session/startup.py).
Source: PostgreSQL documentation, "SSL Session Encryption".
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from proxy.auth.binding import end_point

ALPN = "postgresql"
_END = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a handshake needs. binding: of the certificate, for SCRAM-SHA-256-PLUS; None where none is defined."""

    context: ssl.SSLContext
    binding: bytes | None


def server_tls(
    certificate: Path, key: Path, client_ca: Path | None = None, client_crl: Path | None = None
) -> ServerTls:
    """A certificate chain, the server's own first, and its key. client_ca: who signs clients' certificates, which are
    asked for then, and must be good when one is shown; client_crl: which of them are revoked. OSError (ssl.SSLError is
    one) or ValueError when they cannot be used; the key must not be encrypted, for nobody is there to be asked.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.load_cert_chain(certificate, key, password="")
    context.options |= ssl.OP_NO_TICKET  # nothing is resumed, as at PostgreSQL: what is revoked stays out
    context.num_tickets = 0
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(client_ca)
        if client_crl is not None:
            context.load_verify_locations(client_crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    text = certificate.read_text(encoding="ascii", errors="replace")
    begin, end = text.index("-----BEGIN CERTIFICATE-----"), text.index(_END) + len(_END)
    return ServerTls(context, end_point(ssl.PEM_cert_to_DER_cert(text[begin:end])))


class _Early(asyncio.Protocol):
    """Keeps what a client sends right behind its handshake: it may be read before `upgrade` has returned, while the
    session still writes in the clear. A loss is told once, also one during the handshake, which asyncio tells nobody.
    """

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.data = b""
        self._protocol = protocol
        self._lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(exc)


class _Splice(asyncio.BufferedProtocol):
    """Gives the loop's TLS protocol the bytes of the handshake that were read before it was there; then it is gone."""

    def __init__(self, transport: asyncio.Transport, data: bytes) -> None:
        self._transport = transport
        self._data = data
        self._secured = cast("asyncio.BufferedProtocol", transport.get_protocol())
        transport.set_protocol(self)

    def give(self) -> None:
        data, self._data = self._data, b""
        if data:
            self._transport.set_protocol(self._secured)
        while data:
            buffer = memoryview(self._secured.get_buffer(len(data)))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            self._secured.buffer_updated(size)
            data = data[size:]

    def get_buffer(self, sizehint: int) -> memoryview:
        self.give()  # what was read later comes later
        return memoryview(self._secured.get_buffer(sizehint))

    def buffer_updated(self, nbytes: int) -> None:
        self._secured.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        self.give()
        return self._secured.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._secured.connection_lost(exc)


async def upgrade(
    transport: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    timeout: float,
    received: bytes = b"",
) -> tuple[asyncio.Transport, bytes]:
    """The same connection, encrypted, and what the client has sent through it already: to be given to `protocol` once
    it knows its new transport. received: the part of the handshake that was read already. ConnectionError, ssl.SSLError
    or TimeoutError when the handshake fails; the connection is cut then, and `protocol` was told.
    """
    loop = asyncio.get_running_loop()
    early = _Early(protocol)

    def splice() -> None:  # between start_tls's setting its protocol and that protocol's first read
        if not transport.is_closing():
            loop.call_soon(_Splice(transport, received).give)

    if received:
        loop.call_soon(splice)
    try:
        secured = await loop.start_tls(transport, early, context, server_side=True, ssl_handshake_timeout=timeout)
        if secured is None or secured.is_closing():
            raise ConnectionResetError("the client left during the TLS handshake")
    except BaseException:
        transport.abort()
        early.connection_lost(None)
        raise
    secured.set_protocol(protocol)
    return secured, early.data
