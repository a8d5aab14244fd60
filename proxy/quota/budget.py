"""Budget: what one login's statements are asked of: its tenant's limits and its own, in one go.

Statements are asked about before they run, one or several together, all or none. Rows, bytes and server time are read
from the login's counters, and are owed: while one of them is, nothing more is admitted. Nothing is known here of
sessions; who was let into gauges leaves them by itself, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from proxy.quota.allowance import CONCURRENT, PLANNING, RECEIVED, ROWS, SENT, SERVER, STATEMENTS, Allowance, Meter
from proxy.quota.bucket import Bucket
from proxy.quota.exceeded import Exceeded
from proxy.quota.gauge import Gauge
from proxy.tenancy.policy import CLASSES

NEVER = float("inf")
LOOK = 0.05  # seconds for which what was used may go unnoticed, while it is less than what was left
OWED = (ROWS, SENT, RECEIVED, SERVER)


class Used(Protocol):
    """A login's totals (session.counters.Counters)."""

    rows: int
    bytes_in: int
    bytes_out: int
    server: float  # seconds


class Judgement(NamedTuple):
    """exceeded: refused, and nothing was taken. warned: admitted although these are used up. entered: gauges. meter:
    what was exceeded; who refuses counts it there. soon: other processes share it and may have some to spare. until:
    seconds to wait for it, where the statement may.
    """

    exceeded: Exceeded | None
    warned: tuple[Exceeded, ...] = ()
    entered: tuple[Gauge, ...] = ()
    meter: Meter | None = None
    soon: bool = False
    until: float | None = None


class Budget:
    """Of one login of one tenant, in one process. The hot part is admit()."""

    def __init__(self, tenant: Allowance, own: Allowance, used: Used, now: float) -> None:
        self.tenant = tenant
        self.own = own
        self.used = used
        self.at = now  # when a statement ended last: what was used, was used until then
        self.watches = False  # is there a limit of what is owed?
        self.compose()

    def compose(self) -> None:
        """Other limits hold, or may."""
        kinds = (*CLASSES, "")
        self.rates = tuple(tuple(self._meters(STATEMENTS, kind)) for kind in kinds)
        self.counts = tuple(tuple(self._meters(CONCURRENT, kind)) for kind in kinds)
        self.buckets = tuple(tuple(_bucket(one) for one in meters) for meters in self.rates)
        self.gauges = tuple(tuple(_gauge(one) for one in meters) for meters in self.counts)
        self.owed = tuple(tuple(self._meters(name)) for name in OWED)
        self.planning = tuple(self._meters(PLANNING))
        if not self.watches:
            used = self.used
            self.seen = (used.rows, used.bytes_out, used.bytes_in, used.server)
        self.watches = any(self.owed)
        # Below these marks of the login's totals nothing can be owed, whatever time it is.
        self.rows = self.sent = self.received = self.server = 0 if self.watches else NEVER
        self.look = 0.0

    def _meters(self, name: str, kind: str = "") -> Iterator[Meter]:
        """What counts for statements of this class: the tenant's and the login's, for the class and for all."""
        for allowance in (self.tenant, self.own):
            for one in dict.fromkeys(("", kind)):
                found = allowance.of(name, one)
                if found is not None:
                    yield found

    @property
    def empty(self) -> bool:
        """Has it no limit at all?"""
        return not (any(self.rates) or any(self.counts) or self.watches or self.planning)

    def admit(self, kind: int, now: float) -> bool:
        """One statement of this class, of a session that is in no gauge; it is in self.gauges[kind] then. False:
        nothing was taken, and judge() says why.
        """
        if self.watches:
            used = self.used
            if (
                now >= self.look
                or used.rows >= self.rows
                or used.bytes_out >= self.sent
                or used.bytes_in >= self.received
                or used.server >= self.server
            ) and self.settle(now):
                return False
        buckets = self.buckets[kind]
        for bucket in buckets:
            if bucket.take(1, now):
                _give_back([(one, 1) for one in buckets[: buckets.index(bucket)]], (), now)
                return False
        gauges = self.gauges[kind]
        for gauge in gauges:
            if not gauge.enter():
                _give_back([(one, 1) for one in buckets], gauges[: gauges.index(gauge)], now)
                return False
        return True

    def withdraw(self, kind: int, now: float) -> None:
        """What admit() took goes back: the statement was not sent."""
        _give_back([(one, 1) for one in self.buckets[kind]], self.gauges[kind], now)

    def judge(
        self,
        kinds: Sequence[int],
        now: float,
        entered: tuple[Gauge, ...] = (),
        *,
        paid: bool = False,
        ends: bool = False,
    ) -> Judgement:
        """Statements of these classes together, of a session that is in `entered`. paid: they were counted before.
        ends: it gives back what it holds, so that it is admitted and owed.
        """
        warned: list[Exceeded] = []
        self.settle(now)
        if not ends:
            for meter in (one for meters in self.owed for one in meters):
                if _bucket(meter).left(now) <= 0:
                    if not meter.warns:
                        return _refused(meter, now)
                    warned.append(_warned(meter, now))
        taken: list[tuple[Bucket, int]] = []
        if not paid:
            for meter, amount in _amounts(self.rates, kinds):
                bucket = _bucket(meter)
                if amount <= bucket.burst and bucket.take(amount, now) == 0.0:
                    taken.append((bucket, amount))
                elif ends:
                    bucket.spend(amount, now)
                elif meter.warns:
                    warned.append(_warned(meter, now, amount))
                else:
                    _give_back(taken, (), now)
                    return _refused(meter, now, amount)
        inside: list[Gauge] = []
        for meter, _ in _amounts(self.counts, kinds):
            gauge = _gauge(meter)
            if any(gauge is one for one in entered):
                continue
            if gauge.enter():
                inside.append(gauge)
            elif meter.warns:
                warned.append(_warned(meter, now))
            elif not ends:
                _give_back(taken, inside, now)
                return _refused(meter, now)
        return Judgement(None, tuple(warned), (*entered, *inside))

    def settle(self, now: float) -> bool:
        """Spends what the login has used since the last time; True when anything is owed, or all of it used."""
        used = self.used
        totals = (used.rows, used.bytes_out, used.bytes_in, used.server)
        at = min(self.at, now)
        marks = []
        owing = False
        for meters, total, seen in zip(self.owed, totals, self.seen, strict=True):
            least = NEVER
            for meter in meters:
                meter.spend(total - seen, at)
                least = min(least, _bucket(meter).left(now))
            marks.append(total + max(0.0, least))
            owing = owing or least <= 0
        self.seen = totals
        self.rows, self.sent, self.received, self.server = marks
        self.look = now + LOOK
        return owing

    def flooded(self, now: float) -> Exceeded | None:
        """Were more bytes received than are allowed? Asked while they come in; what only warns is not told."""
        if self.used.bytes_in < self.received:
            return None
        self.settle(now)
        for meter in self.owed[2]:
            if not meter.warns and _bucket(meter).left(now) <= 0:
                meter.refusals += 1
                return meter.exceeded(now)
        return None

    def may_plan(self, now: float) -> Judgement:
        """May a text be planned that was not seen before?"""
        warned = []
        for meter in self.planning:
            if _bucket(meter).left(now) <= 0:
                if not meter.warns:
                    return _refused(meter, now)
                warned.append(_warned(meter, now))
        return Judgement(None, tuple(warned))

    def planned(self, seconds: float, now: float) -> None:
        """A text was planned, or will be; negative: it took less than that."""
        for meter in self.planning:
            meter.spend(seconds, now)


def _bucket(meter: Meter) -> Bucket:
    assert meter.bucket is not None
    return meter.bucket


def _gauge(meter: Meter) -> Gauge:
    assert meter.gauge is not None
    return meter.gauge


def _refused(meter: Meter, now: float, amount: int = 1) -> Judgement:
    soon, until = meter.soon(now, amount), meter.until(now, amount)
    return Judgement(meter.exceeded(now, amount), meter=meter, soon=soon, until=until)


def _warned(meter: Meter, now: float, amount: int = 1) -> Exceeded:
    meter.warnings += 1
    return meter.exceeded(now, amount)


def _amounts(meters: tuple[tuple[Meter, ...], ...], kinds: Sequence[int]) -> Iterator[tuple[Meter, int]]:
    """How much statements of these classes take of each meter."""
    amounts: dict[int, tuple[Meter, int]] = {}
    for kind in kinds:
        for one in meters[kind]:
            amounts[id(one)] = (one, amounts.get(id(one), (one, 0))[1] + 1)
    yield from amounts.values()


def _give_back(taken: Sequence[tuple[Bucket, int]], inside: Sequence[Gauge], now: float) -> None:
    for bucket, amount in taken:
        bucket.spend(-amount, now)
    for gauge in inside:
        gauge.leave()
