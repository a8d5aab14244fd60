"""Ledger: which server connection stands in which list, who waits, and what is to be done next. Decides, does no I/O.

A share is one tenant's part at one server and role (and with one set of start-up settings). Every connection stands in
exactly one list of exactly one share; every count is the length of a list. What changes something returns steps for the
pool to perform. Waiting lines are first come, first served within a share; shares take turns, one connection a turn, so
that no waiter starves. Never more than `ceiling` connections in all, nor more than a tenant's limit, count from the
moment that one is opened until it is gone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)  # a connection
T = TypeVar("T", bound=Hashable)  # who waits

Settings = frozenset[tuple[str, str]]


class Opening:
    """A connection that is being made; it holds a place like a connection."""

    __slots__ = ()


@dataclass(eq=False, slots=True)
class Share(Generic[C, T]):
    """One tenant's part at one server. The lists are dicts for their order; the values mean nothing."""

    server: Hashable
    tenant: str
    settings: Settings
    limit: int | None = None  # of the tenant, over all its shares
    sharing: bool = True  # may connections pass from and to other tenants?
    idle: dict[C, None] = field(default_factory=dict)  # used last stands last
    leased: dict[C, None] = field(default_factory=dict)
    cleaning: dict[C, None] = field(default_factory=dict)  # being undone or discarded, for this share
    cancelling: dict[C, None] = field(default_factory=dict)  # what runs is cancelled, then the connection closed
    closing: dict[C, None] = field(default_factory=dict)
    opening: dict[Opening, None] = field(default_factory=dict)
    reserved: dict[C, None] = field(default_factory=dict)  # being closed, of any share, to make room for this one
    waiting: dict[T, None] = field(default_factory=dict)  # first come stands first

    @property
    def need(self) -> int:
        """How many of those waiting have nothing on its way."""
        return len(self.waiting) - len(self.opening) - len(self.cleaning) - len(self.reserved)

    @property
    def hopeful(self) -> bool:
        """May a connection become free without a new one being opened?"""
        return bool(self.idle or self.leased or self.cleaning or self.opening)


@dataclass(frozen=True, slots=True)
class Lend(Generic[C, T]):
    """The connection is leased to who waited."""

    waiter: T
    connection: C


@dataclass(frozen=True, slots=True)
class Open(Generic[C, T]):
    """Open a connection; answer with opened or failed."""

    opening: Opening
    share: Share[C, T]


@dataclass(frozen=True, slots=True)
class Clean(Generic[C, T]):
    """Another tenant's connection is this share's after DISCARD ALL; answer with cleaned, or doom and closed."""

    connection: C
    share: Share[C, T]


@dataclass(frozen=True, slots=True)
class Close(Generic[C, T]):
    """Close it; answer with closed."""

    connection: C


Step = Lend[C, T] | Open[C, T] | Clean[C, T] | Close[C, T]
Key = tuple[Hashable, str, Settings]


class Ledger(Generic[C, T]):
    """All shares under one ceiling."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.shares: dict[Key, Share[C, T]] = {}
        self.places: dict[C | Opening, Share[C, T]] = {}  # every connection there is, and whose it is
        self.tenants: dict[str, dict[C | Opening, None]] = {}  # the same by tenant
        self.idle: dict[C, None] = {}  # of all shares; longest idle first
        self.promised: dict[C, None] = {}  # being cleaned for somebody who waits, not for whose turn it is afterwards
        self.lines: dict[Key, Share[C, T]] = {}  # shares with somebody waiting; whose turn it is stands first
        self.blocked: dict[Hashable, None] = {}  # servers that refuse: nothing is opened there for now

    def share(self, server: Hashable, tenant: str, settings: Settings) -> Share[C, T]:
        """The share of that key, made if need be."""
        key = (server, tenant, settings)
        found = self.shares.get(key)
        if found is None:
            found = self.shares[key] = Share(server, tenant, settings)
        return found

    # -- from those who want one

    def take(self, share: Share[C, T]) -> C | None:
        """An idle connection of the share, now leased; the one used last, for its caches are warm."""
        if not share.idle:
            return None
        connection, _ = share.idle.popitem()
        del self.idle[connection]
        share.leased[connection] = None
        return connection

    def wait(self, share: Share[C, T], waiter: T) -> list[Step[C, T]]:
        """Stand in line; a Lend for `waiter` comes with these steps or with later ones."""
        key = (share.server, share.tenant, share.settings)
        self.shares[key] = self.lines[key] = share
        share.waiting[waiter] = None
        return self.dispatch()

    def withdraw(self, share: Share[C, T], waiter: T) -> bool:
        """Leave the line; False when the waiter no longer stood in it. What is on its way for it stays on its way."""
        if waiter not in share.waiting:
            return False
        del share.waiting[waiter]
        self._tidy(share)
        return True

    def hopeless(self, server: Hashable) -> list[T]:
        """Those waiting at a server where nothing can become free without an open; they are out of the line now."""
        found: list[T] = []
        for share in list(self.lines.values()):
            if share.server == server and not share.hopeful:
                found += share.waiting
                share.waiting.clear()
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
        return self.dispatch()

    def release(self, connection: C) -> list[Step[C, T]]:
        """A leased connection, clean, is free."""
        share = self.places[connection]
        del share.leased[connection]
        return self._free(connection, share)

    def clean(self, connection: C) -> None:
        """A leased connection must be undone before it is free; answer with cleaned, or doom and closed."""
        share = self.places[connection]
        del share.leased[connection]
        share.cleaning[connection] = None

    def cleaned(self, connection: C) -> list[Step[C, T]]:
        """It is clean."""
        share = self.places[connection]
        if connection in self.promised:
            del self.promised[connection]
            return self._arrive(connection, share)
        del share.cleaning[connection]
        return self._free(connection, share)

    def doom(self, connection: C, *, cancel: bool = False) -> None:
        """From whatever list: it will be closed. Its place is free when `closed` says so."""
        share = self.places[connection]
        self._unlist(connection, share)
        (share.cancelling if cancel else share.closing)[connection] = None

    def closed(self, connection: C) -> list[Step[C, T]]:
        """It is gone, by whosever will. One that is gone already is fine."""
        if connection not in self.places:
            return []
        self._remove(connection)
        return self.dispatch()

    def block(self, server: Hashable) -> None:
        """Open nothing there until `unblock`."""
        self.blocked[server] = None

    def unblock(self, server: Hashable) -> list[Step[C, T]]:
        """Openings may be tried again."""
        self.blocked.pop(server, None)
        return self.dispatch()

    # -- deciding

    def dispatch(self) -> list[Step[C, T]]:
        """Everything that can be done for those who wait, one turn each until nothing can."""
        steps: list[Step[C, T]] = []
        went = bool(self.lines)
        while went:
            went = False
            for key, share in list(self.lines.items()):
                if not self.idle and len(self.places) >= self.ceiling:
                    return steps  # whoever waits, nothing is left to give
                mine = self._turn(share)
                if mine:
                    steps += mine
                    went = True
                    if key in self.lines:
                        self.lines[key] = self.lines.pop(key)  # to the end of the line of lines
        return steps

    def _turn(self, share: Share[C, T]) -> list[Step[C, T]]:
        connection = self.take(share)
        if connection is not None:
            waiter = next(iter(share.waiting))
            del share.waiting[waiter]
            self._tidy(share)
            return [Lend(waiter, connection)]
        if share.need <= 0 or share.server in self.blocked:
            return []
        if share.limit is not None and len(self.tenants.get(share.tenant, ())) >= share.limit:
            victims = (one for one in self.idle if self.places[one].tenant == share.tenant)
            return self._make_room(next(victims, None), share)
        if len(self.places) < self.ceiling:
            opening = Opening()
            self._place(opening, share, share.opening)
            return [Open(opening, share)]
        heir = next(self._inheritable(share), None)
        if heir is not None:
            self._remove(heir)
            self._place(heir, share, share.cleaning)
            self.promised[heir] = None
            return [Clean(heir, share)]
        return self._make_room(next(iter(self.idle), None), share)

    def _inheritable(self, share: Share[C, T]) -> Iterator[C]:
        for connection in self.idle:
            owner = self.places[connection]
            if owner.server == share.server and owner.settings == share.settings and owner.sharing and share.sharing:
                yield connection

    def _make_room(self, victim: C | None, share: Share[C, T]) -> list[Step[C, T]]:
        if victim is None:
            return []
        self.doom(victim)
        share.reserved[victim] = None
        return [Close(victim)]

    # -- bookkeeping

    def _arrive(self, connection: C, share: Share[C, T]) -> list[Step[C, T]]:
        """What a share got in its turn is not put up for the next turn, or it would go round for ever."""
        del share.cleaning[connection]
        if not share.waiting:
            return self._free(connection, share)
        share.leased[connection] = None
        waiter = next(iter(share.waiting))
        del share.waiting[waiter]
        self._tidy(share)
        return [Lend(waiter, connection), *self.dispatch()]

    def _free(self, connection: C, share: Share[C, T]) -> list[Step[C, T]]:
        share.idle[connection] = None
        self.idle[connection] = None
        if share.limit is not None and len(self.tenants[share.tenant]) > share.limit:  # it was lowered
            self.doom(connection)
            return [Close(connection)]
        return self.dispatch() if self.lines else []

    def _place(self, item: C | Opening, share: Share[C, T], where: dict[C, None] | dict[Opening, None]) -> None:
        self.places[item] = share
        self.tenants.setdefault(share.tenant, {})[item] = None
        where[item] = None  # type: ignore[index]  # the caller pairs an Opening with opening, a connection with the rest
        self.shares[share.server, share.tenant, share.settings] = share

    def _unlist(self, item: C | Opening, share: Share[C, T]) -> None:
        if isinstance(item, Opening):
            del share.opening[item]
            return
        self.idle.pop(item, None)
        self.promised.pop(item, None)
        for where in (share.idle, share.leased, share.cleaning, share.cancelling, share.closing):
            where.pop(item, None)

    def _remove(self, item: C | Opening) -> None:
        share = self.places.pop(item)
        self._unlist(item, share)
        if not isinstance(item, Opening):
            for other in self.lines.values():
                other.reserved.pop(item, None)
        owned = self.tenants[share.tenant]
        del owned[item]
        if not owned:
            del self.tenants[share.tenant]
        self._tidy(share)

    def _tidy(self, share: Share[C, T]) -> None:
        """Forget lines and shares that hold nothing; ten thousand tenants come and go."""
        key = (share.server, share.tenant, share.settings)
        if not share.waiting:
            share.reserved.clear()
            self.lines.pop(key, None)
            if not (share.hopeful or share.cancelling or share.closing):
                self.shares.pop(key, None)
