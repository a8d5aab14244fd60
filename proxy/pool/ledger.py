"""Ledger: which server connection stands in which list, who waits, and what is to be done next. Decides, does no I/O.

Every connection stands in exactly one list of exactly one share; every count is the length of a list. What changes
something returns steps for the pool to perform. Who is next is for turns.py to say. Never more than `ceiling`
connections in all, nor more than a site's ceiling or a tenant's limit, count from the moment that one is opened until
it is gone; where a ceiling is lowered, nothing is opened and what comes free is closed until it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic

from proxy.pool.barriers import Barriers
from proxy.pool.ceilings import Ceilings
from proxy.pool.share import (
    C,
    Clean,
    Close,
    Key,
    Lend,
    Open,
    Opening,
    Settings,
    Share,
    Site,
    Standing,
    Step,
    T,
)
from proxy.pool.turns import Turns


class Ledger(Generic[C, T]):
    """All shares under one ceiling. `clock` tells seconds."""

    def __init__(self, ceiling: int, clock: Callable[[], float]) -> None:
        self.shares: dict[Key, Share[C, T]] = {}  # those that hold something or wait
        self.standings: dict[str, Standing[C, T]] = {}  # of every tenant that ever did
        self.sites: dict[Hashable, Site[C]] = {}
        self.places: dict[C | Opening, Share[C, T]] = {}  # every connection there is, and whose it is
        self.idle: dict[C, None] = {}  # of all shares; longest idle first
        self.going: dict[C, None] = {}  # of all shares, those being closed
        self.ceilings: Ceilings[C, T] = Ceilings(ceiling, self.places, self.going)
        self.making_room: dict[C, Share[C, T]] = {}  # being closed, and for whom
        self.promised: dict[C, None] = {}  # being cleaned for somebody who waits, not for whose turn it is afterwards
        self.lines: Turns[C, T] = Turns()
        self.barriers: Barriers[C, T] = Barriers()
        self.clock = clock

    def share(self, server: Hashable, tenant: str, settings: Settings, site: Hashable = None) -> Share[C, T]:
        """The share of that key, made if need be. `site`: where the server stands."""
        found = self.shares.get((server, tenant, settings))
        if found is None:
            found = Share(server, tenant, settings, self.site(site), self.standing(tenant))
        return found

    def site(self, key: Hashable) -> Site[C]:
        """The site of that key."""
        found = self.sites.get(key)
        if found is None:
            found = self.sites[key] = Site(key)
        return found

    def standing(self, tenant: str) -> Standing[C, T]:
        """The tenant's standing."""
        found = self.standings.get(tenant)
        if found is None:
            found = self.standings[tenant] = Standing(tenant)
        return found

    # -- ceilings

    def set_ceiling(self, ceiling: int) -> list[Step[C, T]]:
        """Of all connections; idle ones above it go at once, leased ones when they are released."""
        self.ceilings.total = ceiling
        return self._lowered()

    def set_site_ceiling(self, site: Site[C], ceiling: float) -> list[Step[C, T]]:
        """Of the connections to a site, as set_ceiling."""
        site.ceiling = ceiling
        return self._lowered()

    def set_limit(self, standing: Standing[C, T], limit: float, reserve: int = 0) -> list[Step[C, T]]:
        """Of a tenant's connections, as set_ceiling; `reserve` more while somebody of it is hurried."""
        if standing.limit == limit and standing.reserve == reserve:
            return []
        standing.limit, standing.reserve = limit, reserve
        if len(standing.places) > standing.most:
            return self._lowered()
        return self.dispatch() if self.lines else []

    # -- from those who want one

    def take(self, share: Share[C, T], now: float) -> C | None:
        """An idle connection of the share, now leased; the one used last, for its caches are warm."""
        if not share.idle:
            return None
        connection, _ = share.idle.popitem()
        del self.idle[connection]
        share.leased[connection] = now
        return connection

    def wait(self, share: Share[C, T], waiter: T) -> list[Step[C, T]]:
        """Stand in line; a Lend for `waiter` comes with these steps or with later ones."""
        self._list(share)
        share.waiting[waiter] = now = self.clock()
        if share.entry is None:
            self.lines.place(share, now)
        return self.dispatch()

    def hurry(self, share: Share[C, T], waiter: T) -> list[Step[C, T]]:
        """It has waited too long for its tenant's limit alone: the reserve is there, too."""
        if waiter not in share.waiting:
            return []
        share.standing.hurried[waiter] = None
        return self.dispatch()

    def withdraw(self, share: Share[C, T], waiter: T) -> bool:
        """Leave the line; False when the waiter no longer stood in it. What is on its way for it stays on its way."""
        if waiter not in share.waiting:
            return False
        self._leave(share, waiter)
        self._tidy(share)
        return True

    def hopeless(self, key: Hashable) -> list[T]:
        """Those waiting at a site or share where nothing can become free without an open; they have left the line."""
        found: list[T] = []
        for share in self.lines:
            if key in (share.site.key, share.key) and not share.hopeful:
                found += share.waiting
                for waiter in list(share.waiting):
                    self._leave(share, waiter)
                self._tidy(share)
        return found

    # -- from connections

    def opened(self, opening: Opening, connection: C) -> list[Step[C, T]]:
        """The connection is made."""
        share = self.places[opening]
        self._remove(opening)
        self._place(connection, share, share.cleaning)
        return self._arrive(connection, share)

    def failed(self, opening: Opening) -> list[Step[C, T]]:
        """The connection could not be made. Whoever calls blocks the server first, or it is tried again at once."""
        self._remove(opening)
        return self._less()

    def release(self, connection: C, now: float) -> list[Step[C, T]]:
        """A leased connection, clean, is free."""
        share = self.places[connection]
        standing = share.standing
        standing.seconds += now - share.leased.pop(connection)
        if standing.lines:
            self.lines.place_all(standing, now)
        return self._free(connection, share)

    def clean(self, connection: C) -> None:
        """A leased connection must be undone before it is free; answer with cleaned, or doom and closed."""
        share = self.places[connection]
        self._unlist(connection, share)
        share.cleaning[connection] = None

    def cleaned(self, connection: C) -> list[Step[C, T]]:
        """It is clean."""
        share = self.places[connection]
        if connection in self.promised:
            del self.promised[connection]
            return self._arrive(connection, share)
        del share.cleaning[connection]
        return self._free(connection, share)

    def doom(self, connection: C, *, cancel: bool = False) -> list[Step[C, T]]:
        """From whatever list: it will be closed. Its place is free when `closed` says so; who waited for it may have
        another before that.
        """
        share = self._doom(connection, cancel=cancel)
        return self.dispatch() if share.waiting else []

    def closed(self, connection: C) -> list[Step[C, T]]:
        """It is gone, by whosever will. One that is gone already is fine."""
        if connection not in self.places:
            return []
        self._remove(connection)
        return self._less()

    # -- from time

    def half_open(self, key: Hashable) -> list[Step[C, T]]:
        """One opening may try whether it is well again."""
        self.barriers.ajar(key)
        return self.dispatch()

    def unblock(self, key: Hashable) -> list[Step[C, T]]:
        """It is well again."""
        self.barriers.lift(key)
        return self.dispatch()

    def tick(self, now: float) -> None:
        """Time goes on: about once a second. What is leased counts as used from now on, not only when it comes back."""
        for share in self.shares.values():
            for connection, since in share.leased.items():
                share.standing.seconds += now - since
                share.leased[connection] = now
        self.lines.tick(now, [share.standing for share in self.shares.values()], self.standings.values())

    def fill(self, share: Share[C, T]) -> list[Step[C, T]]:
        """Open what the share keeps and has not, where nobody waits for the room."""
        steps: list[Step[C, T]] = []
        while share.size < share.keep and not (self.lines or self.barriers.bars(share)) and self.ceilings.room(share):
            steps.append(self._open(share))
        return steps

    # -- deciding

    def dispatch(self) -> list[Step[C, T]]:
        """Everything that can be done for those who wait, the next one first, until nothing can."""
        steps: list[Step[C, T]] = []
        went = True
        while went and self.lines and (self.idle or len(self.places) < self.ceilings.total):
            went = False
            for share in self.order():
                mine = self._turn(share)
                if mine:
                    steps += mine
                    went = True
                    break
        return steps

    def order(self) -> Iterator[Share[C, T]]:
        """Those in line, the next one first."""
        return self.lines.order(
            self.ceilings.total, self.shares.values(), self.barriers.bars if self.barriers else None
        )

    def _turn(self, share: Share[C, T]) -> list[Step[C, T]]:
        now = self.clock()
        connection = self.take(share, now)
        if connection is not None:
            return [self._lend(connection, share, now)]
        if share.need <= 0 or self.barriers.bars(share):
            return []
        if len(share.standing.places) >= share.standing.most:
            return self._make_room((one for one in self.idle if self.places[one].standing is share.standing), share)
        full = len(share.site.places) >= share.site.ceiling
        if not full and len(self.places) < self.ceilings.total:
            return [self._open(share)]
        heir = next(self._inheritable(share), None)
        if heir is not None:
            self._remove(heir)
            self._place(heir, share, share.cleaning)
            self.promised[heir] = None
            return [Clean(heir, share)]
        near = [one for one in self.idle if not full or self.places[one].site is share.site]
        spare = [one for one in near if self._spare(one)]
        return self._make_room(iter(spare or near), share)

    def _inheritable(self, share: Share[C, T]) -> Iterator[C]:
        if not share.sharing:
            return
        for connection in self.idle:
            owner = self.places[connection]
            same = owner.server == share.server and owner.settings == share.settings
            if same and owner.sharing and self._spare(connection):
                yield connection

    def _spare(self, connection: C) -> bool:
        owner = self.places[connection]
        return owner.size > owner.keep

    def _make_room(self, victims: Iterator[C], share: Share[C, T]) -> list[Step[C, T]]:
        victim = next(victims, None)
        if victim is None:
            return []
        self._doom(victim)
        share.reserved[victim] = None
        self.making_room[victim] = share
        return [Close(victim)]

    def _open(self, share: Share[C, T]) -> Step[C, T]:
        opening = Opening()
        self.barriers.begun(opening, share)
        self._place(opening, share, share.opening)
        return Open(opening, share)

    # -- what is above a ceiling

    def _lowered(self) -> list[Step[C, T]]:
        self.ceilings.over = True
        steps: list[Step[C, T]] = []
        for connection in list(self.idle):
            if self.ceilings.surplus(self.places[connection]):
                self._doom(connection)
                steps.append(Close(connection))
        self.ceilings.look(self.shares.values())
        return steps + self.dispatch()

    def _less(self) -> list[Step[C, T]]:
        """There is one less than there was."""
        if self.ceilings.over:
            self.ceilings.look(self.shares.values())
        return self.dispatch()

    # -- bookkeeping

    def _doom(self, connection: C, *, cancel: bool = False) -> Share[C, T]:
        share = self.places[connection]
        self._unlist(connection, share)
        self.going[connection] = None
        (share.cancelling if cancel else share.closing)[connection] = None
        return share

    def _arrive(self, connection: C, share: Share[C, T]) -> list[Step[C, T]]:
        """What a share got in its turn is not put up for the next turn, or it would go round for ever."""
        del share.cleaning[connection]
        if not share.waiting or (self.ceilings.over and self.ceilings.surplus(share)):
            return self._free(connection, share)
        now = self.clock()
        share.leased[connection] = now
        return [self._lend(connection, share, now), *self.dispatch()]

    def _lend(self, connection: C, share: Share[C, T], now: float) -> Step[C, T]:
        """To who stands first in the share's line; it is in the list of those leased already."""
        waiter, since = next(iter(share.waiting.items()))
        share.standing.waited += now - since
        share.standing.waits += 1
        self._leave(share, waiter)
        self._tidy(share)
        return Lend(waiter, connection)

    def _leave(self, share: Share[C, T], waiter: T) -> None:
        first = next(iter(share.waiting)) == waiter
        del share.waiting[waiter]
        hurried = share.standing.hurried
        if hurried and hurried.pop(waiter, 0) is None and not hurried:
            self.ceilings.over = True  # perhaps: the reserve is not there any more
        if first:
            self.lines.place(share, self.clock())

    def _free(self, connection: C, share: Share[C, T]) -> list[Step[C, T]]:
        share.idle[connection] = None
        self.idle[connection] = None
        if self.ceilings.over:
            if self.ceilings.surplus(share):
                self._doom(connection)
                return [Close(connection)]
            self.ceilings.look(self.shares.values())
        return self.dispatch() if self.lines else []

    def _list(self, share: Share[C, T]) -> None:
        self.shares[share.key] = share
        if share not in share.standing.shares:
            share.standing.shares = (*share.standing.shares, share)

    def _place(self, item: C | Opening, share: Share[C, T], where: dict[C, None] | dict[Opening, None]) -> None:
        self.places[item] = share
        share.site.places[item] = None
        share.standing.places[item] = None
        where[item] = None  # type: ignore[index]  # the caller pairs an Opening with opening, a connection with the rest
        self._list(share)

    def _unlist(self, item: C | Opening, share: Share[C, T]) -> None:
        if isinstance(item, Opening):
            del share.opening[item]
            return
        since = share.leased.pop(item, None)
        if since is not None:
            now = self.clock()
            share.standing.seconds += now - since
            self.lines.place_all(share.standing, now)
        for where in (self.idle, self.promised, self.going):
            where.pop(item, None)
        for there in (share.idle, share.cleaning, share.cancelling, share.closing):
            there.pop(item, None)

    def _remove(self, item: C | Opening) -> None:
        share = self.places.pop(item)
        self._unlist(item, share)
        if isinstance(item, Opening):
            self.barriers.ended(item)
        else:
            other = self.making_room.pop(item, None)
            if other is not None:
                other.reserved.pop(item, None)
        del share.site.places[item]
        del share.standing.places[item]
        self._tidy(share)

    def _tidy(self, share: Share[C, T]) -> None:
        """Forget shares that hold nothing; ten thousand tenants come and go."""
        if not share.waiting:
            share.reserved.clear()
            if not (share.hopeful or share.cancelling or share.closing):
                self.shares.pop(share.key, None)
                share.standing.shares = tuple([one for one in share.standing.shares if one is not share])
                self.lines.mark(share.standing)  # the next tick does not see it
