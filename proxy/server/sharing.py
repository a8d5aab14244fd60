"""Sharing: what one tenant may take of the loop's time for planning and for large results, and of the log-ins, so that
none of it stops everybody else.

Short and flat texts are planned on the loop, which everybody waits for meanwhile, others in the planner processes.
There each tenant has as many at a time as there are processes, and those take turns: who comes with one text waits for
one of each other tenant. A tenant may plan for PLANNING of the time, and BURST seconds at once; what is beyond, short
and long, goes to the process of low priority, for which nobody else waits.

A large result is relayed with everybody's turn between two reads, and for RELAY of the time where other tenants have
sessions: what is not read yet waits at the server. What is relayed while there are none is not owed, and no more is
ever owed than DEBT. Log-ins are for LOGINS of the rate at which the process takes connections,
with as much at once as its gate has; those beyond wait for their turn.
"""

from __future__ import annotations

import asyncio

from proxy.quota.bucket import TokenBucket
from proxy.server import gate

PLANNING = 0.05  # of a processor's time
BURST = 0.5  # seconds: an application that starts brings all its statements at once
RELAY = 0.2  # of the loop's time
AHEAD = 0.001  # seconds of it at once: two or three reads
LARGE = 1 << 13  # bytes: a server fills its buffer before it sends so many at once
BULK = 1 << 16  # bytes of one read that are a turn by themselves
PAUSE = 0.001  # seconds: less is not waited for, but owed
DEBT = 0.2  # seconds of the loop's time: a rest of one second, whatever was used
LOGINS = 0.5  # of connection_rate
FLAT = 12  # parentheses that open, whatever they mean: 25 nested SELECTs in 650 bytes take 4 ms to plan


def flat(text: bytes, most: int) -> bool:
    """Is it planned within a millisecond or two? most: bytes."""
    return len(text) <= most and text.count(b"(") <= FLAT


class Share:
    """One tenant's."""

    __slots__ = ("_logins", "_planning", "_relay", "sessions", "turn")

    def __init__(self, processes: int, rate: float) -> None:
        """rate: of the process's connections, in a second."""
        self._planning = TokenBucket(PLANNING, BURST)
        self._relay = TokenBucket(RELAY, AHEAD)
        self._logins = TokenBucket(LOGINS * rate, max(gate.cost(True), LOGINS * rate * gate.BURST))
        self.sessions = 0  # that are logged in
        self.turn = asyncio.Semaphore(processes)  # to be held while a process is waited for or plans

    def may_plan(self, now: float) -> bool:
        """Is there something left of its share of planning?"""
        return self._planning.left(now) > 0.0

    def planned(self, seconds: float, now: float) -> None:
        """So much of a processor's time was used for planning, on the loop or beside it."""
        self._planning.spend(seconds, now)

    def relayed(self, seconds: float, now: float) -> float:
        """So much of the loop's time a read of a large result has taken. The seconds that the next has to wait."""
        relay = self._relay
        relay.spend(min(seconds, relay.left(now) + DEBT), now)
        wait = -relay.left(now) / RELAY
        return wait if wait >= PAUSE else 0.0

    def logged_in(self, cost: float, now: float, patience: float) -> float | None:
        """One has shown the right proof. The seconds until its turn; None: that would be beyond `patience`."""
        wait = max(0.0, (cost - self._logins.left(now)) / self._logins.rate)
        if wait > patience:
            return None
        self._logins.spend(cost, now)
        return wait


class Shares:
    """Of every tenant that ever planned anything."""

    def __init__(self, processes: int, rate: float) -> None:
        self._processes = processes
        self._rate = rate
        self._shares: dict[str, Share] = {}
        self.sessions = 0  # of all tenants

    def of(self, tenant: str) -> Share:
        """The tenant's."""
        found = self._shares.get(tenant)
        if found is None:
            found = self._shares[tenant] = Share(self._processes, self._rate)
        return found

    def enter(self, share: Share) -> None:
        """A session of the tenant's is let in."""
        share.sessions += 1
        self.sessions += 1

    def leave(self, share: Share) -> None:
        """It is gone."""
        share.sessions -= 1
        self.sessions -= 1

    def alone(self, share: Share) -> bool:
        """Has no other tenant a session? Who has not logged in is nobody's."""
        return share.sessions == self.sessions

    def forget(self, tenant: str) -> None:
        """Who still has the share keeps it."""
        self._shares.pop(tenant, None)
