"""What a process has of shared limits: a bucket leased in blocks, and a gauge of permits.

LeasedBucket.take is a countdown. What is in hand was given by the store once and for all; below the low water more is
asked for, and nobody waits for it here. A block is what 100 ms take at most, never above the burst. While the store is
away the process's share of the rate comes into the bucket instead, a block at most. PermitGauge lets in as many as were
allotted, and nobody once the process is fenced. Pure: time is an argument, or a clock that was given.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from proxy.quota.exchange import Report, Take
from proxy.quota.gauge import Line

WORTH = 0.1  # seconds of the rate that a block is worth at most
SOON = 0.01  # seconds that an answer of the store takes, more or less
LITTLE = 1e-6  # what the store may have that was not asked yet: no debt
NEVER = 3600.0  # seconds that are told where nobody knows


class Holder(Protocol):
    """The process that leases (shared.SharedRationing)."""

    alone_at: float
    """From when on it lives on its share."""
    alone: float
    """Its share of every rate, from 0 to 1."""
    fence_at: float
    """From when on its permits may be others'."""

    def clock(self) -> float:
        """Seconds."""

    def want(self, one: LeasedBucket | PermitGauge, urgent: bool = True) -> None:
        """It needs something: at once, or with the next beat."""


class LeasedBucket:
    """A part of a shared bucket (bucket.Bucket)."""

    __slots__ = (
        "_at",
        "_block",
        "_holder",
        "_level",
        "_low",
        "_need",
        "_pace",
        "_said",
        "burst",
        "key",
        "rate",
        "tokens",
    )

    def __init__(self, holder: Holder, key: str, rate: float, burst: float) -> None:
        self._holder = holder
        self.key = key
        self.rate, self.burst = rate, burst
        self.tokens = 0.0  # in hand; below 0: spent, and the store does not know yet
        self._need = 1.0  # the most that was asked for in one piece
        self._block = min(burst, 1.0)
        self._low = self._block / 2
        self._level: float | None = None  # in the store, when it was said last
        self._said = 0.0
        self._at = 0.0  # until when the share has come in
        self._pace = float("-inf")  # when it was asked for last

    def resize(self, rate: float, burst: float) -> None:
        """Another limit from now on; what is in hand above a block of it is lost."""
        self.rate, self.burst = rate, burst
        self._block = min(self._block, self.most)
        self._low = self._block / 2
        self.tokens = min(self.tokens, self.most)

    @property
    def most(self) -> float:
        """The largest block."""
        return min(self.burst, max(self._need, self.rate * WORTH))

    def take(self, amount: float, now: float) -> float:
        """0.0: taken. Else the seconds until it may be there, and nothing was taken."""
        left = self.tokens - amount
        if left >= self._low:
            self.tokens = left
            return 0.0
        return self._take(amount, now)

    def _take(self, amount: float, now: float) -> float:
        if now > self._holder.alone_at:
            self._accrue(now)
        left = self.tokens - amount
        if left >= 0.0 and (self.tokens > 0.0 or self._estimate(now) >= 0.0):
            self.tokens = left
            if left < self._low:
                self._holder.want(self)
            return 0.0
        if amount > self._block:
            self._need = max(self._need, amount)
            self._block = min(self.burst, amount)
        wait = self.until(amount, now)
        self._holder.want(self, wait <= SOON)
        return wait

    def spend(self, amount: float, now: float) -> None:
        """It was used already."""
        self.tokens -= amount
        if self.tokens < self._low:
            if now > self._holder.alone_at:
                self._accrue(now)
            self._holder.want(self)

    def left(self, now: float) -> float:
        """In hand, and in the store as far as that is known; alone, only what is in hand."""
        if now > self._holder.alone_at:
            self._accrue(now)
            return self.tokens
        return self.tokens + self._estimate(now)

    def until(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be there."""
        missing = amount - self.tokens
        if now > self._holder.alone_at:
            return missing / (self.rate * self._holder.alone) if self._holder.alone else NEVER
        missing -= self._estimate(now)
        return max(SOON, missing / self.rate)

    def _estimate(self, now: float) -> float:
        if self._level is None:
            return 0.0 if now >= self._holder.fence_at else LITTLE
        return min(self.burst, self._level + self.rate * max(0.0, now - self._said))

    def _accrue(self, now: float) -> None:
        since, until = max(self._at, self._holder.alone_at), min(now, self._holder.fence_at)
        self._at = now
        if until > since:
            more = (until - since) * self.rate * self._holder.alone
            self.tokens = max(self.tokens, min(self.most, self.tokens + more))

    def ask(self, now: float) -> Take | None:
        """What to ask the store for; None: nothing. It is on its way from here on."""
        spent = max(0.0, -self.tokens)
        if self.tokens >= self._block:
            return None
        fast = now - self._pace <= WORTH
        self._pace = now
        least = min(self.most, self._need)
        self._block = min(self.most, self._block * 2 if fast else max(least, self._block / 2))
        self._low = self._block / 2
        self._need = 1.0  # it is asked for now
        self.tokens += spent
        return Take(self.key, self.rate, self.burst, max(0.0, self._block - self.tokens), spent)

    def answered(self, granted: float, level: float, now: float) -> None:
        """The store's answer to ask()."""
        self.tokens += granted
        self._level, self._said = level, now

    def unanswered(self, take: Take) -> None:
        """No answer will come: what was asked for may be lost, and what was spent is told again."""
        self.tokens -= take.spent


class PermitGauge:
    """Permits for one limit (gauge.Gauge)."""

    __slots__ = ("_holder", "_short", "allotted", "held", "key", "limit", "line", "waiting")

    def __init__(self, holder: Holder, key: str, limit: int) -> None:
        self._holder = holder
        self.key = key
        self.limit = limit  # of all processes
        self.held = 0
        self.allotted = 0  # to this process
        self.waiting = 0  # for one
        self.line: Line = deque()
        self._short = True  # somebody found none; a new one wants one

    @property
    def hopeful(self) -> bool:
        """May other processes have permits to spare, or the store?"""
        return self.allotted < self.limit and self._holder.clock() < self._holder.fence_at

    def enter(self) -> bool:
        """False: nothing is allotted to this process beyond what it holds."""
        if self.held < self.allotted and self._holder.clock() < self._holder.fence_at:
            self.held += 1
            if self.held == self.allotted < self.limit:
                self._holder.want(self, False)
            return True
        self._short = True
        if self.held < self.limit:
            self._holder.want(self)
        return False

    def leave(self) -> None:
        """One that was let in is out again. ValueError when nobody is in."""
        if self.held <= 0:
            raise ValueError("nobody is in")
        self.held -= 1
        if self.waiting or self.held >= self.allotted:
            self._holder.want(self, self.waiting > 0)
        if self.line:
            self.line.popleft()()

    def report(self) -> Report:
        """As the store is told."""
        wanted = min(self.limit, self.held + max(self.waiting, self._short))
        return Report(self.key, self.limit, self.allotted, self.held, wanted)

    @property
    def short(self) -> bool:
        """Has somebody use for more than is allotted?"""
        return self.held >= self.allotted and bool(self.waiting or self._short)

    def told(self, allotted: int, welcome: bool) -> bool:
        """The store's word. True when it is less than before, which the store must hear that it was heard. welcome: it
        gives to this process already.
        """
        less = allotted < self.allotted
        self.allotted = allotted
        self._short = self._short and not welcome  # who was refused will come again, or not
        return less
