"""When a tenant's next backup is due. Pure: times are seconds since the epoch, and arguments.

Promises: any number of moments that were missed is one backup; a tenant that has none is due at once. Who has the same
schedule is spread over a while, each always at the same distance, so that not all begin together; over less than half
of the time to the next one.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from cronsim import CronSim

FIRST_RETRY = 60.0  # seconds after a backup that failed
LAST_RETRY = 3600.0


class Calendar:
    """The moments of schedules. Who asks about thousands of tenants of one schedule has them worked out once."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float, float]] = {}  # of a time, and the next two moments

    def after(self, schedule: str, since: float) -> tuple[float, float]:
        """The next two moments."""
        known = self._last.get(schedule)
        if known is not None and known[0] <= since < known[1]:
            return known[1:]
        times = CronSim(schedule, datetime.fromtimestamp(since, UTC))
        first, second = next(times).timestamp(), next(times).timestamp()
        self._last[schedule] = since, first, second
        return first, second


def due(calendar: Calendar, schedule: str, since: float | None, seen: float, part: float, spread: float) -> float:
    """When the next is to begin. since: when the last good one was begun; None: there is none, and the rule is known
    since `seen`. part: where in the spread this tenant stands, from 0 to 1.
    """
    if since is None:
        return seen + part * spread
    first, second = calendar.after(schedule, since)
    return first + part * min(spread, (second - first) / 2)


def part_of(tenant: str, database: str) -> float:
    """Where a tenant stands in the spread: below 1, and always the same."""
    digest = hashlib.sha256(f"{tenant}\0{database}".encode()).digest()
    return int.from_bytes(digest[:4]) / (1 << 32)


def retry(failures: int) -> float:
    """Seconds from the last of so many failures in a row until it is tried again."""
    return float(min(FIRST_RETRY * 2 ** min(failures - 1, 10), LAST_RETRY))
