"""Share: one tenant's part at one server; Standing: one tenant over all its shares; Site: where several servers stand.

They are what the ledger decides about, and the steps are what it answers. Lists are dicts for their order. Nothing here
decides: ledger.py moves connections from list to list, turns.py says who is next.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

C = TypeVar("C", bound=Hashable)  # a connection
T = TypeVar("T", bound=Hashable)  # who waits

Settings = frozenset[tuple[str, str]]
Key = tuple[Hashable, str, Settings]
NO_LIMIT = float("inf")


class Opening:
    """A connection that is being made; it holds a place like a connection."""

    __slots__ = ()


@dataclass(eq=False, slots=True)
class Site(Generic[C]):
    """Where servers stand: the addresses that connections of several databases and roles lead to."""

    key: Hashable
    ceiling: float = NO_LIMIT
    places: dict[C | Opening, None] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Standing(Generic[C, T]):
    """One tenant, over all its shares; it outlives them, for what it used counts for a while."""

    tenant: str
    limit: float = NO_LIMIT  # connections
    reserve: int = 0  # as many more while somebody is hurried
    weight: float = 1.0
    places: dict[C | Opening, None] = field(default_factory=dict)
    shares: tuple[Share[C, T], ...] = ()
    hurried: dict[T, None] = field(default_factory=dict)  # of those waiting, who waited too long for the limit alone
    lines: int = 0  # its shares with somebody waiting
    seconds: float = 0.0  # connection-seconds that it used, all
    marked: float = 0.0  # of these, how many are in `used`
    used: float = 0.0  # the same, but the older the less; in the growing unit of turns.py
    waited: float = 0.0  # seconds, of all who were lent a connection after waiting
    waits: int = 0  # how many they were

    @property
    def most(self) -> float:
        """Connections that it may have now."""
        return self.limit + self.reserve if self.hurried else self.limit


@dataclass(eq=False, slots=True)
class Share(Generic[C, T]):
    """One tenant's part at one server, role and set of start-up settings."""

    server: Hashable
    tenant: str
    settings: Settings
    site: Site[C]
    standing: Standing[C, T]
    sharing: bool = True  # may connections pass from and to other tenants?
    grant: Any = None  # how to open one; for the pools, nothing here looks at it
    keep: int = 0  # connections that others get last, and no connection of which passes to them
    idle: dict[C, None] = field(default_factory=dict)  # used last stands last
    leased: dict[C, float] = field(default_factory=dict)  # since when
    cleaning: dict[C, None] = field(default_factory=dict)  # being undone or discarded, for this share
    cancelling: dict[C, None] = field(default_factory=dict)  # what runs is cancelled, then the connection closed
    closing: dict[C, None] = field(default_factory=dict)
    opening: dict[Opening, None] = field(default_factory=dict)
    reserved: dict[C, None] = field(default_factory=dict)  # being closed, of any share, to make room for this one
    waiting: dict[T, float] = field(default_factory=dict)  # since when; first come stands first
    entry: tuple[float, float, int] | None = None  # where it stands in line
    slimmed: float = 0.0  # of its tenant's seconds, when slim() was called

    @property
    def key(self) -> Key:
        """What it is found by."""
        return (self.server, self.tenant, self.settings)

    @property
    def need(self) -> int:
        """How many of those waiting have nothing on its way."""
        return len(self.waiting) - len(self.opening) - len(self.cleaning) - len(self.reserved)

    @property
    def busy(self) -> int:
        """Connections that it has in use or on their way; idle ones are there for whoever needs one."""
        return len(self.leased) + len(self.opening) + len(self.cleaning) + len(self.reserved)

    @property
    def size(self) -> int:
        """Connections that it has or will have."""
        return len(self.idle) + len(self.leased) + len(self.cleaning) + len(self.opening)

    def slim(self) -> None:
        """Give back what the lists grew to: a dict keeps its table when it is emptied, and there are many of them."""
        if self.slimmed != self.standing.seconds:
            self.slimmed = self.standing.seconds
            self.leased, self.cleaning, self.cancelling = dict(self.leased), dict(self.cleaning), dict(self.cancelling)
            self.closing, self.opening, self.reserved = dict(self.closing), dict(self.opening), dict(self.reserved)
            self.idle, self.waiting = dict(self.idle), dict(self.waiting)

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
