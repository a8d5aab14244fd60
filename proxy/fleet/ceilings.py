"""Ceilings: how many server connections this process may have, of all and of each tenant, where processes share them.

The pools say what they have and could use; the store divides; the pools' ceilings follow. A process opens nothing
before it was given something, and what is taken away goes when it is idle. Behind the fence every ceiling is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from proxy.pool.statistics import Demand
from proxy.quota.leased import PermitGauge
from proxy.quota.shared import SharedRationing

NAME = "server_connections"
TOTAL = ("", "", "max_server_connections", "")


class Pools(Protocol):
    """pool.pools.Pools, as far as it is used here."""

    def set_ceiling(self, ceiling: int) -> None: ...

    def set_limit(self, tenant: str, limit: int) -> None: ...

    def demand(self) -> Mapping[str, Demand]: ...


class Ceilings:
    """Of one process. total: of all processes."""

    def __init__(self, pools: Pools, rationing: SharedRationing, total: int) -> None:
        self._pools = pools
        self._rationing = rationing
        self._total = rationing.gauge(TOTAL, total)
        self._tenants: dict[str, PermitGauge] = {}
        self._told: dict[str, int] = {}  # what the pools know; "" is the total
        self._apply("", 0)

    def limit_of(self, tenant: str, limit: int | None) -> int | None:
        """What a tenant may have here; asked when it wants one, which the store hears at once."""
        if limit is None:
            return None
        gauge = self._rationing.gauge((tenant, "", NAME, ""), limit)
        self._tenants[tenant] = gauge
        if not gauge.allotted:
            gauge.waiting = max(1, gauge.waiting)
            self._rationing.want(gauge)
        self._told[tenant] = gauge.allotted
        return gauge.allotted

    def follow(self) -> None:
        """After each answer of the store, and at the fence: what it gave, and what is needed now."""
        for tenant, gauge in (("", self._total), *self._tenants.items()):
            self._apply(tenant, gauge.allotted)
        demands = self._pools.demand()
        held = wanted = 0
        for tenant, one in demands.items():
            held += one.held
            gauge_of = self._tenants.get(tenant)
            wanted += one.wanted if gauge_of is None else min(one.wanted, gauge_of.limit)
            if gauge_of is not None:
                self._note(gauge_of, one.held, one.wanted)
        self._note(self._total, held, wanted)
        for tenant in self._tenants.keys() - demands.keys():
            self._apply(tenant, 0)
            gone = self._tenants.pop(tenant)
            gone.held = gone.waiting = 0
            del self._told[tenant]
            self._rationing.forget((tenant, "", NAME, ""))

    def _apply(self, tenant: str, limit: int) -> None:
        if self._told.get(tenant) == limit:
            return
        self._told[tenant] = limit
        if tenant:
            self._pools.set_limit(tenant, limit)
        else:
            self._pools.set_ceiling(limit)

    def _note(self, gauge: PermitGauge, held: int, wanted: int) -> None:
        over = gauge.held > gauge.allotted
        gauge.held = held
        gauge.waiting = max(0, min(wanted, gauge.limit) - held)
        if gauge.waiting and held + gauge.waiting > gauge.allotted:
            self._rationing.want(gauge)
        elif over:
            self._rationing.want(gauge, False)  # the store gives others what has gone since
