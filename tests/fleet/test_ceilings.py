"""Server connections of several processes together stay under the limits, and go where they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from proxy.fleet.ceilings import Ceilings
from proxy.fleet.rationing import StoreRationing
from proxy.fleet.stores.memory import MemoryStore
from proxy.pool.pools import Pools
from proxy.pool.statistics import Demand
from proxy.quota.exchange import UNIT, Answer, Terms
from proxy.quota.shared import SharedRationing
from proxy.tenancy.policy import Grant
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample
from tests.pool.conftest import grant_of

TERMS = Terms(permit_ttl=30.0)
DATABASE = "ceilings"


class Recorded:
    """Pools that only remember."""

    def __init__(self) -> None:
        self.ceiling = -1
        self.limits: dict[str, int] = {}
        self.wanted: dict[str, Demand] = {}

    def set_ceiling(self, ceiling: int) -> None:
        self.ceiling = ceiling

    def set_limit(self, tenant: str, limit: int) -> None:
        self.limits[tenant] = limit

    def demand(self) -> Mapping[str, Demand]:
        return self.wanted


class Process:
    """One process whose store is the test."""

    def __init__(self) -> None:
        self.pools = Recorded()
        self.side = SharedRationing("process", TERMS, lambda: 0.0, lambda: None)
        self.ceilings = Ceilings(self.pools, self.side, 100)

    def hear(self, **told: int) -> dict[str, tuple[int, int]]:
        """One exchange; what was reported as held and wanted."""
        names = {"total": "//max_server_connections/", "acme": "acme//server_connections/"}
        request = self.side.request(0.0)
        answer = Answer(True, "e", 0.0, UNIT, 1, told={names[name]: count for name, count in told.items()})
        self.side.answered(request, answer, 0.0)
        self.ceilings.follow()
        return {one.key: (one.held, one.wanted) for one in request.reports}


def test_a_process_opens_nothing_before_it_was_given_something() -> None:
    process = Process()
    assert process.pools.ceiling == 0
    assert process.ceilings.limit_of("acme", 10) == 0
    assert process.side.urgent
    process.pools.wanted = {"acme": Demand(0, 1, 1.0)}
    process.hear(total=30, acme=4)
    assert (process.pools.ceiling, process.pools.limits) == (30, {"acme": 4})
    assert process.ceilings.limit_of("acme", 10) == 4


def test_a_tenant_without_a_limit_has_none() -> None:
    assert Process().ceilings.limit_of("acme", None) is None


def test_what_is_needed_is_reported_and_no_more_than_the_limit() -> None:
    process = Process()
    process.ceilings.limit_of("acme", 10)
    process.pools.wanted = {"acme": Demand(4, 50, 1.0)}
    process.hear(total=4, acme=4)
    assert process.hear(total=4, acme=4) == {"//max_server_connections/": (4, 10), "acme//server_connections/": (4, 10)}


def test_what_a_tenant_needs_no_more_is_given_back() -> None:
    process = Process()
    process.ceilings.limit_of("acme", 10)
    process.pools.wanted = {"acme": Demand(4, 4, 1.0)}
    process.hear(total=50, acme=4)
    process.pools.wanted = {}
    process.hear()
    assert process.pools.limits == {"acme": 0}
    assert process.hear() == {"acme//server_connections/": (0, 0)}
    assert process.ceilings.limit_of("acme", 10) == 0


def test_behind_the_fence_every_ceiling_is_zero() -> None:
    process = Process()
    process.ceilings.limit_of("acme", 10)
    process.pools.wanted = {"acme": Demand(4, 4, 1.0)}
    process.hear(total=50, acme=4)
    assert process.side.fence(TERMS.permit_ttl)
    process.ceilings.follow()
    assert (process.pools.ceiling, process.pools.limits) == (0, {"acme": 0})


@pytest.fixture
def server(postgres15: Cluster) -> Cluster:
    cluster = load_sample(postgres15)
    if "pools" not in cluster.databases():
        cluster.create_database("pools", "template_shared")
    return cluster


@pytest.fixture
async def both() -> AsyncIterator[list[tuple[Pools, StoreRationing]]]:
    """Two processes that share five connections."""
    store, made = MemoryStore(TERMS), []
    for name in ("one", "other"):
        sharing, pools = StoreRationing(name, store, TERMS, Quiet()), Pools(5)
        ceilings = Ceilings(pools, sharing.rationing, 5)
        pools.limit_of = ceilings.limit_of
        sharing.on_answer = ceilings.follow
        sharing.start()
        made.append((pools, sharing))
    yield made
    for pools, sharing in made:
        await pools.close(1.0)
        await sharing.close()


class Quiet:
    def warning(self, event: str, **fields: object) -> None: ...

    def error(self, event: str, **fields: object) -> None: ...


async def test_two_processes_never_have_more_connections_than_the_limits_and_each_gets_some(
    server: Cluster, both: list[tuple[Pools, StoreRationing]]
) -> None:
    most = {"all": 0, "acme": 0}
    leased = [0, 0]

    def count() -> None:
        demands = [pools.demand() for pools, _ in both]
        most["all"] = max(most["all"], sum(one.held for each in demands for one in each.values()))
        most["acme"] = max(most["acme"], sum(each["acme"].held for each in demands if "acme" in each))

    async def use(which: int, grant: Grant) -> None:
        pools = both[which][0]
        for _ in range(20):
            lease = await pools.wait_lease(grant)
            leased[which] += 1
            count()
            await asyncio.sleep(0)
            pools.release(lease)

    acme, globex = grant_of(server, server_connections=3), grant_of(server, "globex", server_connections=4)
    async with asyncio.timeout(120):
        await asyncio.gather(*(use(which, grant) for which in (0, 1) for grant in (acme, globex) for _ in range(4)))
    assert leased == [160, 160]
    assert most["all"] <= 5
    assert most["acme"] <= 3
