"""Counting: what a session adds to its login's counters besides bytes: statements, the server's time, its own waiting.

The server's time is from the write that gives it something to do to the read after which nothing of it is due: a
pipeline is counted once, and what a client thinks between two statements is nobody's. Waiting is for a server
connection only. The short way adds its times itself (short.py).
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.quota.budget import Budget
from proxy.session.actions import LeaseBackend
from proxy.session.counters import Counters
from proxy.session.ports import Port
from proxy.sql.plan import Answer, Forward, Reject


class Counting:
    """The part of a Conversation that is about this."""

    port: Port
    clock: Callable[[], float]
    budget: Budget | None
    ticket: int  # of the last question asked
    counters: Counters
    busy: float | None  # since when the server has something to do; None also on the short way
    queued: float | None  # since when a server connection is waited for
    repeated: bool  # the message was dealt with before, and is counted

    def count(self, plans: tuple[Forward | Answer | Reject, ...]) -> None:
        """Notes what is being run or answered."""
        if self.repeated:
            return
        counters = self.counters
        for plan in plans:
            kind = plan.kind
            if type(plan) is Forward:
                counters.forwarded[kind] = counters.forwarded.get(kind, 0) + 1
                if plan.rewritten:
                    counters.rewritten += 1
            else:
                counters.answered[kind] = counters.answered.get(kind, 0) + 1

    def rest(self) -> None:
        """The server has nothing more to do."""
        if self.busy is not None:
            now = self.clock()
            self.counters.server += now - self.busy
            self.busy = None
            if self.budget is not None:
                self.budget.at = now

    def queue(self) -> None:
        """Asks for a lease."""
        self.queued = self.clock()
        self.ticket += 1
        self.port.act(LeaseBackend(self.ticket))

    def dequeue(self) -> None:
        """It came, or is not waited for any more."""
        if self.queued is not None:
            self.counters.waited += self.clock() - self.queued
            self.queued = None
