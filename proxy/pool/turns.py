"""Turns: who of those that wait is next when a connection is to be had.

A tenant's ceiling is its part of what may be open, by max-min over what all tenants have in use and wait for. Tenants
below their ceilings come before those that have reached them; among these goes first whoever waited longer than
PATIENCE, the longest first; then the tenant that used least server time for its weight, and of its waiters the oldest.
What was used counts half after HALF_LIFE. So a tenant that holds nothing is delayed by nobody who holds much, one that
uses much is not put off for ever, and a ceiling that nobody else can use binds nobody.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Generic

from proxy.pool.share import NO_LIMIT, C, Share, Site, Standing, T
from proxy.quota.fairness import level

PATIENCE = 5.0  # seconds
HALF_LIFE = 10.0  # seconds
_PATIENT = -1.0  # the rank of those who waited that long
_LARGE = 2.0**100


class Turns(Generic[C, T]):
    """The shares with somebody waiting, in order."""

    def __init__(self) -> None:
        self.growth = 1.0  # of the unit in which use is counted: it grows, so that what is old need not be touched
        self._began: float | None = None
        self._line: list[tuple[float, float, int, Share[C, T]]] = []
        self._tenants: dict[str, int] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._line)

    def __iter__(self) -> Iterator[Share[C, T]]:
        return iter([entry[3] for entry in self._line])

    # -- the line

    def place(self, share: Share[C, T], now: float) -> None:
        """Into its place in line, or into another because who is first or what was used has changed; or out."""
        self._take_out(share)
        if not share.waiting:
            return
        since = next(iter(share.waiting.values()))
        standing = share.standing
        self.mark(standing)
        rank = _PATIENT if now - since > PATIENCE else standing.used / standing.weight
        self._serial += 1
        share.entry = (rank, since, self._serial)
        insort(self._line, (*share.entry, share))
        standing.lines += 1
        self._tenants[standing.tenant] = standing.lines

    def place_all(self, standing: Standing[C, T], now: float) -> None:
        """Every share of a tenant in line: it has used more."""
        for share in standing.shares:
            if share.entry is not None:
                self.place(share, now)

    def _take_out(self, share: Share[C, T]) -> None:
        entry, share.entry = share.entry, None
        if entry is None:
            return
        del self._line[bisect_left(self._line, entry)]
        standing = share.standing
        standing.lines -= 1
        if standing.lines:
            self._tenants[standing.tenant] = standing.lines
        else:
            del self._tenants[standing.tenant]

    # -- what was used

    def mark(self, standing: Standing[C, T]) -> None:
        """What a tenant used since it was marked counts as used now."""
        fresh = standing.seconds - standing.marked
        if fresh:
            standing.used += fresh * self.growth
            standing.marked = standing.seconds

    def tick(self, now: float, active: Iterable[Standing[C, T]], every: Iterable[Standing[C, T]]) -> None:
        """Time goes on: about once a second. `active`: who may have used anything since; `every`: of all there are."""
        for standing in active:
            if standing.lines and standing.seconds != standing.marked:
                self.place_all(standing, now)  # who uses one connection and waits for another
            else:
                self.mark(standing)
        if self._began is None:
            self._began = now
        self.growth = 2.0 ** ((now - self._began) / HALF_LIFE)
        again = self.growth > _LARGE
        if again:
            for standing in every:
                standing.used /= self.growth
            self.growth, self._began = 1.0, now
        for share in self:
            entry = share.entry
            if entry is not None and (again or (entry[0] >= 0 and now - entry[1] > PATIENCE)):
                self.place(share, now)

    # -- who is next

    def order(
        self, ceiling: int, shares: Collection[Share[C, T]], blocked: Callable[[Share[C, T]], bool] | None
    ) -> Iterator[Share[C, T]]:
        """Those in line, the next one first. `shares` are all there are; `blocked` says where nothing can be opened,
        None that it can everywhere.
        """
        line = list(self)
        if len(self._tenants) <= 1:
            yield from line
            return
        crowded = blocked is None and 0 < ceiling < len(self._tenants)  # one for each is all that there is
        heights: dict[Site[C] | None, float] = {None: 0.0} if crowded else {}

        def below(share: Share[C, T], site: Site[C] | None, total: float) -> bool:
            busy = sum([one.busy for one in share.standing.shares if site is None or one.site is site])
            if not busy and total > 0:
                return True
            if site not in heights:
                there = shares if site is None else [one for one in shares if one.site is site]
                heights[site] = height(int(total), there, blocked)
            return busy / share.standing.weight <= heights[site]

        above = []
        for share in line:
            site = share.site
            if below(share, None, ceiling) and (site.ceiling == NO_LIMIT or below(share, site, site.ceiling)):
                yield share
            else:
                above.append(share)
        yield from above


def height(
    ceiling: int, shares: Collection[Share[C, T]], blocked: Callable[[Share[C, T]], bool] | None = None
) -> float:
    """Whose connections in use are more than this for its weight has reached its ceiling."""
    wanted = demands(shares, blocked)
    return level(ceiling, list(wanted.values()), [standing.weight for standing in wanted])


def demands(
    shares: Collection[Share[C, T]], blocked: Callable[[Share[C, T]], bool] | None = None, *, capped: bool = True
) -> dict[Standing[C, T], int]:
    """How many connections each tenant has in use and could use more of; capped: as far as its limit allows."""
    wanted: dict[Standing[C, T], int] = {}
    for share in shares:
        coming = len(share.opening) + len(share.cleaning) + len(share.reserved)
        want = len(share.leased) + coming
        more = len(share.waiting) - coming
        if more > 0 and (blocked is None or not blocked(share)):
            want += more
        if want:
            standing = share.standing
            wanted[standing] = wanted.get(standing, 0) + want
    if not capped:
        return wanted
    return {standing: want if want <= (most := standing.most) else int(most) for standing, want in wanted.items()}
