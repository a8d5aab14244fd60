"""What time does to connections: old and idle ones go, kept ones come, lent ones are left alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.auth.scram import SaltedPasswords
from proxy.pool.connection import ServerConnection
from proxy.pool.pools import Pools
from proxy.pool.upkeep import Lifetimes
from proxy.tenancy.policy import Grant, Limits
from tests.pool.scripted import Wire, grant_at, wired


class House:
    """Pools whose servers answer at once and whose time is invented."""

    def __init__(self, lifetimes: Lifetimes, ceiling: int = 9) -> None:
        self.now = 0.0
        self.made: list[tuple[ServerConnection, Wire]] = []
        self.refusing = False
        self.pools = Pools(ceiling, lambda: self.now, lifetimes=lifetimes, connector=self._connect)

    async def _connect(self, grant: Grant, passwords: SaltedPasswords) -> ServerConnection:
        if self.refusing:
            raise ConnectionRefusedError
        connection, wire = wired()
        connection.server = grant.server
        self.made.append((connection, wire))
        return connection

    @property
    def open(self) -> list[ServerConnection]:
        """Those that nobody closed."""
        return [connection for connection, wire in self.made if not wire.is_closing()]

    def lose(self) -> None:
        """The sockets of those that were closed are gone."""
        for connection, wire in self.made:
            if wire.is_closing():
                connection.connection_lost(None)

    async def end(self) -> None:
        """The pools are closed, and the sockets with them."""
        self.lose()
        for connection, wire in self.made:
            wire.on_close = connection.connection_lost
        await self.pools.close(0.0)

    async def at(self, now: float) -> int:
        """The round of that time; how many it closed."""
        self.now = now
        closed = self.pools.reap()
        self.lose()
        for _ in range(5):
            await asyncio.sleep(0)
        return closed


def grant(**limits: float) -> Grant:
    return replace(grant_at(1), limits=Limits(**limits))  # type: ignore[arg-type]  # tests name real fields


async def test_an_idle_connection_is_closed_in_time_and_one_that_is_used_is_not() -> None:
    house = House(Lifetimes(server_idle_timeout=60.0))
    one, two = await house.pools.wait_lease(grant()), await house.pools.wait_lease(grant())
    house.pools.release(one)
    assert await house.at(59.0) == 0
    assert await house.at(60.0) == 1
    assert house.open == [two.connection]
    house.pools.release(two)
    await house.end()


async def test_a_connection_whose_time_is_over_goes_at_once_when_idle_and_when_it_comes_back_when_lent() -> None:
    house = House(Lifetimes(server_lifetime=1000.0, server_idle_timeout=1e9))
    one, two = await house.pools.wait_lease(grant()), await house.pools.wait_lease(grant())
    for lease in (one, two):
        assert 900.0 <= lease.connection.retires <= 1000.0
    house.pools.release(one)
    assert await house.at(899.0) == 0
    assert await house.at(1001.0) == 1
    assert house.open == [two.connection]
    house.pools.release(two)
    assert house.open == []
    house.lose()
    await house.end()


async def test_the_lifetimes_of_connections_that_were_made_together_are_spread() -> None:
    house = House(Lifetimes(server_lifetime=1000.0), ceiling=50)
    leases = [await house.pools.wait_lease(grant(server_connections=50)) for _ in range(50)]
    assert len({lease.connection.retires for lease in leases}) > 40
    for lease in leases:
        house.pools.release(lease, destroy=True)
    house.lose()
    await house.end()


async def test_what_is_kept_is_opened_stays_and_comes_again_until_nobody_used_the_pool_for_long() -> None:
    house = House(Lifetimes(server_idle_timeout=60.0, pool_idle_timeout=500.0, server_lifetime=1e9))
    kept = grant(min_pool_size=2)
    house.pools.release(await house.pools.wait_lease(kept))
    await house.at(1.0)
    assert len(house.open) == 2
    assert await house.at(100.0) == 0
    for connection in house.open:  # the server restarts
        connection.connection_lost(None)
    await house.at(101.0)
    assert len([one for one in house.open if one.lost is None]) == 2
    lease = await house.pools.wait_lease(replace(kept))
    await house.at(499.0)
    house.pools.release(lease)
    assert await house.at(998.0) == 0
    assert await house.at(999.0) == 2
    await house.at(1000.0)
    assert [one for one in house.open if one.lost is None] == []
    assert house.pools.statistics().shares == ()
    await house.end()


async def test_what_is_kept_stays_above_the_idle_timeout_and_the_rest_goes() -> None:
    house = House(Lifetimes(server_idle_timeout=60.0))
    leases = [await house.pools.wait_lease(grant(min_pool_size=1)) for _ in range(3)]
    for lease in leases:
        house.pools.release(lease)
    assert await house.at(61.0) == 2
    assert len(house.open) == 1
    await house.end()


async def test_at_a_place_that_a_tenant_has_left_nothing_is_kept() -> None:
    house = House(Lifetimes(server_idle_timeout=1e9))
    kept = grant(min_pool_size=1)
    away = replace(kept, server=replace(kept.server, database="elsewhere"))
    for one in (kept, away):
        house.pools.release(await house.pools.wait_lease(one))
    assert await house.at(1.0) == 0
    house.pools.follow([away])
    await house.at(2.0)
    assert [connection.server for connection in house.open] == [away.server]
    house.pools.follow([kept])
    await house.at(3.0)
    assert house.open == []
    assert house.pools.statistics().shares == ()
    await house.end()


async def test_what_a_tenant_uses_elsewhere_keeps_nothing_here() -> None:
    house = House(Lifetimes(pool_idle_timeout=500.0, server_check_delay=1e9))
    kept = grant(min_pool_size=1)
    away = replace(kept, server=replace(kept.server, database="elsewhere"), limits=Limits())
    house.pools.release(await house.pools.wait_lease(kept))
    for now in range(0, 500, 50):
        lease = await house.pools.wait_lease(away)
        house.now += 1.0
        house.pools.release(lease)
        await house.at(float(now + 50))
    await house.at(501.0)
    assert [connection.server for connection in house.open] == [away.server]
    await house.end()


async def test_rules_that_keep_nothing_any_more_let_it_go() -> None:
    house = House(Lifetimes(server_idle_timeout=60.0))
    house.pools.release(await house.pools.wait_lease(grant(min_pool_size=1)))
    await house.at(30.0)
    house.pools.release(await house.pools.wait_lease(grant()))
    assert await house.at(100.0) == 1
    await house.at(101.0)
    assert [one for one in house.open if one.lost is None] == []
    await house.end()


async def test_what_is_idle_stays_for_its_time_where_the_rules_keep_nothing_any_more() -> None:
    house = House(Lifetimes(server_idle_timeout=60.0))
    kept = grant(min_pool_size=1)
    house.pools.release(await house.pools.wait_lease(kept))
    house.pools.follow([replace(kept, limits=Limits())])
    assert await house.at(30.0) == 0
    assert await house.at(61.0) == 1
    await house.at(62.0)
    assert [one for one in house.open if one.lost is None] == []
    await house.end()


async def test_a_server_that_is_away_is_not_asked_for_kept_ones_in_every_round() -> None:
    house = House(Lifetimes())
    house.pools.release(await house.pools.wait_lease(grant(min_pool_size=3)))
    house.refusing = True
    for second in range(1, 4):
        await house.at(float(second))
    assert house.pools.statistics().counters.failures == 2  # those of the first round, which were under way together
    await house.end()


async def test_the_rounds_begin_with_the_first_lease_and_end_with_the_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.pool.upkeep.INTERVAL", 0.001)
    house = House(Lifetimes(server_idle_timeout=60.0))
    house.pools.release(await house.pools.wait_lease(grant()))
    house.now = 61.0
    async with asyncio.timeout(20):
        while house.open:  # noqa: ASYNC110 - it is the sleep of the rounds that is waited for
            await asyncio.sleep(0.001)
    house.lose()
    await house.end()
    assert all(task.get_name() != "upkeep" for task in asyncio.all_tasks())


async def test_of_a_tenant_that_no_rules_name_nothing_is_kept_and_nothing_left() -> None:
    house = House(Lifetimes())
    kept = grant(min_pool_size=1)
    other = replace(kept, tenant="globex")
    lease = await house.pools.wait_lease(kept)
    house.pools.release(await house.pools.wait_lease(other))
    assert not house.pools.forget(kept.tenant)  # it is lent
    house.pools.release(lease)
    assert not house.pools.forget(kept.tenant)  # it is being closed
    house.lose()
    assert house.pools.forget(kept.tenant)
    assert house.pools.forget("nobody")
    await house.at(1.0)
    assert [one.tenant for one in house.pools.statistics().tenants] == ["globex"]
    assert house.pools.tenants() == {"globex"}
    assert [connection.server for connection in house.open] == [other.server]
    await house.end()
