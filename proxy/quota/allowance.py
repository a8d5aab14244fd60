"""Allowance: the limits that one tenant, or one login of its, has now, each with its bucket or gauge.

Another set of limits keeps what was used of those that stay: buckets and gauges are asked for by key. What a meter has
counted is kept also while its limit is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from proxy.quota.bucket import Bucket
from proxy.quota.exceeded import Exceeded, gauge_exceeded, rate_exceeded, too_many_together
from proxy.quota.gauge import Gauge, Line
from proxy.quota.leased import SOON, LeasedBucket, PermitGauge
from proxy.quota.rationing import Key, Rationing
from proxy.tenancy.policy import CLASSES, Limits

STATEMENTS = "statements_per_second"
CONCURRENT = "concurrent_statements"
ROWS = "rows_per_minute"
SENT = "bytes_per_minute"
RECEIVED = "received_bytes_per_minute"
SERVER = "server_time_per_hour"
PLANNING = "planning_time_per_minute"
MOMENT = 0.001  # seconds that are waited at least
SHORT = 0.05  # the same where other processes share the limit
LONG = 1.0  # seconds after which who waits for another to leave looks again
PERIODS = {ROWS: 60.0, SENT: 60.0, RECEIVED: 60.0, SERVER: 3600.0, PLANNING: 60.0}
"""Seconds of the unit of time of what is spent after the fact; as much as in one of them may be spent at once."""


class Measure(NamedTuple):
    """How much a limit is: in `per` seconds and at once; or, per 0, at one time."""

    amount: float
    burst: float
    per: float


@dataclass(slots=True, eq=False)
class Meter:
    """One limit: what it is, what holds it now, and how often it was hit."""

    key: Key
    name: str  # as in rule files, with its class in front
    measure: Measure
    warns: bool = False
    waits: bool = False
    bucket: Bucket | None = None
    gauge: Gauge | None = None
    refusals: int = 0
    warnings: int = 0
    waited: int = 0  # statements
    line: Line = field(default_factory=deque)

    @property
    def login(self) -> bool:
        """Is it a login's own?"""
        return bool(self.key[1])

    @property
    def label(self) -> str:
        """For metrics."""
        return f"login.{self.name}" if self.login else self.name

    def spend(self, amount: float, now: float) -> float:
        """Notes what was used; what is left. A limit that only warns is never owed more than one time's worth, lest
        it be owed when it is enforced one day."""
        bucket = self.bucket
        if bucket is None:
            return float("inf")
        if self.warns:
            amount = min(amount, max(0.0, bucket.left(now) + bucket.burst))
        bucket.spend(amount, now)
        return bucket.left(now)

    def exceeded(self, now: float, amount: int = 1) -> Exceeded:
        """What is told of it now, when `amount` was asked for."""
        if self.gauge is not None:
            return gauge_exceeded(self.name, self.login, self.gauge.limit, self.gauge.held)
        assert self.bucket is not None
        if amount > self.bucket.burst:
            return too_many_together(self.name, self.login, self.bucket.burst, amount)
        left = self.bucket.left(now)
        wait = ((amount if self.measure.per == 1.0 else 0.0) - left) / self.bucket.rate
        limit = (self.measure.amount, self.measure.burst)
        return rate_exceeded(self.name, self.login, self.measure.per, limit, self.measure.burst - left, wait)

    def soon(self, now: float, amount: int = 1) -> bool:
        """May it be there in a moment, when the counter store has answered? Never where nobody shares it."""
        if isinstance(self.gauge, PermitGauge):
            return self.gauge.hopeful
        return isinstance(self.bucket, LeasedBucket) and self.bucket.until(amount, now) <= SOON

    def until(self, now: float, amount: int = 1) -> float | None:
        """Seconds until it may be there, behind those that wait already; None where nobody may wait for it."""
        bucket = self.bucket
        if not self.waits:
            return None
        shared = self.soon(now, amount)  # the store is asked meanwhile, and may have some to spare
        if bucket is None:
            return SHORT if shared else LONG  # or until somebody leaves
        if amount > bucket.burst:
            return None
        ahead = (1 + len(self.line)) * amount if self.measure.per == 1.0 else 0.0
        return max(SHORT if shared else MOMENT, (ahead - bucket.left(now)) / bucket.rate)

    def used(self, now: float) -> float:
        """The share that is used: 1.0 is all, more is owed; 0.0 where there is no limit now."""
        if self.gauge is not None:
            return self.gauge.held / self.gauge.limit
        return 0.0 if self.bucket is None else 1.0 - self.bucket.left(now) / self.bucket.burst


@dataclass(slots=True, eq=False)
class Allowance:
    """login "": the whole tenant's."""

    tenant: str
    login: str
    rationing: Rationing
    limits: Limits | None = None
    meters: dict[str, Meter] = field(default_factory=dict)

    def apply(self, limits: Limits | None) -> bool:
        """These limits hold from here on. False: they did before."""
        if limits is self.limits or limits == self.limits:
            return False
        self.limits = limits
        wanted: Mapping[str, Measure] = {} if limits is None else dict(measures(limits))
        for name, meter in self.meters.items():
            if name not in wanted:
                self.rationing.forget(meter.key)
                meter.bucket = meter.gauge = None
        for name, measure in wanted.items():
            found = self.meters.get(name)
            if found is None:
                kind, _, limit = name.rpartition(".")
                found = self.meters[name] = Meter((self.tenant, self.login, limit, kind), name, measure)
            found.measure = measure
            found.warns = limits is not None and name in limits.warn
            found.waits = limits is not None and name in limits.wait
            if measure.per:
                found.bucket = self.rationing.bucket(found.key, measure.amount / measure.per, measure.burst)
            else:
                found.gauge = self.rationing.gauge(found.key, int(measure.amount))
                found.line = found.gauge.line
        return True

    def of(self, limit: str, kind: str = "") -> Meter | None:
        """The meter of a limit that holds now."""
        found = self.meters.get(f"{kind}.{limit}" if kind else limit)
        return found if found is not None and (found.bucket is not None or found.gauge is not None) else None


def measures(limits: Limits) -> Iterator[tuple[str, Measure]]:
    """Every limit that these have and that a meter counts, by its name in rule files."""
    for prefix, those in (("", limits), *((f"{kind}.", limits.classes.get(kind)) for kind in CLASSES)):
        if those is None:
            continue
        if those.statements_per_second is not None:
            rate = those.statements_per_second
            burst = those.statement_burst if those.statement_burst is not None else max(1.0, rate)
            yield prefix + STATEMENTS, Measure(rate, burst, 1.0)
        if those.concurrent_statements is not None:
            yield prefix + CONCURRENT, Measure(those.concurrent_statements, 0.0, 0.0)
    for name, period in PERIODS.items():
        amount = getattr(limits, name)
        if amount is not None:
            yield name, Measure(amount, amount, period)
