"""SharedRationing: one process's side of the shared limits, without the socket: what to ask, and what an answer means.

Never more than one request is under way. The loop in fleet/rationing.py carries them. Without answers the process goes
on: with its last leases at once, with its share of every rate once the store counts it as silent, with the permits that
were allotted to it; and at `fence_at`, before the store may give those to others, it gives up everything. A store that
is known to be down for everybody gives nothing to anybody, so that the time until the fence stands still. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.quota.exchange import UNIT, Answer, Request, Terms, key_text
from proxy.quota.leased import LeasedBucket, PermitGauge
from proxy.quota.rationing import Key

FOREVER = float("inf")
BATCH = 1000  # gauges and buckets in one request, unless it must be whole


class SharedRationing:
    """Buckets and gauges by key (rationing.Rationing). member: a name that no other process ever had."""

    def __init__(self, member: str, terms: Terms, clock: Callable[[], float], wake: Callable[[], None]) -> None:
        self.member = member
        self.terms = terms
        self.clock = clock
        self._wake = wake
        self.alone_at = FOREVER
        self.alone = 0.0
        self.fence_at = -FOREVER
        self.fenced = True  # nothing was ever given to it
        self.epoch = ""
        self.peers = 0
        self.heard_at: float | None = None  # when the last answer came
        self.urgent = False  # is anything wanted at once?
        self._share = 0
        self._number = 0
        self._whole = False
        self._sent_at = 0.0
        self._time = 0.0  # of the store, when the last answer came
        self._buckets: dict[str, LeasedBucket] = {}
        self._gauges: dict[str, PermitGauge] = {}
        self._wanting: dict[str, LeasedBucket | PermitGauge] = {}
        self._forgotten: dict[str, PermitGauge] = {}

    # -- as Rationing

    def bucket(self, key: Key, rate: float, burst: float) -> LeasedBucket:
        """The bucket of that key, which has this rate and burst from now on."""
        text = key_text(key)
        found = self._buckets.get(text)
        if found is None:
            found = self._buckets[text] = LeasedBucket(self, text, rate, burst)
            self.want(found)
        elif (found.rate, found.burst) != (rate, burst):
            found.resize(rate, burst)
        return found

    def gauge(self, key: Key, limit: int) -> PermitGauge:
        """The gauge of that key, which has this limit from now on."""
        text = key_text(key)
        found = self._gauges.get(text)
        if found is None:
            found = self._forgotten.pop(text, None) or PermitGauge(self, text, limit)
            self._gauges[text] = found
            self.want(found)
        elif found.limit != limit:
            self.want(found)
        found.limit = limit
        return found

    def forget(self, key: Key) -> None:
        """Nobody asks for this key any more. Permits that are still held count until they are given back."""
        text = key_text(key)
        bucket = self._buckets.pop(text, None)
        if bucket is not None and self._wanting.get(text) is bucket:
            del self._wanting[text]
        gauge = self._gauges.pop(text, None)
        if gauge is not None:
            self._forgotten[text] = gauge
            self.want(gauge)

    def want(self, one: LeasedBucket | PermitGauge, urgent: bool = True) -> None:
        """It needs something: at once, or with the next beat."""
        self._wanting[one.key] = one
        if urgent and not self.urgent:
            self.urgent = True
            self._wake()

    # -- the exchange

    def request(self, now: float) -> Request:
        """The next request; it is under way from here on, until answered() or unanswered()."""
        self._number += 1
        self._sent_at = now
        self.urgent = len(self._wanting) > BATCH and not self._whole
        self.alone_at = now + self.terms.alone
        takes, gauges = [], []
        if self._whole:
            self._wanting.update(self._gauges)
            self._wanting.update(self._forgotten)
        for key in list(self._wanting) if self._whole else list(self._wanting)[:BATCH]:
            one = self._wanting.pop(key)
            if isinstance(one, PermitGauge):
                gauges.append(one)
            elif (take := one.ask(now)) is not None:
                takes.append(take)
        for gauge in gauges:
            if gauge.key in self._forgotten:
                gauge.allotted = min(gauge.allotted, gauge.held)
        return Request(
            self.member,
            self._number,
            self.epoch,
            None if self.heard_at is None else self._time + (now - self.heard_at) + self.terms.timeout,
            self._share,
            self.peers,
            self.terms.permit_ttl,
            takes,
            [one.report() for one in gauges],
            self._whole,
        )

    def answered(self, request: Request, answer: Answer, now: float) -> None:
        """The answer to the request that was under way."""
        self._time, self.heard_at = answer.time, now
        if not answer.heard:
            self.unanswered(request)
            self._whole = True
            return
        self._whole = False
        self.fence_at = self._sent_at + self.terms.fence
        self.fenced = False
        self.epoch, self.peers, self._share = answer.epoch, answer.peers, answer.share
        self.alone = answer.share / UNIT
        for key, (granted, level) in answer.granted.items():
            bucket = self._buckets.get(key)
            if bucket is not None:
                bucket.answered(granted, level, now)
        for key, allotted in answer.told.items():
            self._told(key, allotted)
        for key in answer.recalled:
            gauge = self._gauges.get(key)
            if gauge is not None:
                self.want(gauge)

    def _told(self, key: str, allotted: int) -> None:
        gauge = self._gauges.get(key) or self._forgotten.get(key)
        if gauge is None:
            return
        if gauge.told(allotted, self._share > 0):
            self.want(gauge)  # the store waits to hear that this was heard
        elif key in self._forgotten and not gauge.held and not gauge.allotted:
            del self._forgotten[key]
        elif key in self._forgotten or gauge.short:
            self.want(gauge, False)

    def unanswered(self, request: Request) -> None:
        """No answer will come: the request may or may not have been heard."""
        for take in request.takes:
            bucket = self._buckets.get(take.key)
            if bucket is not None:
                bucket.unanswered(take)
                self._wanting[take.key] = bucket
        for report in request.reports:
            gauge = self._gauges.get(report.key) or self._forgotten.get(report.key)
            if gauge is not None:
                self._wanting[report.key] = gauge

    def refused(self, now: float) -> None:
        """Nobody listens where the store was: it is down for everybody, and will begin a new epoch."""
        if now < self.fence_at:
            self.fence_at = now + self.terms.fence

    def fence(self, now: float) -> bool:
        """Gives everything up if it is time; True when this was the moment: whoever holds a permit must go."""
        if self.fenced or now < self.fence_at:
            return False
        self.fenced = True
        self._share, self.alone = 0, 0.0
        self.epoch = ""  # it holds nothing of any, and comes as a new one
        for gauge in (*self._gauges.values(), *self._forgotten.values()):
            gauge.allotted = 0
            self._wanting[gauge.key] = gauge
        return True

    def farewell(self) -> Request:
        """The last request: what the process had is others' at once."""
        self._number += 1
        return Request(self.member, self._number, leave=True)
