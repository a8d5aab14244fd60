"""Door: what the listening socket makes of each connection before anybody knows who it is.

Who may enter becomes a Client on the same transport. Who may not is told why, once it has said something (an answer to
who is still about to speak would be lost in the reset), and costs this small object for a second at most. Who asks for
encryption first has an answer to that first, for clients word badly what else comes then: TLS while there are
handshakes to spare, or else that there is none. From a
balancer that is trusted to tell addresses (`proxy_protocol_from`) the header with the client's comes first, and nothing
is decided before it.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from proxy.auth.addresses import LOCAL
from proxy.errors import RemoteProtocolError
from proxy.server.client import Client
from proxy.server.tls import upgrade
from proxy.session.encode import error
from proxy.session.startup import HANDSHAKE
from proxy.wire.forwarded import decode_forwarded
from proxy.wire.startup import GSSENCRequest, SSLRequest

if TYPE_CHECKING:
    from proxy.server.listener import Listener

PATIENCE = 1.0  # seconds for who is turned away to speak first
GSS = GSSENCRequest().encode()
REQUESTS = (SSLRequest().encode(), GSS)
CROWD = 1000  # who wait to be turned away at most; beyond, nobody is even heard


class Door(asyncio.Protocol):
    """One connection that was just accepted."""

    __slots__ = ("_address", "_alarm", "_asked", "_header", "_listener", "_secured", "_transport", "_words")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._words = b""
        self._address = LOCAL
        self._asked = 0  # times for encryption
        self._secured = False
        self._header: bytes | None = None  # what came of it; None: none is waited for

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client, or one too many."""
        transport = cast(asyncio.Transport, transport)  # what create_server makes, though uvloop's is no subclass
        options = self._listener.services.options
        address = address_of(transport)
        if address not in options.proxy_protocol_from:
            self._enter(transport, address, None)
        elif self._listener.crowded:
            transport.abort()
        else:
            self._header = b""
            self._wait(transport, options.login_timeout, self._listener.arriving)

    def _enter(self, transport: asyncio.Transport, address: str, source: tuple[str, int] | None) -> None:
        listener = self._listener
        self._address = address
        refusal = listener.refusal(address)
        if refusal is None:
            client = Client(listener, listener.services)
            client.source = source
            transport.set_protocol(client)
            client.connection_made(transport)
        elif len(listener.turned) >= CROWD:
            transport.abort()
        else:
            self._words = error(refusal, "FATAL")
            self._wait(transport, PATIENCE, listener.turned)

    def _wait(self, transport: asyncio.Transport, patience: float, among: set[Door]) -> None:
        self._transport = transport
        among.add(self)
        self._alarm = asyncio.get_running_loop().call_later(patience, transport.abort)

    def _go_on(self) -> None:
        self._listener.turned.discard(self)
        self._listener.arriving.discard(self)
        if self._alarm is not None:
            self._alarm.cancel()

    def _read_header(self, transport: asyncio.Transport, data: bytes) -> None:
        try:
            found = decode_forwarded(data)
        except RemoteProtocolError as problem:
            peer = address_of(transport)
            self._listener.services.log.warning("PROXY header refused", peer=peer, problem=problem.message)
            transport.abort()
            return
        if found is None:
            self._header = data
            return
        self._header = None
        self._go_on()
        self._enter(transport, address_of(transport) if found.source is None else found.source[0], found.source)
        rest = data[found.size :]
        if rest and not transport.is_closing():
            cast(asyncio.Protocol, transport.get_protocol()).data_received(rest)

    def cut(self) -> None:
        """The house closes."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """The header, or whatever it wants: this is the answer."""
        if self._transport is not None and self._header is not None:
            self._read_header(self._transport, self._header + data)
        elif self._transport is not None and self._words and not self._answers(self._transport, data):
            self._transport.write(self._words)
            self._transport.close()
            self._words = b""

    def _answers(self, transport: asyncio.Transport, data: bytes) -> bool:
        """Does it ask for encryption, so that it says more once it has an answer?"""
        direct = data[0] == HANDSHAKE and not self._secured
        if not direct and data not in REQUESTS:
            return False
        self._asked += 1
        if self._asked > len(REQUESTS):
            return False
        tls = None if self._secured or data == GSS or self._address == LOCAL else self._listener.services.tls()
        if tls is not None and self._listener.gate.handshake(self._address):
            if not direct:
                transport.write(b"S")
            work = self._encrypt(transport, tls.context, data if direct else b"")
            self._listener.tasks.start(work, "turn away")
        elif direct:
            return False
        else:
            transport.write(b"N")
        return True

    async def _encrypt(self, transport: asyncio.Transport, context: ssl.SSLContext, received: bytes) -> None:
        try:
            secured, early = await upgrade(transport, self, context, PATIENCE, received)
        except (OSError, TimeoutError):  # it went, or was cut
            return
        self._transport, self._secured = secured, True
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went."""
        self._go_on()


def address_of(transport: asyncio.BaseTransport) -> str:
    """The peer's address; `local` where it has none."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else LOCAL
