"""Flow: back-pressure both ways between one client and the server connection it holds.

Whoever does not read stops the other from being read. Reasons are counted apart, because one that ends must not lift
another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.auth.addresses import LOCAL
from proxy.catalog.sockets import tune
from proxy.server.services import Connection, Options

LOOK = 0.1  # seconds of a rest after which it is asked whether there is still a reason
MOMENT = 0.001  # seconds: less is not worth another timer


def prepare_socket(transport: asyncio.Transport, options: Options) -> tuple[str, str]:
    """Sets what every client socket has: no delay, keepalive, a bound of what is buffered for writing. The peer's
    address, and the same with its port for the log.
    """
    transport.set_write_buffer_limits(high=options.write_buffer)
    tune(transport, options.peer_timeout)
    peer = transport.get_extra_info("peername")
    return (peer[0], f"{peer[0]}:{peer[1]}") if isinstance(peer, tuple) and len(peer) >= 2 else (LOCAL, LOCAL)


class Flow:
    """Who may be read now."""

    __slots__ = (
        "_connection",
        "_draining",
        "_frontend_paused",
        "_full",
        "_over",
        "_rest",
        "_transport",
        "_until",
        "_writable",
        "waits",
    )

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._connection: Connection | None = None
        self._full = False  # the client does not read
        self._draining = False  # what the server sends is thrown away
        self._rest: asyncio.Handle | None = None  # the end of one: nothing is read meanwhile
        self._until = 0.0  # of the loop's clock
        self._over: Callable[[], bool] | None = None
        self.waits = False  # the client's messages wait for a plan or lease
        self._writable = True  # the server reads
        self._frontend_paused = False

    def leased(self, connection: Connection) -> None:
        """A connection is held."""
        self._connection = connection
        if self._full or self._rest is not None:
            connection.pause_reading()

    def released(self) -> None:
        """It is not any more; the pool gets it reading."""
        if self._connection is not None and (self._full or self._rest is not None):
            self._connection.resume_reading()
        self._connection = None
        self._draining = False
        if not self._writable:
            self._writable = True
            self._frontend()

    def frontend_full(self, full: bool) -> None:
        """The client does not read, or reads again. Until it does nothing more is asked for it either: answers of the
        proxy's own would be kept without a limit.
        """
        self._full = full
        self._frontend()
        self._backend()

    def drain(self, draining: bool) -> None:
        """What the server sends is, or is not any more, thrown away: then it is read although the client does not."""
        self._draining = draining
        if draining and self._rest is not None:
            self._rest.cancel()
            self._until = 0.0
            self._rest = asyncio.get_running_loop().call_soon(self._rested)
        self._backend()

    def _backend(self) -> None:
        if self._connection is not None:
            if self._rest is not None or (self._full and not self._draining):
                self._connection.pause_reading()
            else:
                self._connection.resume_reading()

    def rest(self, seconds: float, over: Callable[[], bool] | None = None) -> None:
        """Nothing more is read on either side for so long, and not before everybody else has had a turn. over: is there
        nobody any more to rest for? What is thrown away has to end soon: it is read as soon as others had their turn.
        """
        if self._rest is None and not self._transport.is_closing():
            loop = asyncio.get_running_loop()
            if seconds and not self._draining:
                self._until, self._over = loop.time() + seconds, over
                self._rest = loop.call_later(min(seconds, LOOK), self._rested)
            else:
                self._until = 0.0
                self._rest = loop.call_soon(self._rested)
            self._frontend()
            self._backend()

    def _rested(self) -> None:
        if self._until:
            loop, over = asyncio.get_running_loop(), self._over
            left = self._until - loop.time()
            if left > MOMENT and not (over is not None and over()):
                self._rest = loop.call_later(min(left, LOOK), self._rested)
                return
        self._rest = None
        self._frontend()
        self._backend()

    @property
    def writable(self) -> bool:
        """Does the client read?"""
        return not self._full

    def frontend_waits(self, waits: bool) -> None:
        """More of the client's messages wait than are worth keeping."""
        if waits is not self.waits:
            self.waits = waits
            self._frontend()

    def backend_full(self, full: bool) -> None:
        """The server does not read, or reads again."""
        self._writable = not full
        self._frontend()

    def pause_for_tls(self) -> None:
        """Nothing may be read in the clear any more."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self) -> None:
        """The client is gone; what its connection still says is read."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self._full = False
        self._backend()
        self._connection = None
        self._frontend_paused = True

    def _frontend(self) -> None:
        paused = self.waits or self._full or not self._writable or self._rest is not None
        if paused is self._frontend_paused or self._transport.is_closing():
            return
        self._frontend_paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
