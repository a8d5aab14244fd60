"""A world for the ledger: it does what the ledger says, at the pace of a test, and its time is invented."""

from __future__ import annotations

from itertools import count

from proxy.pool.ledger import Ledger
from proxy.pool.share import NO_LIMIT, Clean, Close, Lend, Open, Opening, Settings, Share, Step

NONE: Settings = frozenset()


class World:
    """What is under way, and who has what."""

    def __init__(self, ceiling: int) -> None:
        self.now = 0.0
        self.ledger: Ledger[str, int] = Ledger(ceiling, lambda: self.now)
        self.openings: list[Opening] = []
        self.cleaning: list[str] = []
        self.closing: list[str] = []
        self.leased: dict[str, int] = {}
        self.lent: list[int] = []
        self._names = count(1)
        self._waiters = count(1)

    def do(self, steps: list[Step[str, int]]) -> None:
        for step in steps:
            match step:
                case Lend(waiter=waiter, connection=connection):
                    assert connection not in self.leased
                    self.leased[connection] = waiter
                    self.lent.append(waiter)
                case Open(opening=opening):
                    self.openings.append(opening)
                case Clean(connection=connection):
                    self.cleaning.append(connection)
                case Close(connection=connection):
                    self.closing.append(connection)

    def share(
        self,
        tenant: str,
        server: str = "a",
        limit: float = NO_LIMIT,
        *,
        reserve: int = 0,
        sharing: bool = True,
        weight: float = 1.0,
        keep: int = 0,
        settings: Settings = NONE,
    ) -> Share[str, int]:
        """The share as the rules have it; a server stands at the site of its first letter."""
        share = self.ledger.share(server, tenant, settings, server[0])
        self.do(self.ledger.set_limit(share.standing, limit, reserve))
        share.sharing, share.standing.weight, share.keep = sharing, weight, keep
        return share

    def want(self, share: Share[str, int]) -> int:
        """The waiter's number; it may have a connection at once."""
        waiter = next(self._waiters)
        connection = self.ledger.take(share, self.now)
        if connection is not None:
            self.do([Lend(waiter, connection)])
        else:
            self.do(self.ledger.wait(share, waiter))
        return waiter

    def open_one(self, opening: Opening) -> str:
        name = f"c{next(self._names)}"
        self.openings.remove(opening)
        self.do(self.ledger.opened(opening, name))
        return name

    def open_all(self) -> None:
        while self.openings:
            self.open_one(self.openings[0])

    def clean_all(self) -> None:
        while self.cleaning:
            self.do(self.ledger.cleaned(self.cleaning.pop(0)))

    def close_all(self) -> None:
        while self.closing:
            self.do(self.ledger.closed(self.closing.pop(0)))

    def settle(self) -> None:
        """Everything that is under way comes to its end."""
        while self.openings or self.cleaning or self.closing:
            self.open_all()
            self.clean_all()
            self.close_all()

    def end(self, connection: str, after: float = 0.0) -> None:
        """A lease ends, some seconds later."""
        self.now += after
        del self.leased[connection]
        self.do(self.ledger.release(connection, self.now))

    def holder(self, waiter: int) -> str:
        return next(connection for connection, who in self.leased.items() if who == waiter)
