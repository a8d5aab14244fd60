"""Which archives of one tenant are no longer wanted. Pure: the rule and the moments decide, and nothing else.

Promises: the newest verified archive is never among them, nor are the `least` newest; what is not verified, or is of a
time that has not come, counts for nothing and stays. To choose again from what is left chooses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from proxy.tenancy.policy import Keep

Period = Callable[[datetime], tuple[int, ...]]
PERIODS: tuple[tuple[str, Period], ...] = (
    ("daily", lambda time: (time.year, time.month, time.day)),
    ("weekly", lambda time: tuple(time.isocalendar())[:2]),
    ("monthly", lambda time: (time.year, time.month)),
)


def unwanted(moments: Iterable[float], keep: Keep | None, now: float) -> list[float]:
    """Of the moments of verified archives (seconds since the epoch) those that may go, the oldest first.

    Of each of the last `daily` days that have an archive the newest stays, in UTC; weeks are ISO's. None: all stay.
    """
    past = sorted({one for one in moments if one <= now}, reverse=True)
    if keep is None or not past:
        return []
    kept = set(past[: max(keep.least, 1)])
    for name, period in PERIODS:
        kept.update(_newest(past, period, getattr(keep, name)))
    return [one for one in reversed(past) if one not in kept]


def _newest(past: Iterable[float], period: Period, count: int) -> Iterator[float]:
    """The newest of each of the last `count` periods that have any; past: the newest first."""
    seen: set[tuple[int, ...]] = set()
    for one in past:
        which = period(datetime.fromtimestamp(one, UTC))
        if which in seen:
            continue
        if len(seen) == count:
            return
        seen.add(which)
        yield one
