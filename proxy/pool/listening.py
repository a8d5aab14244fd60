"""Listening: one server connection for each tenant that listens, whoever of its sessions does.

Promises: who was told that a channel is listened to hears of every notification that commits from then on, in the
server's order, until it unsubscribes; or it hears that the connection was lost, as it may have missed one then. The
connection is a lease of the tenant's pool like any other, listens to the union of its sessions' channels, and goes back
with the last of them. Channels are names at the server, which are the tenant's own by their hash. Source: PostgreSQL
documentation, LISTEN, NOTIFY; async.c: who commits has signalled all listeners before it answers, and a listener tells
what it was signalled of before it is ready for its next query.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from proxy.backend.state import IDLE
from proxy.errors import ConnectionFailure, Refusal, RemoteProtocolError, TooManyConnections
from proxy.pool.connection import NOBODY, ServerConnection
from proxy.pool.lease import Lease
from proxy.pool.pools import Pools
from proxy.tenancy.policy import Grant, Place
from proxy.wire.backend import NotificationResponse, ParameterStatus, ReadyForQuery
from proxy.wire.framing import kinds
from proxy.wire.frontend import Query
from proxy.wire.report import ErrorResponse
from proxy.wire.streams import BackendStream

LISTEN = "listen"  # why the connection is cleaned when it goes back
OTHERS = TooManyConnections(
    "no server connection is left to listen on",
    hint="Listening takes a server connection of its own: give the tenant at least 2 server_connections.",
)
_TABLE = kinds(relayed=b"", watched=b"ACZSNEI")
Key = tuple[Place, str]


class Subscriber(Protocol):
    """A session that listens."""

    def notified(self, notification: NotificationResponse) -> None:
        """A notification of a channel that it subscribed to, as the server sent it."""

    def deafened(self) -> None:
        """The connection was lost: nothing is subscribed any more."""


class Listening:
    """The listening connections of all tenants."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._ears: dict[Key, _Ear] = {}

    def __len__(self) -> int:
        return len(self._ears)

    async def wait_subscribed(self, grant: Grant, subscriber: Subscriber, channel: str) -> None:
        """From the return on the subscriber is notified. A Refusal when the server cannot be asked or says no."""
        if grant.limits.server_connections is not None and grant.limits.server_connections < 2:
            raise OTHERS
        key = (grant.place, grant.tenant)
        ear = self._ears.get(key)
        if ear is None:
            ear = self._ears[key] = _Ear(self._pools, grant, lambda: self._ears.pop(key, None))
        ear.channels.setdefault(channel, {})[subscriber] = None
        try:
            await asyncio.shield(ear.opening)
            await asyncio.shield(ear.listen(channel))
        except BaseException:
            self.unsubscribe(grant, subscriber, (channel,))
            raise

    async def wait_heard(self, grant: Grant) -> None:
        """Returns when everything that was committed until now has been told. ConnectionFailure when it cannot be."""
        ear = self._ears.get((grant.place, grant.tenant))
        if ear is not None:
            await asyncio.shield(ear.hear())

    def listens(self, grant: Grant) -> bool:
        """Does any session of the tenant listen?"""
        return (grant.place, grant.tenant) in self._ears

    def owns(self, connection: ServerConnection) -> bool:
        """Is it one of those that listen? Nothing of its tenant's runs there."""
        return any(ear.connection is connection for ear in self._ears.values())

    def unsubscribe(self, grant: Grant, subscriber: Subscriber, channels: tuple[str, ...]) -> None:
        """It hears nothing more of these; one that it did not subscribe to is fine."""
        ear = self._ears.get((grant.place, grant.tenant))
        if ear is not None:
            ear.drop(subscriber, channels)


class _Ear:
    """One tenant's. It reads every message of its connection, as nobody else has a query there."""

    def __init__(self, pools: Pools, grant: Grant, forget: Callable[[], object]) -> None:
        self.channels: dict[str, dict[Subscriber, None]] = {}
        self.opening = asyncio.ensure_future(self._open(pools, grant))
        self._pools = pools
        self._forget = forget
        self._lease: Lease | None = None
        self._stream = BackendStream(_TABLE)
        self._pending = 0  # bytes of a message that is not whole
        self._listened: set[str] = set()  # LISTEN was sent
        self._asked: deque[asyncio.Future[None]] = deque()  # one for each query that is not answered
        self._next: asyncio.Future[None] | None = None  # of those who must be told what commits until it is sent
        self._refusal: Refusal | None = None  # what the query at the head was answered
        self._over = False

    @property
    def connection(self) -> ServerConnection | None:
        return None if self._lease is None else self._lease.connection

    async def _open(self, pools: Pools, grant: Grant) -> None:
        lease = await pools.wait_lease(grant)
        self._lease = lease
        lease.connection.state.pins.add(LISTEN)
        lease.connection.receiver = self
        if self._over:
            self._give_back(destroy=False)

    def listen(self, channel: str) -> asyncio.Future[None]:
        """Done when the server listens to it, and everything before was told."""
        if channel in self._listened:
            return self.hear()
        self._listened.add(channel)
        return self._ask(f'LISTEN "{channel}"')

    def hear(self) -> asyncio.Future[None]:
        """Done when everything that was committed until now was told. Those who ask at a time share one query."""
        if not self._asked:
            return self._ask("")
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    def drop(self, subscriber: Subscriber, channels: tuple[str, ...]) -> None:
        for channel in channels:
            found = self.channels.get(channel, {})
            found.pop(subscriber, None)
            if found or self.channels.pop(channel, None) is None:
                continue
            if channel in self._listened:
                self._listened.discard(channel)
                if self.channels:
                    self._ask(f'UNLISTEN "{channel}"')
        self._settle()

    def _ask(self, text: str, future: asyncio.Future[None] | None = None) -> asyncio.Future[None]:
        future = future or asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        if self._lease is None or self._over:
            future.set_exception(ConnectionFailure("the listening connection was lost"))
            return future
        self._asked.append(future)
        self._lease.connection.write(Query(text.encode()).encode())
        return future

    def _settle(self) -> None:
        """Gives the connection back when nobody listens any more."""
        if self.channels or self._asked or self._over:
            return
        self._end()
        if self._lease is not None:
            self._give_back(destroy=False)
        elif not self.opening.done():
            self.opening.cancel()

    def _end(self) -> None:
        self._over = True
        self._forget()

    def _give_back(self, destroy: bool) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.connection.receiver = NOBODY
            self._pools.release(lease, destroy or self._pending > 0)

    def fail(self, reason: str) -> None:
        """Whatever was heard until now was told; from now on nothing is."""
        if self._over:
            return
        self._end()
        subscribers = {one: None for found in self.channels.values() for one in found}
        self.channels.clear()
        waiting = [*self._asked, *([self._next] if self._next is not None else [])]
        self._asked.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(ConnectionFailure(reason))
        self._give_back(destroy=True)
        if not self.opening.done():
            self.opening.cancel()
        for subscriber in subscribers:
            subscriber.deafened()

    # -- the connection's receiver

    def backend_data(self, data: bytes) -> None:
        try:
            run, marks = self._stream.feed(data)
            self._pending += len(data) - len(run)
            for tag, start, end in marks:
                self._message(tag, run[start + 5 : end])
                if self._over:
                    return
        except RemoteProtocolError as error:
            self.fail(error.message)

    def _message(self, tag: int, body: bytes) -> None:
        if tag == ord("A"):
            notification = NotificationResponse.decode(body)
            for subscriber in tuple(self.channels.get(notification.channel, ())):
                subscriber.notified(notification)
        elif tag == ord("S") and self._lease is not None:
            status = ParameterStatus.decode(body)
            if not self._lease.connection.state.parameter(status.name, status.value):
                self.fail(f"{status.name} changed")
        elif tag == ord("E"):
            error = ErrorResponse.decode(body).fields
            if error.get("V") in {"FATAL", "PANIC"} or not self._asked:
                self.fail("the server ended the connection")
            self._refusal = Refusal(error.get("M", ""), sqlstate=error.get("C", "XX000"))
        elif tag == ord("Z"):
            if ReadyForQuery.decode(body).status != IDLE or not self._asked:
                self.fail("the listening connection is out of step")
            else:
                self._answered(self._asked.popleft())

    def _answered(self, future: asyncio.Future[None]) -> None:
        refusal, self._refusal = self._refusal, None
        if not future.done():
            if refusal is None:
                future.set_result(None)
            else:
                future.set_exception(refusal)
        if self._next is not None and not self._asked:
            waiting, self._next = self._next, None
            self._ask("", waiting)
        self._settle()

    def backend_lost(self, reason: str) -> None:
        self.fail(reason)

    def backend_writable(self, writable: bool) -> None: ...


def _seen(future: asyncio.Future[None]) -> None:
    """Who asked may be gone: what became of it is nobody's then."""
    if not future.cancelled():
        future.exception()
