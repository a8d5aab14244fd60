"""Upkeep: once a second, what time does to connections. Old and idle ones are closed, kept ones are opened.

A connection whose time is over is closed as soon as it is idle; no lease is ended for it. What a tenant keeps (its
min_pool_size) is kept from its first use until nobody has used the pool for pool_idle_timeout, or its place is none of
the tenant's any more, and is opened again when it is lost. Times are seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from proxy.pool.connection import ServerConnection
from proxy.pool.share import Key, Share
from proxy.pool.works import Waiter, Works

INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things may be. Seconds."""

    server_idle_timeout: float = 600.0  # of a connection that is not kept
    server_lifetime: float = 3600.0  # of any; up to a tenth less, by chance
    server_check_delay: float = 30.0  # idle longer than this, it is asked whether it is well before it is lent
    pool_idle_timeout: float = 3600.0  # unused for so long, a pool keeps nothing


@dataclass(slots=True)
class _Kept:
    """A pool that keeps connections."""

    share: Share[ServerConnection, Waiter]
    used: float  # when it was seen in use


class Upkeep:
    """Of one pool of pools."""

    def __init__(self, works: Works, lifetimes: Lifetimes, clock: Callable[[], float]) -> None:
        self._works = works
        self._lifetimes = lifetimes
        self._clock = clock
        self._kept: dict[Key, _Kept] = {}
        self._task: asyncio.Task[None] | None = None

    def keep(self, share: Share[ServerConnection, Waiter], count: int) -> None:
        """So many connections stay open for the share from now on; it is being used. Told again in each second in which
        it is.
        """
        share.keep = count
        if count:
            self._kept[share.key] = _Kept(share, self._clock())
        elif self._kept:
            self._kept.pop(share.key, None)

    def drop(self, tenant: str) -> None:
        """It keeps nothing any more."""
        for key in [key for key, kept in self._kept.items() if kept.share.tenant == tenant]:
            self._kept.pop(key).share.keep = 0

    def tenants(self) -> set[str]:
        """Those for whom something is kept."""
        return {kept.share.tenant for kept in self._kept.values()}

    def follow(self, counts: Mapping[Key, int]) -> None:
        """The rules name these pools of such tenants, and no others: those keep nothing, and what they have idle is
        closed.
        """
        for key, kept in list(self._kept.items()):
            if key not in counts:
                del self._kept[key]
                self._release(kept.share)
            elif not counts[key]:
                self.keep(kept.share, 0)

    def _release(self, share: Share[ServerConnection, Waiter]) -> None:
        """It keeps nothing, and what is idle of it is closed."""
        share.keep = 0
        for connection in list(share.idle):
            self._works.destroy(connection, cancel=False)

    def round(self) -> int:
        """Everything once; returns how many connections were closed."""
        works, ledger, now = self._works, self._works.ledger, self._clock()
        ledger.tick(now)
        before = len(ledger.going)
        for connection in works.connections:
            if now >= connection.retires:
                connection.usable = False  # who has it gives it back to be closed
                if connection in ledger.idle:
                    works.destroy(connection, cancel=False)
        for connection in list(ledger.idle):
            if now - connection.idle_since < self._lifetimes.server_idle_timeout:
                break  # the longest idle stands first
            share = ledger.places[connection]
            if share.size > share.keep:
                works.destroy(connection, cancel=False)
        for connection in ledger.idle:
            ledger.places[connection].slim()
        self._look_after_kept(now)
        closed = len(ledger.going) - before
        works.forget()
        return closed

    def _look_after_kept(self, now: float) -> None:
        works, ledger = self._works, self._works.ledger
        for key, kept in list(self._kept.items()):
            share = kept.share
            found = ledger.shares.get(key)
            if found is not None and found is not share:  # it was forgotten, and made anew
                found.keep, found.grant, kept.share = share.keep, share.grant, found
                share = found
            if share.leased or share.waiting:
                kept.used = now
            if now - kept.used < self._lifetimes.pool_idle_timeout:
                works.perform(ledger.fill(share))
                continue
            del self._kept[key]
            self._release(share)

    def begin(self, turn: Callable[[], object]) -> None:
        """From now on `turn`, which has a round in it, is called again and again."""
        if self._task is None and not self._works.closing:
            self._task = asyncio.create_task(self._go_on(turn), name="upkeep")

    async def close(self) -> None:
        """No more rounds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _go_on(self, turn: Callable[[], object]) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            turn()
