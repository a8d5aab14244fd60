"""Arrivals at the admin address: https or http on one port, told apart by the first byte.

Who begins with a TLS handshake is shown the certificate for clients, as of now. Nothing is decided here about what
either may ask: http.py looks at how somebody came. One that says nothing, or never ends its handshake, is cut.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from proxy.server.tls import ServerTls, upgrade
from proxy.session.startup import HANDSHAKE

PATIENCE = 5.0  # seconds for the first byte, and for the handshake

Tls = Callable[[], ServerTls | None]


class Arrivals:
    """Those that have not become anything yet. tls: the certificate; None: there is none."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls
        self.waiting: set[Arrival] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Cuts them."""
        for one in tuple(self.waiting):
            one.cut()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Arrival(asyncio.Protocol):
    """One connection; `inner` makes the HTTP protocol that it becomes."""

    def __init__(self, arrivals: Arrivals, inner: Callable[[], asyncio.Protocol]) -> None:
        self._arrivals = arrivals
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It came."""
        self._transport = cast(asyncio.Transport, transport)
        self._arrivals.waiting.add(self)
        self._alarm = asyncio.get_running_loop().call_later(PATIENCE, self.cut)

    def data_received(self, data: bytes) -> None:
        """Its first bytes."""
        transport = self._transport
        if transport is None:
            return
        self._settle()
        if data[0] != HANDSHAKE:
            self._become(transport, data)
            return
        tls = self._arrivals.tls()
        if tls is None:
            transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._encrypt(transport, tls.context, data), name="admin TLS")
        self._arrivals.tasks.add(task)
        task.add_done_callback(self._arrivals.tasks.discard)

    async def _encrypt(self, transport: asyncio.Transport, context: ssl.SSLContext, data: bytes) -> None:
        try:
            secured, early = await upgrade(transport, self, context, PATIENCE, data)
        except (OSError, TimeoutError):  # it went, or does not believe the certificate
            return
        self._become(secured, early)

    def _become(self, transport: asyncio.Transport, data: bytes) -> None:
        protocol = self._inner()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if data:
            protocol.data_received(data)

    def _settle(self) -> None:
        self._arrivals.waiting.discard(self)
        if self._alarm is not None:
            self._alarm.cancel()

    def cut(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It went."""
        self._settle()
