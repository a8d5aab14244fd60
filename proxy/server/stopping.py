"""Stopping: a cancel request of the proxy's own or of a client, sent to the server over a connection of its own.

The session keeps its lease from before the request is sent until the server has closed that connection: no late request
can hit another session's statement, nor a later one of this session. Whatever becomes of it, the session is told that
it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from proxy.errors import Refusal
from proxy.server.services import Log
from proxy.session.events import CancelFinished, CancelRequested, Event, RowsOverdue
from proxy.session.session import ClientSession

LONGEST = 5.0  # seconds for a statement to end whose result is thrown away
GAP = 0.05  # seconds between two cancel requests for one session
EACH = 0.5  # the same in the long run
AHEAD = 4 * EACH  # five after a pause need not wait so long


async def stop(connection: Any, handle: Callable[[Event], None], log: Log) -> None:
    """Cancels what runs on the connection, which is leased and held."""
    try:
        await connection.cancel()
    except (OSError, Refusal) as problem:
        log.warning("cancel failed", problem=str(problem))
    finally:
        handle(CancelFinished())


class Stoppable(Protocol):
    """A client connection."""

    session: ClientSession

    async def cancel(self) -> None: ...

    def handle(self, event: Event) -> None: ...


async def out_of_time(client: Stoppable) -> None:
    """Stops a statement that has run too long, or whose rows the client does not send."""
    if client.session.copying is not None:
        client.handle(RowsOverdue())
    else:
        await client.cancel()


class Cancels:
    """Cancel requests of clients for one session. One is under way at a time, and one more follows, after a while, for
    all that came meanwhile: each costs the server a process, and a storm of them must not cost it more. Nor may a
    statement each time that a request was obeyed: who asks now and then is obeyed at once, who goes on asking every
    EACH seconds.
    """

    __slots__ = ("_again", "_next", "_paid", "_turn", "_under_way")

    def __init__(self) -> None:
        self._under_way = self._again = False
        self._turn = 0  # the statement that ran when the last one came
        self._next = self._paid = float("-inf")  # when another may be sent; when all would be, EACH apart

    async def request(self, session: ClientSession, handle: Callable[[Event], None], log: Log) -> None:
        """One with the session's key arrived; returns when the server's cancel connection is closed, or at once."""
        self._again, self._turn = True, session.turns
        if self._under_way:
            return
        self._under_way = True
        try:
            while self._again:
                wait = max(self._next, self._paid - AHEAD) - session.clock()
                if wait > 0:
                    await asyncio.sleep(wait)
                    if session.turns != self._turn:
                        return  # it was not for what runs now
                self._again = False
                lease = None if session.queues else session.lease
                if lease is not None and not session.due:
                    return  # nothing runs
                handle(CancelRequested())
                if lease is not None:
                    await stop(lease.connection, handle, log)
                now = session.clock()
                self._next = now + GAP
                self._paid = max(self._paid, now) + EACH
        finally:
            self._under_way = False


def overdue(session: ClientSession) -> bool:
    """Is the server late in ending a statement that was stopped? Not while it waits for the client's Sync."""
    cut = session.result.cut
    return cut is not None and bool(session.due) and session.clock() - cut.since >= LONGEST
