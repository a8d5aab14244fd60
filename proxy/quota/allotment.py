"""Allotment: how many of a limit's permits each process may hold, so that the sum never passes the limit.

The store knows of each process a bound: it holds no more, and believes in no more, than that. Lowering what a process
was told lowers its bound only when it reports that it knows; raising it takes only what no bound covers. What is left
over when everybody has what it wants is spread evenly: so each has some without asking, also while the store is away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.quota.fairness import max_min


@dataclass(slots=True)
class Entry:
    """What the store knows of one process and one limit."""

    bound: int
    wanted: int


def allot(entries: Mapping[str, Entry], member: str, limit: int, allotted: int) -> int:
    """What `member`, one of the entries, may hold from now on. allotted: what it believes until it hears this."""
    names = sorted(entries)
    demands = [entries[name].wanted for name in names]
    fair = max_min(limit, demands)[names.index(member)]
    spread, odd = divmod(max(0, limit - sum(demands)), len(names))
    target = fair + spread + (names.index(member) < odd)
    if target <= allotted:
        return target
    others = sum(one.bound for name, one in entries.items() if name != member)
    return max(allotted, min(target, limit - others))
