"""ServerConnection: one connection to PostgreSQL as an asyncio protocol. Moves bytes to whoever is its receiver.

It knows no message: a session, the log-in, a clean-up or the watch over idle connections reads what comes. Loss is told
exactly once, first to `on_lost` (the pool), then to the receiver; a receiver that comes after the loss is told as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from proxy.backend.state import BackendState
from proxy.errors import ConnectionFailure
from proxy.pool.dial import dial
from proxy.tenancy.policy import Credentials, Grant, Server
from proxy.wire.startup import CancelRequest

TERMINATE = b"X\0\0\0\4"
LINGER = 5.0  # seconds for a last write before the socket is cut
PARTING = 60.0  # seconds for a server to end what runs and the connection with it


class Receiver(Protocol):
    """Who reads a connection."""

    def backend_data(self, data: bytes) -> None: ...
    def backend_lost(self, reason: str) -> None: ...
    def backend_writable(self, writable: bool) -> None: ...


class Watch(Receiver, Protocol):
    """Who reads it while it is idle (reset.IdleWatch)."""

    pending: int  # bytes of a message that is not whole


class Nobody:
    """The receiver of a connection that is being closed: late bytes are dropped."""

    pending = 0

    def backend_data(self, data: bytes) -> None: ...
    def backend_lost(self, reason: str) -> None: ...
    def backend_writable(self, writable: bool) -> None: ...


NOBODY = Nobody()


class ServerConnection(asyncio.Protocol):
    """One server connection; `state` is set by the log-in. Times are of the pool's clock."""

    def __init__(self, server: Server, credentials: Credentials, settings: Mapping[str, str]) -> None:
        self.server = server
        self.credentials = credentials
        self.settings = settings  # sent at start-up
        self.state = BackendState(0, b"", {})
        self.lost: str | None = None  # why, once it is gone
        self.lent: Grant | None = None  # for whom it was lent last
        self.closing = False
        self.usable = True  # until it is lost or being closed, or its time is over: then it is not lent again
        self.retires = float("inf")  # when its time is over
        self.idle_since = 0.0
        self.watch: Watch = NOBODY
        self.on_lost: Callable[[ServerConnection], None] | None = None
        self._receiver: Receiver = NOBODY
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._cut: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def receiver(self) -> Receiver:
        """Who is given what the server sends."""
        return self._receiver

    @receiver.setter
    def receiver(self, receiver: Receiver | None) -> None:
        self._receiver = NOBODY if receiver is None else receiver
        if self.lost is not None and receiver is not None:
            self._loop.call_soon(receiver.backend_lost, self.lost)

    def write(self, data: bytes) -> None:
        """Send. Into the void when the connection is gone: the receiver has been told, or will be."""
        if self._transport is not None and not self.closing:
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Take nothing from the server until `resume_reading`; twice is fine."""
        if self._transport is not None and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take from the server again; twice is fine."""
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def rest(self, now: float) -> None:
        """Nobody uses it from now on; its watch reads it."""
        if self._paused:
            self.resume_reading()
        self.idle_since = now
        self._receiver = self.watch

    def close(self) -> None:
        """Say Terminate and close. `on_lost` comes when the socket is closed, at the latest after a few seconds."""
        if self.closing or self._transport is None:
            return
        self.closing = True
        self.usable = False
        self._receiver = NOBODY
        transport = self._transport
        transport.write(TERMINATE)
        self.resume_reading()  # a transport that is not read does not notice the end
        transport.close()
        self._cut = self._loop.call_later(LINGER, transport.abort)

    def part(self) -> None:
        """Say Terminate and wait for the server to close: from `on_lost` on nothing of this connection runs there. The
        socket is cut after a minute.
        """
        if self.closing or self._transport is None:
            return
        self.closing = True
        self.usable = False
        self._receiver = NOBODY
        self._transport.write(TERMINATE)
        self.resume_reading()
        self._cut = self._loop.call_later(PARTING, self._transport.abort)

    def abort(self) -> None:
        """Cut the socket; nothing more is sent."""
        self.closing = True
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    async def cancel(self, timeout: float = 5.0) -> None:
        """Ask the server to cancel what runs, over a connection of its own; returns when the server closed that one.

        After that no late cancellation can hit a later statement. ConnectionError when it cannot be asked.
        """
        call = _Cancel(CancelRequest(self.state.process_id, self.state.secret_key).encode())
        try:
            transport = await dial(call, self.server, self.credentials, timeout)
        except ConnectionFailure as error:
            raise ConnectionError(error.message) from error
        try:
            async with asyncio.timeout(timeout):
                await call.ended
        except TimeoutError as error:
            raise ConnectionError("the server did not answer a cancel request") from error
        finally:
            transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # what create_connection makes, though uvloop's is no subclass
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._receiver.backend_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost is not None:
            return
        self.lost = "the connection to the server was closed" if exc is None else f"the server was lost: {exc}"
        self.usable = False
        self.watch = NOBODY
        self._transport = None
        if self._cut is not None:
            self._cut.cancel()
        if self.on_lost is not None:
            self.on_lost(self)
        self._receiver.backend_lost(self.lost)

    def pause_writing(self) -> None:
        self._receiver.backend_writable(False)

    def resume_writing(self) -> None:
        self._receiver.backend_writable(True)


class _Cancel(asyncio.Protocol):
    """Sends a CancelRequest and waits for the end."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # what create_connection makes, though uvloop's is no subclass
        transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
