"""Token buckets: what may be used per time, with a burst. Time is an argument, in seconds of any steady clock.

In any window the amounts that take() admitted are at most rate x window + burst. spend() notes what was used before it
could be asked about, and may leave a debt: then nothing is admitted until time has paid it. Nothing here knows what is
counted; budget.py does.
"""

from __future__ import annotations

from typing import Protocol


class Bucket(Protocol):
    """One limit of one budget. Exact and local here; leased in blocks where several processes share it."""

    rate: float  # per second
    burst: float  # what it holds when it is full

    def take(self, amount: float, now: float) -> float:
        """0.0: taken. Else the seconds until it is there, and nothing was taken. amount: at most burst."""

    def spend(self, amount: float, now: float) -> None:
        """It was used already; the bucket may go into debt."""

    def left(self, now: float) -> float:
        """What take() would admit; negative: the debt."""


class TokenBucket:
    """The exact one. Full at first."""

    __slots__ = ("at", "burst", "level", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self.level = burst  # as of `at`
        self.at = float("-inf")

    def take(self, amount: float, now: float) -> float:
        """As Bucket."""
        level = self.level
        if now > self.at:
            level += (now - self.at) * self.rate
            if level > self.burst:  # noqa: PLR1730  # min() would be half of what this costs
                level = self.burst
            self.at = now
        if level < amount:
            self.level = level
            return (amount - level) / self.rate
        self.level = level - amount
        return 0.0

    def spend(self, amount: float, now: float) -> None:
        """As Bucket."""
        self.level = self.left(now) - amount

    def left(self, now: float) -> float:
        """As Bucket."""
        if now > self.at:
            self.level = min(self.burst, self.level + (now - self.at) * self.rate)
            self.at = now
        return self.level

    def resize(self, rate: float, burst: float) -> None:
        """Another limit holds from here on. What is left stays, up to the new burst; so does a debt."""
        self.rate, self.burst = rate, burst
        self.level = min(self.level, burst)
