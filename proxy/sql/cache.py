"""PlanCache: plans by exact text, and by shape; bounded in bytes, least recently used goes first.

A key is (everything the planner read besides the text, the text or shape). A plan of a shape serves every text whose
literals differ only
where the plan has holes: the others are compared. So no plan is ever used for a text that it was not made for. Single
flight lives
where the waiting is, not here. Sizes are estimates of what the entries hold.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from proxy.sql.lift import Lifted, booleans_of, lift_like, pieces_of
from proxy.sql.plan import CacheStatistics, Forward, Planned

ENTRY_BYTES = 600  # of an entry and its key, besides the bytes of texts and templates
PLAN_BYTES = 500
HOLE_BYTES = 200
VARIANTS = 16  # plans of one shape that differ in literals which are no holes; further ones push the oldest out
BEGIN = 24  # bytes by which get finds a like text, beside the length: statements of one ORM begin alike
LIKES = 1000
LIKE_BYTES = 1000  # of a text; so all of them together stay below a few megabytes

Booleans = tuple[tuple[int, bytes], ...]
At = tuple[bool, Hashable, bytes]
"""Exact?, what the plan depends on besides the text, the text or shape."""


@dataclass(slots=True)
class ShapeEntry:
    """The plans of one shape: fixed names the literals that are no holes in any of them, by index, for each variant."""

    variants: list[tuple[tuple[tuple[int, bytes], ...], Planned]]

    def planned(self, literals: tuple[bytes, ...]) -> Planned | None:
        """The plans of a text with these literals; None when one that decided something is another one."""
        for fixed, planned in self.variants:
            for index, value in fixed:
                if literals[index] != value:
                    break
            else:
                return Planned(planned.plans, literals, planned.shape, "l2")
        return None


class PlanCache:
    """At most `max_bytes` of plans; 0 keeps none."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._entries: OrderedDict[At, Planned | ShapeEntry] = OrderedDict()
        self._sizes: dict[At, int] = {}
        self._likes: dict[tuple[Hashable, int, bytes], tuple[At, tuple[bytes, ...], Booleans]] = {}
        self._bytes = 0
        self._hits_l1 = self._hits_l2 = self._misses = self._evictions = 0

    def get(self, key: Hashable, text: bytes) -> Planned | None:
        """The plans of exactly this text, or of one that is like the last one as long that began as it does: then
        get_shape without lifting.
        """
        at = (True, key, text)
        found = self._entries.get(at)
        if type(found) is Planned:
            self._entries.move_to_end(at)
            self._hits_l1 += 1
            return found
        like = self._likes.get((key, len(text), text[:BEGIN]))
        if like is None:
            return None
        literals = lift_like(text, like[1], like[2])
        return None if literals is None else self._get_shape(like[0], literals)

    def get_shape(self, key: Hashable, lifted: Lifted) -> Planned | None:
        """The plans of a text of this shape."""
        return self._get_shape((False, key, lifted.shape), lifted.literals)

    def learn(self, key: Hashable, text: bytes, lifted: Lifted) -> None:
        """A text, whose shape was found, for those like it."""
        pieces = pieces_of(text, lifted) if len(text) <= LIKE_BYTES else None
        if pieces is not None:
            if len(self._likes) >= LIKES:
                self._likes.clear()
            self._likes[key, len(text), text[:BEGIN]] = ((False, key, lifted.shape), pieces, booleans_of(lifted))

    def missed(self) -> None:
        """Neither had it: counted."""
        self._misses += 1

    def put_exact(self, key: Hashable, text: bytes, planned: Planned) -> None:
        """Keeps plans for exactly this text."""
        self._put((True, key, text), planned._replace(cache="l1"), ENTRY_BYTES + len(text) + _size(planned))

    def put_shape(self, key: Hashable, lifted: Lifted, planned: Planned, liftable: frozenset[int]) -> None:
        """Keeps plans for texts of this shape; `liftable`: the literals that may differ, by index."""
        at = (False, key, lifted.shape)
        fixed = tuple((n, value) for n, value in enumerate(lifted.literals) if n not in liftable)
        old = self._entries.get(at)
        variants = [one for one in old.variants if one[0] != fixed] if isinstance(old, ShapeEntry) else []
        variants = [(fixed, planned), *variants][:VARIANTS]
        size = ENTRY_BYTES + len(lifted.shape) + sum(_size(one) + sum(len(v) for _, v in f) for f, one in variants)
        self._put(at, ShapeEntry(variants), size)

    def _get_shape(self, at: At, literals: tuple[bytes, ...]) -> Planned | None:
        found = self._entries.get(at)
        planned = found.planned(literals) if type(found) is ShapeEntry else None
        if planned is None:
            return None
        self._entries.move_to_end(at)
        self._hits_l2 += 1
        return planned

    def statistics(self) -> CacheStatistics:
        """A snapshot."""
        return CacheStatistics(
            self._hits_l1, self._hits_l2, self._misses, len(self._entries), self._bytes, self._evictions
        )

    def _put(self, at: At, value: Planned | ShapeEntry, size: int) -> None:
        if size > self._max:
            return
        self._bytes += size - self._sizes.get(at, 0)
        self._entries[at] = value
        self._entries.move_to_end(at)
        self._sizes[at] = size
        while self._bytes > self._max:
            old, _ = self._entries.popitem(last=False)
            self._bytes -= self._sizes.pop(old)
            self._evictions += 1


def _size(planned: Planned) -> int:
    total = len(planned.shape) + sum(len(one) for one in planned.literals)
    for plan in planned.plans:
        total += PLAN_BYTES
        if isinstance(plan, Forward):
            total += sum(len(piece) for piece in plan.template.pieces)
            total += HOLE_BYTES * len(plan.template.holes) + len(plan.positions)
    return total
