"""Holds: whose leases are held back, and who waits for that to end.

A hold names a tenant, a database, both or neither; while one fits a grant nothing is lent for it, and what waits in
line waits here. A hold ends when it is lifted, or by itself at its time; who waits goes on in the order in which it
came. Times are seconds of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from proxy.pool.connection import ServerConnection
from proxy.pool.ledger import Ledger
from proxy.tenancy.policy import Grant


class Held(Exception):
    """Who waited in line is to wait for the end of a hold instead."""


class Moved(Exception):
    """Who waited is served at another place by now."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Of which tenant, and of which database as applications name it. None: any."""

    tenant: str | None = None
    database: str | None = None

    def takes(self, grant: Grant) -> bool:
        """Is the grant one of these?"""
        return self.tenant in {None, grant.tenant} and self.database in {None, grant.database}

    def __str__(self) -> str:
        named = [f"{kind} {name}" for kind, name in (("tenant", self.tenant), ("database", self.database)) if name]
        return " in ".join(named) or "everything"


class Holds:
    """The holds of one process."""

    def __init__(self) -> None:
        self.held: dict[Selection, asyncio.TimerHandle | None] = {}  # by whom it ends; empty: nothing is held
        self._waiting: dict[asyncio.Future[None], Grant] = {}  # first come stands first

    def add(self, selection: Selection, seconds: float | None = None) -> None:
        """Holds from now on; for so many seconds, if given. What is held already stays so, and gets this time."""
        self.held.setdefault(selection, None)
        self.expire(selection, seconds)

    def expire(self, selection: Selection, seconds: float | None) -> None:
        """A hold ends by itself after so many seconds from now, or does not."""
        timer = self.held[selection]
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self.held[selection] = None if seconds is None else loop.call_later(seconds, self.lift, selection)

    def lift(self, selection: Selection) -> bool:
        """Ends this very hold. False when there is none."""
        if selection not in self.held:
            return False
        timer = self.held.pop(selection)
        if timer is not None:
            timer.cancel()
        for future, grant in list(self._waiting.items()):
            if not self.bars(grant):
                del self._waiting[future]
                if not future.done():
                    future.set_result(None)
        return True

    def left(self) -> dict[Selection, float | None]:
        """Every hold, and the seconds until it ends by itself."""
        now = asyncio.get_running_loop().time()
        return {one: None if timer is None else timer.when() - now for one, timer in self.held.items()}

    def bars(self, grant: Grant) -> bool:
        """Is nothing to be lent for it?"""
        return any(one.takes(grant) for one in self.held)

    async def wait(self, grant: Grant) -> None:
        """Returns once nothing bars it."""
        while self.bars(grant):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[future] = grant
            try:
                await future
            finally:
                self._waiting.pop(future, None)

    def waiting(self, tenant: str | None = None) -> int:
        """How many wait here, of a tenant or in all."""
        return sum(tenant in {None, grant.tenant} for grant in self._waiting.values())

    def end(self, refusal: Exception) -> None:
        """The house closes: who waits is told."""
        for future in tuple(self._waiting):
            if not future.done():
                future.set_exception(refusal)
        self._waiting.clear()


def withdrawn(ledger: Ledger[ServerConnection, Any], selection: Selection) -> list[ServerConnection]:
    """Takes everybody out of the lines of these; the idle connections that are theirs."""
    idle: list[ServerConnection] = []
    for share in list(ledger.shares.values()):
        if selection.tenant in {None, share.tenant}:
            for waiter in list(share.waiting):
                if ledger.withdraw(share, waiter) and not waiter.done():
                    waiter.set_exception(Held())
            idle += _of(share.idle, selection)
    return idle


def busy(ledger: Ledger[ServerConnection, Any], selection: Selection) -> list[ServerConnection]:
    """Those of these on which something runs, or may yet: lent, being undone, or being cancelled."""
    found: list[ServerConnection] = []
    for share in ledger.shares.values():
        if selection.tenant in {None, share.tenant}:
            found += _of((*share.leased, *share.cleaning, *share.cancelling), selection)
    return found


def _of(connections: Iterable[ServerConnection], selection: Selection) -> list[ServerConnection]:
    return [one for one in connections if one.lent is not None and selection.takes(one.lent)]
