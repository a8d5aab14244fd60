"""What the pools count: lengths of the ledger's lists, and events since the start. Snapshots only."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from proxy.pool.ledger import Ledger
from proxy.pool.share import NO_LIMIT
from proxy.pool.turns import demands
from proxy.quota.fairness import max_min
from proxy.tenancy.policy import Address, Place, Server


@dataclass(slots=True)
class Counters:
    """Events since the start."""

    opened: int = 0
    closed: int = 0
    failures: int = 0  # connections that could not be made, cancel requests that could not be sent
    resets: int = 0  # changes of tenant by DISCARD ALL
    cancels: int = 0
    timeouts: int = 0  # of those who waited
    unwell: int = 0  # connections that were idle for long and did not answer


@dataclass(frozen=True, slots=True)
class ShareStatistics:
    """One tenant at one server: how many connections stand in each list, and how many sessions wait."""

    server: Server
    tenant: str
    idle: int
    leased: int
    opening: int
    cleaning: int
    cancelling: int
    closing: int
    waiting: int


@dataclass(frozen=True, slots=True)
class SiteStatistics:
    """One server, whatever the database: its address or addresses, connections to it, and how many there may be at
    most; None: as many as of all.
    """

    name: str
    connections: int
    ceiling: int | None


@dataclass(frozen=True, slots=True)
class TenantStatistics:
    """One tenant, over all its shares. Times in seconds, since the start."""

    tenant: str
    ceiling: int  # its part of all connections, as of what everybody has in use and waits for
    server_seconds: float  # connections lent, by how long
    wait_seconds: float
    waits: int  # leases for which somebody had to wait


class Demand(NamedTuple):
    """Of one tenant: connections that it holds, those that it has in use or waits for, and its weight."""

    held: int
    wanted: int
    weight: float


@dataclass(frozen=True, slots=True)
class PoolsStatistics:
    """All of them. `connections` counts what the ceiling counts."""

    shares: tuple[ShareStatistics, ...]
    tenants: tuple[TenantStatistics, ...]  # every one that ever had a connection
    connections: int
    ceiling: int
    counters: Counters
    sites: tuple[SiteStatistics, ...] = ()

    @property
    def idle(self) -> int:
        """Idle connections of all shares."""
        return sum(share.idle for share in self.shares)

    @property
    def leased(self) -> int:
        """Leased connections of all shares."""
        return sum(share.leased for share in self.shares)

    @property
    def waiting(self) -> int:
        """Sessions that wait, of all shares."""
        return sum(share.waiting for share in self.shares)


def snapshot(ledger: Ledger[Any, Any], counters: Counters) -> PoolsStatistics:
    """The state as of now."""
    shares = tuple(
        [
            ShareStatistics(
                server=_server(share.server),
                tenant=share.tenant,
                idle=len(share.idle),
                leased=len(share.leased),
                opening=len(share.opening),
                cleaning=len(share.cleaning),
                cancelling=len(share.cancelling),
                closing=len(share.closing),
                waiting=len(share.waiting),
            )
            for share in ledger.shares.values()
        ]
    )
    return PoolsStatistics(
        shares, _tenants(ledger), len(ledger.places), ledger.ceilings.total, replace(counters), _sites(ledger)
    )


def _sites(ledger: Ledger[Any, Any]) -> tuple[SiteStatistics, ...]:
    return tuple(
        [
            SiteStatistics(
                ",".join(f"{host}:{port}" for host, port in cast("tuple[Address, ...]", one.key)),
                len(one.places),
                None if one.ceiling == NO_LIMIT else int(one.ceiling),
            )
            for one in ledger.sites.values()
            if one.key is not None
        ]
    )


def demand(ledger: Ledger[Any, Any]) -> dict[str, Demand]:
    """Of every tenant that has or wants connections, whatever its limit is."""
    wanted = demands(ledger.shares.values(), capped=False)
    standings = {share.standing: None for share in ledger.shares.values()}
    return {one.tenant: Demand(len(one.places), wanted.get(one, 0), one.weight) for one in standings}


def _tenants(ledger: Ledger[Any, Any]) -> tuple[TenantStatistics, ...]:
    wanted = demands(ledger.shares.values())
    parts = max_min(ledger.ceilings.total, list(wanted.values()), [one.weight for one in wanted])
    ceilings = dict(zip(wanted, parts, strict=True))
    return tuple(
        [
            TenantStatistics(one.tenant, ceilings.get(one, 0), one.seconds, one.waited, one.waits)
            for one in ledger.standings.values()
        ]
    )


def _server(key: Hashable) -> Server:
    return cast("Place", key)[0]  # the pools key shares by place; the ledger does not care
