"""Stopping: a cancel request of the proxy's own or of a client, sent to the server over a connection of its own.

The session keeps its lease from before the request is sent until the server has closed that connection: no late request
can hit another session's statement, nor a later one of this session. Whatever becomes of it, the session is told that
it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from proxy.errors import Refusal
from proxy.server.services import Log, Services
from proxy.session.due import EXECUTE, LOAD, QUERY, SYNC
from proxy.session.events import CancelFinished, CancelRequested, Event, RowsOverdue
from proxy.session.session import ClientSession
from proxy.session.short import unfold

Handle = Callable[[Event], None]
Start = Callable[[Coroutine[Any, Any, None], str], object]

LONGEST = 5.0  # seconds for a statement to end whose result is thrown away
GAP = 0.05  # seconds between two cancel requests for one session
EACH = 0.5  # the same in the long run
AHEAD = 4 * EACH  # five after a pause need not wait so long
STATEMENTS = frozenset({QUERY, EXECUTE, SYNC, LOAD})  # of what is due, what the client thinks of as one


async def stop(connection: Any, handle: Handle, log: Log) -> None:
    """Cancels what runs on the connection, which is leased and held."""
    try:
        await connection.cancel()
    except (OSError, Refusal) as problem:
        log.warning("cancel failed", problem=str(problem))
    finally:
        handle(CancelFinished())


def awaited(session: ClientSession) -> object:
    """The statement that the client waits for, of those that the server has; the same object until it is answered.
    None: the server has nothing to do.
    """
    unfold(session)
    for due in session.due:
        if due.forward and due.kind in STATEMENTS:
            return due
    return (session.message or session.due[0]) if session.due else None  # what is the proxy's own ends soon


class Stoppable(Protocol):
    """A client connection."""

    session: ClientSession
    services: Services

    def handle(self, event: Event) -> None: ...


async def out_of_time(client: Stoppable, about: object) -> None:
    """Stops the statement that has run too long, or whose rows the client does not send, if it is still that one."""
    session = client.session
    if awaited(session) is not about:
        return
    if session.copying is not None:
        client.handle(RowsOverdue())
    elif session.lease is not None:
        connection = session.lease.connection
        client.handle(CancelRequested())
        await stop(connection, client.handle, client.services.log)


class Cancels:
    """Cancel requests of clients for one session. One is under way at a time, and one more follows, after a while, for
    all that came meanwhile: each costs the server a process, and a storm of them must not cost it more. Nor may a
    statement each time that a request was obeyed: who asks now and then is obeyed at once, who goes on asking every
    EACH seconds. What waits is sent for the statement that it was meant for, or not at all. A statement that the server
    has not got yet is cancelled here, at once and at no cost.
    """

    __slots__ = ("_about", "_next", "_paid", "_under_way")

    def __init__(self) -> None:
        self._under_way = False
        self._about: object = None  # the statement that the last one is for, which is not sent yet
        self._next = self._paid = float("-inf")  # when another may be sent; when all would be, EACH apart

    async def request(self, session: ClientSession, handle: Handle, log: Log, start: Start) -> None:
        """One with the session's key arrived; returns when the server's cancel connection is closed, or at once where
        it cannot be opened yet: then a task of its own does that.
        """
        if session.lease is None or session.queues:
            handle(CancelRequested())
            return
        about = awaited(session)
        if about is None:
            return
        self._about = about
        if not self._under_way:
            self._under_way = True
            if self._wait(session) > 0:
                start(self._later(session, handle, log, start), "cancel request")
            else:
                await self._send(session, handle, log, start)

    def _wait(self, session: ClientSession) -> float:
        return max(self._next, self._paid - AHEAD) - session.clock()

    async def _later(self, session: ClientSession, handle: Handle, log: Log, start: Start) -> None:
        await asyncio.sleep(max(0.0, self._wait(session)))
        await self._send(session, handle, log, start)

    async def _send(self, session: ClientSession, handle: Handle, log: Log, start: Start) -> None:
        about, self._about = self._about, None
        lease = session.lease
        try:
            if lease is not None and awaited(session) is about:
                handle(CancelRequested())
                await stop(lease.connection, handle, log)
                now = session.clock()
                self._next = now + GAP
                self._paid = max(self._paid, now) + EACH
        finally:
            self._under_way = False
        self._follow(session, handle, log, start)

    def _follow(self, session: ClientSession, handle: Handle, log: Log, start: Start) -> None:
        if self._about is not None:  # one came meanwhile
            self._under_way = True
            start(self._later(session, handle, log, start), "cancel request")


def overdue(session: ClientSession) -> bool:
    """Is the server late in ending a statement that was stopped? Not while it waits for the client's Sync."""
    cut = session.result.cut
    return cut is not None and bool(session.due) and session.clock() - cut.since >= LONGEST
