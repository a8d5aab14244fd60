"""Hours: usage is kept by hours of UTC, counted from the epoch; here they become words and back.

A clock that jumps puts usage into another hour and never counts it twice: no hour is an argument of any sum.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil

SECONDS = 3600


def hour_of(time: float) -> int:
    """The hour that holds this time, seconds since the epoch."""
    return int(time // SECONDS)


def begin_of(hour: int) -> datetime:
    """When it begins."""
    return datetime.fromtimestamp(hour * SECONDS, UTC)


def named(hour: int) -> str:
    """As files are called after it: 2026-11-26T09Z."""
    return f"{begin_of(hour):%Y-%m-%dT%HZ}"


def since(moment: datetime) -> int:
    """The first hour that does not begin before this moment; without a zone it is of UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return ceil(aware.timestamp() / SECONDS)
