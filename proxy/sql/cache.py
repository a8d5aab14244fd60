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
from dataclasses import dataclass, replace

from proxy.sql.lift import Lifted
from proxy.sql.plan import CacheStatistics, Forward, Planned

ENTRY_BYTES = 600  # of an entry and its key, besides the bytes of texts and templates
PLAN_BYTES = 500
HOLE_BYTES = 200
VARIANTS = 16  # plans of one shape that differ in literals which are no holes; further ones push the oldest out


@dataclass(slots=True)
class ShapeEntry:
    """The plans of one shape: fixed names the literals that are no holes in any of them, by index, for each variant."""

    variants: list[tuple[tuple[tuple[int, bytes], ...], Planned]]

    def planned(self, lifted: Lifted) -> Planned | None:
        """The plans of this text; None when a literal that decided something is another one."""
        literals = lifted.literals
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
        self._entries: OrderedDict[tuple[bool, Hashable, bytes], Planned | ShapeEntry] = OrderedDict()
        self._sizes: dict[tuple[bool, Hashable, bytes], int] = {}
        self._bytes = 0
        self._hits_l1 = self._hits_l2 = self._misses = self._evictions = 0

    def get_exact(self, key: Hashable, text: bytes) -> Planned | None:
        """The plans of exactly this text."""
        at = (True, key, text)
        found = self._entries.get(at)
        if not isinstance(found, Planned):
            return None
        self._entries.move_to_end(at)
        self._hits_l1 += 1
        return found

    def get_shape(self, key: Hashable, lifted: Lifted) -> Planned | None:
        """The plans of a text of this shape."""
        at = (False, key, lifted.shape)
        found = self._entries.get(at)
        planned = found.planned(lifted) if isinstance(found, ShapeEntry) else None
        if planned is None:
            return None
        self._entries.move_to_end(at)
        self._hits_l2 += 1
        return planned

    def missed(self) -> None:
        """Neither had it: counted."""
        self._misses += 1

    def put_exact(self, key: Hashable, text: bytes, planned: Planned) -> None:
        """Keeps plans for exactly this text."""
        self._put((True, key, text), replace(planned, cache="l1"), ENTRY_BYTES + len(text) + _size(planned))

    def put_shape(self, key: Hashable, lifted: Lifted, planned: Planned, liftable: frozenset[int]) -> None:
        """Keeps plans for texts of this shape; `liftable`: the literals that may differ, by index."""
        at = (False, key, lifted.shape)
        fixed = tuple((n, value) for n, value in enumerate(lifted.literals) if n not in liftable)
        old = self._entries.get(at)
        variants = [one for one in old.variants if one[0] != fixed] if isinstance(old, ShapeEntry) else []
        variants = [(fixed, planned), *variants][:VARIANTS]
        size = ENTRY_BYTES + len(lifted.shape) + sum(_size(one) + sum(len(v) for _, v in f) for f, one in variants)
        self._put(at, ShapeEntry(variants), size)

    def statistics(self) -> CacheStatistics:
        """A snapshot."""
        return CacheStatistics(
            self._hits_l1, self._hits_l2, self._misses, len(self._entries), self._bytes, self._evictions
        )

    def _put(self, at: tuple[bool, Hashable, bytes], value: Planned | ShapeEntry, size: int) -> None:
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
