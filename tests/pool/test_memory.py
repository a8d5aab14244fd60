"""A tenant's pool that nothing uses costs at most 2 kB, with an idle connection (itself not counted) or without."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from proxy.auth.scram import SaltedPasswords
from proxy.pool.connection import ServerConnection
from proxy.pool.pools import Pools
from proxy.tenancy.policy import Grant
from tests.pool.scripted import Wire, grant_at, wired

TENANTS = 500
MOST = 2048  # bytes


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def used_once(ceiling: int) -> tuple[Pools, list[tuple[ServerConnection, Wire]], int]:
    """Pools in which every tenant had a lease, the connections, and what the pools have grown by without these."""
    made = [wired() for _ in range(TENANTS)]
    left = iter(made)

    async def connect(grant: Grant, passwords: SaltedPasswords) -> ServerConnection:
        connection = next(left)[0]
        connection.server = grant.server
        return connection

    pools = Pools(ceiling, connector=connect)
    one = grant_at(1)
    grants = [replace(one, tenant=f"tenant{number}") for number in range(TENANTS)]  # of the rules, not of the pools
    watches = 0
    before = held()
    for grant in grants:
        lease = await pools.wait_lease(grant)
        pools.release(lease)
        if ceiling == 1:  # the next one needs the place
            connection, wire = made[watches]
            lease.connection.abort()
            assert wire.aborted
            connection.connection_lost(None)
            watches += 1
    pools.reap()
    return pools, made, held() - before


@pytest.mark.usefixtures("traced")
async def test_a_pool_with_one_idle_connection_costs_no_more_than_2_kb() -> None:
    pools, made, grown = await used_once(TENANTS)
    assert pools.statistics().idle == TENANTS
    assert grown / TENANTS <= MOST
    for connection, _ in made:
        connection.connection_lost(None)
    await pools.close(0.0)


@pytest.mark.usefixtures("traced")
async def test_of_a_pool_that_was_used_and_is_empty_less_is_left_than_2_kb() -> None:
    pools, _, grown = await used_once(1)
    assert pools.statistics().shares == ()
    assert grown / TENANTS <= MOST
    assert len(pools.statistics().tenants) == TENANTS  # what it used is still known
    await pools.close(0.0)
