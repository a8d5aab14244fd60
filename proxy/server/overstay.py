"""Overstay: who holds a server connection longer than the tenant's limits allow, and what it is told.

Looked at from time to time, so that nothing is paid per statement: a timeout is met within one more look. A statement's
own time is the server's to keep, by a setting; where code of a tenant's has changed that, it is stopped a second later.
Source: PostgreSQL documentation, "idle_in_transaction_session_timeout", "transaction_timeout", "statement_timeout".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from proxy.errors import Refusal
from proxy.server.stopping import awaited

if TYPE_CHECKING:
    from proxy.session.session import ClientSession


GRACE = 1.0  # seconds that the server has to stop a statement by itself


class Overstay:
    """The clocks of one session. Times are of any monotonic clock, in seconds."""

    __slots__ = ("_block", "_quiet", "_running", "stopped")

    def __init__(self) -> None:
        self.stopped: object = None  # which statement, for its time; its error is not told yet
        self.rest()

    def rest(self) -> None:
        """The session holds nothing."""
        self._quiet: tuple[int, float] = (-1, 0.0)  # turns, and when they were seen first
        self._block: tuple[object, int, float] = (None, 0, 0.0)  # which transaction on which lease, likewise
        self._running: tuple[object, float] = (None, 0.0)  # which statement, likewise

    def late(self, session: ClientSession, now: float) -> bool:
        """Has the server let a statement run beyond the tenant's statement_timeout? Told once of each."""
        limit = session.limits.statement_timeout
        if limit is None or not session.due:
            self._running = (None, 0.0)
            return False
        which = self._which(session)
        if which != self._running[0]:
            self._running = (which, now)
            return False
        if now - self._running[1] < limit + GRACE:
            return False
        self.stopped = awaited(session)
        self._running = (self._which(session), math.inf)  # of whose parts more may be known now
        return True

    @staticmethod
    def _which(session: ClientSession) -> object:
        """The statement that runs, whatever is pipelined behind it. Of the short way only the count tells."""
        head = session.due[0]
        return session.turns if session.under is not None else None, head, head.index

    def reworded(self, fields: dict[str, str], session: ClientSession) -> dict[str, str]:
        """A server's error, which knows of a cancel request only, as that of the timeout that it was sent for."""
        if self.stopped is None or fields.get("C") != "57014" or awaited(session) is not self.stopped:
            return fields
        self.stopped = None
        return {**fields, "M": "canceling statement due to statement timeout"}

    def refusal(self, session: ClientSession, now: float) -> Refusal | None:
        """Why it must end now; None while it may go on."""
        limits = session.limits
        if limits.idle_in_transaction_timeout is not None:
            if not session.in_transaction:
                self._quiet = (-1, 0.0)
            elif self._quiet[0] != session.turns:
                self._quiet = (session.turns, now)
            elif now - self._quiet[1] >= limits.idle_in_transaction_timeout:
                return Refusal("terminating connection due to idle-in-transaction timeout", sqlstate="25P03")
        if limits.transaction_timeout is not None:
            lease, ended, since = self._block
            if lease is not session.lease or ended != session.settings.ended:
                self._block = (session.lease, session.settings.ended, now)
            elif now - since >= limits.transaction_timeout:
                return Refusal("terminating connection due to transaction timeout", sqlstate="25P04")
        return None
