"""Door: what the listening socket makes of each connection before anybody knows who it is.

Who may enter becomes a Client on the same transport. Who may not is told why, once it has said something (an answer to
who is still about to speak would be lost in the reset), and costs this small object for a second at most.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from proxy.errors import Refusal
from proxy.server.client import Client
from proxy.session.encode import error

if TYPE_CHECKING:
    from proxy.server.listener import Listener

PATIENCE = 1.0  # seconds for who is turned away to speak first
CROWD = 1000  # who wait to be turned away at most; beyond, nobody is even heard


class Door(asyncio.Protocol):
    """One connection that was just accepted."""

    __slots__ = ("_alarm", "_listener", "_transport", "_words")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._words = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client, or one too many."""
        transport = cast(asyncio.Transport, transport)  # what create_server makes, though uvloop's is no subclass
        listener = self._listener
        refusal = listener.refusal(address_of(transport))
        if refusal is None:
            client = Client(listener, listener.services)
            transport.set_protocol(client)
            client.connection_made(transport)
        elif len(listener.turned) >= CROWD:
            transport.abort()
        else:
            self._turn_away(transport, refusal)

    def _turn_away(self, transport: asyncio.Transport, refusal: Refusal) -> None:
        self._words = error(refusal, "FATAL")
        self._transport = transport
        self._listener.turned.add(self)
        self._alarm = asyncio.get_running_loop().call_later(PATIENCE, transport.abort)

    def cut(self) -> None:
        """The house closes."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Whatever it wants, this is the answer."""
        if self._transport is not None and self._words:
            self._transport.write(self._words)
            self._transport.close()
            self._words = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """It went."""
        self._listener.turned.discard(self)
        if self._alarm is not None:
            self._alarm.cancel()


def address_of(transport: asyncio.BaseTransport) -> str:
    """The peer's address; "" where it has none."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
