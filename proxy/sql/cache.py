"""PlanCache: plans by exact text, and by shape; bounded in bytes, and shared fairly by those who bring plans in.

A key is (everything the planner read besides the text, the text or shape). A plan of a shape serves every text whose
literals differ only where the plan has holes: the others are compared. So no plan is ever used for a text that it was
not made for. A plan serves whoever asks, and is charged to the tenant that brought it in: what is over a tenant's share
goes, and for want of room something of whoever has more than an equal part, the least recently used first. So nobody
drives out another's plans. Single flight lives where the waiting is, not here. Sizes are estimates.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from itertools import count

from proxy.sql.lift import Lifted, booleans_of, lift_like, pieces_of
from proxy.sql.plan import NOBODY, Forward, Owner, Planned

ENTRY_BYTES = 600  # of an entry and its key, besides the bytes of texts and templates
PLAN_BYTES = 500
HOLE_BYTES = 200
VARIANTS = 16  # plans of one shape that differ in literals which are no holes; then the oldest of who has most goes
BEGIN = 24  # bytes by which get finds a like text, beside the length: statements of one ORM begin alike
LIKES = 1000
LIKE_BYTES = 1000  # of a text; so all of them together stay below a few megabytes

Booleans = tuple[tuple[int, bytes], ...]
Fixed = tuple[tuple[int, bytes], ...]
"""The literals that are no holes in a plan, by index."""
At = tuple[Hashable, bytes]
"""What a plan depends on besides the text, and the text or shape."""


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Plain counters of a plan cache."""

    hits_l1: int = 0
    hits_l2: int = 0
    misses: int = 0
    entries: int = 0  # texts and shapes
    bytes: int = 0
    evictions: int = 0
    extra: Mapping[str, int] = field(default_factory=dict)


class Account:
    """What one tenant brought in: the plans, least recently used first."""

    __slots__ = ("bytes", "kept", "tenant")

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.kept: OrderedDict[Kept, None] = OrderedDict()
        self.bytes = 0


@dataclass(slots=True, eq=False)
class Kept:
    """The plans of one text, or of a shape with these fixed literals. size: in bytes."""

    at: At
    fixed: Fixed | None  # None: of a text
    planned: Planned
    size: int
    account: Account


class PlanCache:
    """At most `max_bytes` of plans; 0 keeps none."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._texts: dict[At, Kept] = {}
        self._shapes: dict[At, list[Kept]] = {}  # last come first; no list is empty
        self._accounts: dict[str, Account] = {}  # by tenant; none is empty
        self._likes: dict[tuple[Hashable, int, bytes], tuple[At, tuple[bytes, ...], Booleans]] = {}
        self._bytes = 0
        self._count = count()
        self._hits_l1 = self._hits_l2 = self._misses = self._evictions = 0

    def number(self) -> int:
        """A key that nobody else was given: planners of several tenants may keep their plans here."""
        return next(self._count)

    def drop(self, tenant: str) -> None:
        """Forgets what the tenant brought in."""
        account = self._accounts.get(tenant)
        while account is not None and account.kept:
            self._drop(next(iter(account.kept)))

    def get(self, key: Hashable, text: bytes) -> Planned | None:
        """The plans of exactly this text, or of one that is like the last one as long that began as it does: then
        get_shape without lifting.
        """
        kept = self._texts.get((key, text))
        if kept is not None:
            kept.account.kept.move_to_end(kept)
            self._hits_l1 += 1
            return kept.planned
        like = self._likes.get((key, len(text), text[:BEGIN]))
        if like is None:
            return None
        literals = lift_like(text, like[1], like[2])
        return None if literals is None else self._get_shape(like[0], literals)

    def get_shape(self, key: Hashable, lifted: Lifted) -> Planned | None:
        """The plans of a text of this shape."""
        return self._get_shape((key, lifted.shape), lifted.literals)

    def learn(self, key: Hashable, text: bytes, lifted: Lifted) -> None:
        """A text, whose shape was found, for those like it."""
        pieces = pieces_of(text, lifted) if len(text) <= LIKE_BYTES else None
        if pieces is not None:
            if len(self._likes) >= LIKES:
                self._likes.clear()
            self._likes[key, len(text), text[:BEGIN]] = ((key, lifted.shape), pieces, booleans_of(lifted))

    def missed(self) -> None:
        """Neither had it: counted."""
        self._misses += 1

    def put_exact(self, key: Hashable, text: bytes, planned: Planned, owner: Owner = NOBODY) -> None:
        """Keeps plans for exactly this text."""
        size = ENTRY_BYTES + len(text) + _size(planned)
        self._put(Kept((key, text), None, planned._replace(cache="l1"), size, Account(owner.tenant)), owner)

    def put_shape(
        self, key: Hashable, lifted: Lifted, planned: Planned, liftable: frozenset[int], owner: Owner = NOBODY
    ) -> None:
        """Keeps plans for texts of this shape; `liftable`: the literals that may differ, by index."""
        fixed = tuple((n, value) for n, value in enumerate(lifted.literals) if n not in liftable)
        size = ENTRY_BYTES + len(lifted.shape) + _size(planned) + sum(len(value) for _, value in fixed)
        self._put(Kept((key, lifted.shape), fixed, planned, size, Account(owner.tenant)), owner)

    def held_by(self, tenant: str) -> int:
        """Bytes of the plans that the tenant brought in."""
        account = self._accounts.get(tenant)
        return 0 if account is None else account.bytes

    def statistics(self) -> CacheStatistics:
        """A snapshot."""
        entries = len(self._texts) + len(self._shapes)
        return CacheStatistics(self._hits_l1, self._hits_l2, self._misses, entries, self._bytes, self._evictions)

    def _get_shape(self, at: At, literals: tuple[bytes, ...]) -> Planned | None:
        for kept in self._shapes.get(at, ()):
            for index, value in kept.fixed or ():
                if literals[index] != value:
                    break
            else:
                kept.account.kept.move_to_end(kept)
                self._hits_l2 += 1
                return Planned(kept.planned.plans, literals, kept.planned.shape, "l2")
        return None

    def _put(self, kept: Kept, owner: Owner) -> None:
        share = self._max if owner.share is None else min(owner.share, self._max)
        if kept.size > share:
            return
        self._replace(kept)
        account = kept.account = self._accounts.setdefault(owner.tenant, kept.account)
        account.kept[kept] = None
        account.bytes += kept.size
        self._bytes += kept.size
        while account.bytes > share:
            self._evict(account)
        while self._bytes > self._max:
            self._evict(self._most(account))

    def _replace(self, kept: Kept) -> None:
        """Puts it where it is found, in the place of what was made for the same, or of too many of its shape."""
        if kept.fixed is None:
            old = self._texts.get(kept.at)
            if old is not None:
                self._drop(old)
            self._texts[kept.at] = kept
            return
        for old in list(self._shapes.get(kept.at, ())):
            if old.fixed == kept.fixed:
                self._drop(old)
        variants = self._shapes.setdefault(kept.at, [])
        variants.insert(0, kept)
        if len(variants) > VARIANTS:
            counts = Counter(one.account.tenant for one in variants)
            most = max(counts.values())
            self._drop(next(one for one in reversed(variants) if counts[one.account.tenant] == most))

    def _most(self, account: Account) -> Account:
        """Who has more than an equal part of the room: the one that asks for it, else the one that has most."""
        if account.bytes * len(self._accounts) > self._max:
            return account
        return max(self._accounts.values(), key=lambda one: one.bytes)

    def _evict(self, account: Account) -> None:
        self._drop(next(iter(account.kept)))
        self._evictions += 1

    def _drop(self, kept: Kept) -> None:
        if kept.fixed is None:
            del self._texts[kept.at]
        else:
            variants = self._shapes[kept.at]
            variants.remove(kept)
            if not variants:
                del self._shapes[kept.at]
        account = kept.account
        if kept in account.kept:
            del account.kept[kept]
            account.bytes -= kept.size
            self._bytes -= kept.size
            if not account.kept:
                del self._accounts[account.tenant]


def _size(planned: Planned) -> int:
    total = len(planned.shape) + sum(len(one) for one in planned.literals)
    for plan in planned.plans:
        total += PLAN_BYTES
        if isinstance(plan, Forward):
            total += sum(len(piece) for piece in plan.template.pieces)
            total += HOLE_BYTES * len(plan.template.holes) + len(plan.positions)
    return total
