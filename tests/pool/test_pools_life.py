"""Pools on a real server: checks before lending, reserves, kept connections, ceilings that move, waiters in order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from proxy.errors import TooManyConnections
from proxy.pool.pools import Pools
from proxy.pool.statistics import Demand
from proxy.pool.upkeep import Lifetimes
from tests.kit.postgres import Cluster
from tests.pool.conftest import Census, Talk, grant_of


class Clock:
    """Invented time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def aged(clock: Clock, census: Census) -> AsyncIterator[Pools]:
    """Pools whose time is invented."""
    pools = Pools(5, clock, lifetimes=Lifetimes(server_idle_timeout=1e9, server_lifetime=1e9))
    yield pools
    await pools.close(0.0)
    await census.until(lambda: 0, pools)


async def test_a_connection_that_was_idle_for_long_is_asked_before_it_is_lent_and_one_that_was_not_is_not(
    server15: Cluster, aged: Pools, clock: Clock, census: Census
) -> None:
    grant = grant_of(server15)
    lease = await aged.wait_lease(grant)
    aged.release(lease)
    clock.now = 30.0
    again = aged.lease_nowait(grant)
    assert again is not None
    aged.release(again)
    clock.now = 61.0
    assert aged.lease_nowait(grant) is None
    sent = "SELECT query FROM pg_stat_activity WHERE application_name = 'partywall' AND datname = current_database()"
    lease = await aged.wait_lease(grant)
    assert lease.connection is again.connection
    assert await census.fetchval(sent) == ""
    assert await Talk(lease)("SELECT 1") == [(b"1",)]
    aged.release(lease)
    assert aged.statistics().counters.unwell == 0


async def test_one_that_does_not_answer_is_closed_with_what_was_idle_as_long_and_another_is_lent(
    server15: Cluster, aged: Pools, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.pool.pools.CHECK_TIMEOUT", 0.2)
    grant = grant_of(server15)
    leases = [await aged.wait_lease(grant) for _ in range(3)]
    for lease in leases:
        aged.release(lease)
    silent = leases[-1].connection.state.process_id
    os.kill(silent, signal.SIGSTOP)
    try:
        clock.now = 100.0
        lease = await aged.wait_lease(grant)
        assert lease.connection not in [one.connection for one in leases]
        assert await Talk(lease)("SELECT 1") == [(b"1",)]
        assert all(one.connection.closing for one in leases)
        assert aged.statistics().counters.unwell == 1
    finally:
        os.kill(silent, signal.SIGCONT)
    aged.release(lease)


async def test_who_leaves_while_its_connection_is_asked_leaks_nothing(
    server15: Cluster, aged: Pools, clock: Clock, census: Census
) -> None:
    grant = grant_of(server15)
    aged.release(await aged.wait_lease(grant))
    clock.now = 100.0
    leaving = asyncio.ensure_future(aged.wait_lease(grant))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert aged.statistics().leased == 0
    await census.agrees(aged)
    aged.release(await aged.wait_lease(grant))


async def test_a_reserve_serves_who_waited_long_and_is_closed_again(server15: Cluster, pools: Pools) -> None:
    grant = grant_of(server15, server_connections=1, reserve_pool_size=1, reserve_pool_timeout=0.02)
    first = await pools.wait_lease(grant)
    second = await pools.wait_lease(grant)  # the server has two connections now
    with pytest.raises(TooManyConnections):
        await pools.wait_lease(replace(grant, limits=replace(grant.limits, query_wait_timeout=0.1)))
    pools.release(second)
    assert second.connection.closing
    pools.release(first)
    assert not first.connection.closing


async def test_a_ceiling_moves_while_everything_runs_and_holds(server15: Cluster, census: Census) -> None:
    pools = Pools(6)

    async def client(tenant: str) -> None:
        for _ in range(20):
            lease = await pools.wait_lease(grant_of(server15, tenant))
            await Talk(lease)("SELECT 1")
            pools.release(lease)

    async def move() -> None:
        for ceiling in (3, 1, 5, 2, 4, 2):
            await asyncio.sleep(0.02)
            before = pools.statistics().connections
            pools.set_ceiling(ceiling)
            assert pools.statistics().connections <= max(before, ceiling)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(move())
        for number in range(12):
            group.create_task(client(f"tenant{number % 4}"))
    await census.until(lambda: pools.statistics().connections, pools)
    assert pools.statistics().connections <= 2
    assert pools.statistics().ceiling == 2
    await pools.close(1.0)


async def test_a_servers_own_ceiling_holds_beside_the_ceiling_of_all(server15: Cluster, pools: Pools) -> None:
    grants = [grant_of(server15, f"t{number}", max_server_connections=2) for number in range(4)]
    leases = [await pools.wait_lease(grant) for grant in grants[:2]]
    waiting = asyncio.ensure_future(pools.wait_lease(grants[2]))
    socket = replace(grants[3].server, host=str(server15.socket_directory))
    elsewhere = await pools.wait_lease(replace(grants[3], server=socket, max_server_connections=None))
    assert not waiting.done()
    pools.release(leases[0])
    lease = await waiting
    for one in (lease, leases[1], elsewhere):
        pools.release(one)


async def test_demand_is_what_each_tenant_holds_and_could_use(server15: Cluster) -> None:
    pools = Pools(2)
    acme, globex = grant_of(server15, server_connections=3), grant_of(server15, "globex", share=2.0)
    leases = [await pools.wait_lease(acme) for _ in range(2)]
    waiting = [asyncio.ensure_future(pools.wait_lease(one)) for one in (acme, acme, acme, globex)]
    await asyncio.sleep(0)
    assert pools.demand() == {"acme": Demand(2, 5, 1.0), "globex": Demand(0, 1, 2.0)}
    told = {one.tenant: one.ceiling for one in pools.statistics().tenants}
    assert told == {"acme": 1, "globex": 1}
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for lease in leases:
        pools.release(lease)
    await pools.close(1.0)


async def test_waits_and_server_time_are_counted_by_tenant(server15: Cluster, aged: Pools, clock: Clock) -> None:
    grant = grant_of(server15, server_connections=1)
    lease = await aged.wait_lease(grant)
    waiting = asyncio.ensure_future(aged.wait_lease(grant))
    await asyncio.sleep(0)
    clock.now = 3.0
    aged.release(lease)
    again = await waiting
    clock.now = 5.0
    aged.release(again)
    (told,) = aged.statistics().tenants
    assert (told.tenant, told.server_seconds, told.wait_seconds, told.waits) == ("acme", 5.0, 3.0, 2)
