"""Rationing: who hands out buckets and gauges, by key; the same key is the same bucket, whatever its limit is now.

The local one is exact for one process. Where several share the limits, fleet/ has another behind the same protocol.
A key begins with the tenant: no two tenants ever share one.
"""

from __future__ import annotations

from typing import Protocol

from proxy.quota.bucket import Bucket, TokenBucket
from proxy.quota.gauge import CountingGauge, Gauge

Key = tuple[str, str, str, str]
"""Tenant; login, or "" for the whole tenant; name of the limit; class of statements, or ""."""


class Rationing(Protocol):
    """Buckets and gauges by key. What one holds survives another limit."""

    def bucket(self, key: Key, rate: float, burst: float) -> Bucket:
        """The bucket of that key, which has this rate and burst from now on. Full when it is new."""

    def gauge(self, key: Key, limit: int) -> Gauge:
        """The gauge of that key, which has this limit from now on."""

    def forget(self, key: Key) -> None:
        """Nobody asks for this key any more."""


class LocalRationing:
    """Of one process."""

    def __init__(self) -> None:
        self._buckets: dict[Key, TokenBucket] = {}
        self._gauges: dict[Key, CountingGauge] = {}

    def bucket(self, key: Key, rate: float, burst: float) -> TokenBucket:
        """As Rationing."""
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = TokenBucket(rate, burst)
        else:
            found.resize(rate, burst)
        return found

    def gauge(self, key: Key, limit: int) -> CountingGauge:
        """As Rationing."""
        found = self._gauges.get(key)
        if found is None:
            found = self._gauges[key] = CountingGauge(limit)
        found.limit = limit
        return found

    def forget(self, key: Key) -> None:
        """As Rationing."""
        self._buckets.pop(key, None)
        self._gauges.pop(key, None)
