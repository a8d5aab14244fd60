"""What is held back is lent to nobody until it is lifted; who waits goes on waiting, and nobody else feels it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.errors import AdminShutdown
from proxy.pool.holds import Moved, Selection
from proxy.pool.pools import Pools
from tests.kit.postgres import Cluster
from tests.pool.conftest import Census, Talk, grant_of

ACME = Selection("acme")


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nothing_of_a_held_tenant_is_lent_and_its_idle_connections_are_closed(
    server15: Cluster, pools: Pools, census: Census
) -> None:
    acme, other = grant_of(server15), grant_of(server15, "other")
    for grant in (acme, other):
        pools.release(await pools.wait_lease(grant))
    pools.hold(ACME)
    assert pools.lease_nowait(acme) is None
    lease = pools.lease_nowait(other)
    assert lease is not None
    pools.release(lease)
    assert pools.busy(ACME) == []
    await census.until(lambda: 1, pools)
    assert pools.holds.lift(ACME)
    pools.release(await pools.wait_lease(acme))


async def test_who_waits_while_its_tenant_is_held_goes_on_in_order_and_its_time_does_not_run(
    server15: Cluster, pools: Pools
) -> None:
    grant = grant_of(server15, server_connections=1, query_wait_timeout=0.2)
    first = await pools.wait_lease(grant)
    came: list[int] = []

    async def wait(number: int) -> None:
        lease = await pools.wait_lease(grant)
        came.append(number)
        pools.release(lease)

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await turns()
    assert pools.statistics().waiting == 3
    pools.hold(ACME)
    await turns()
    assert pools.statistics().waiting == 0
    assert pools.holds.waiting("acme") == 3
    assert pools.busy(ACME) == [first.connection]
    pools.release(first)
    assert pools.busy(ACME) == []
    loop = asyncio.get_running_loop()
    late = loop.time() + 0.5  # longer than any of them would wait in line
    await asyncio.wait(waiting, timeout=late - loop.time())
    assert came == []
    pools.holds.lift(ACME)
    async with asyncio.timeout(20):
        await asyncio.gather(*waiting)
    assert came == [0, 1, 2]


async def test_a_connection_that_was_lent_in_the_turn_of_the_hold_is_not_used(server15: Cluster, pools: Pools) -> None:
    grant = grant_of(server15, server_connections=1)
    first = await pools.wait_lease(grant)
    waiting = asyncio.create_task(pools.wait_lease(grant))
    await turns()
    pools.release(first)  # lends to who waits, who has not run yet
    pools.hold(ACME)
    assert len(pools.busy(ACME)) == 1
    await turns()
    assert pools.busy(ACME) == []
    assert not waiting.done()
    pools.holds.lift(ACME)
    pools.release(await waiting)


async def test_a_cancelled_statement_keeps_its_tenant_busy_until_the_servers_process_has_ended(
    server15: Cluster, pools: Pools, census: Census
) -> None:
    lease = await pools.wait_lease(grant_of(server15))
    talk = Talk(lease)
    await talk(
        "CREATE FUNCTION pg_temp.stubborn() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600);"
        " EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(0.3); END $$"
    )
    talk.send("SELECT pg_temp.stubborn()")
    async with asyncio.timeout(20):
        while not await census.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.01)
    pools.hold(ACME)
    process = lease.connection.state.process_id
    pools.release(lease, destroy=True, cancel=True)
    async with asyncio.timeout(20):
        while pools.busy(ACME):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
    assert await census.fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {process}") == 0


async def test_a_hold_ends_by_itself_at_its_time_and_one_that_is_lifted_does_not_end_another(
    server15: Cluster, pools: Pools
) -> None:
    grant = grant_of(server15)
    pools.hold(ACME, 0.05)
    assert not pools.holds.lift(Selection())
    assert not pools.holds.lift(Selection("acme", "shared"))
    async with asyncio.timeout(20):
        pools.release(await pools.wait_lease(grant))
    assert pools.holds.left() == {}
    pools.hold(ACME, 0.05)
    pools.holds.lift(ACME)
    pools.hold(ACME)
    waiting = asyncio.create_task(pools.wait_lease(grant))
    await asyncio.wait({waiting}, timeout=0.2)  # the first hold's time is over
    assert not waiting.done()
    assert list(pools.holds.left().values()) == [None]
    pools.holds.lift(ACME)
    pools.release(await waiting)


@pytest.mark.parametrize(
    ("selection", "held"),
    [
        (Selection(), {("acme", "shared"), ("acme", "other"), ("globex", "shared")}),
        (Selection("acme"), {("acme", "shared"), ("acme", "other")}),
        (Selection(None, "shared"), {("acme", "shared"), ("globex", "shared")}),
        (Selection("acme", "shared"), {("acme", "shared")}),
        (Selection("nobody"), set()),
    ],
)
async def test_a_hold_is_of_just_what_it_names(
    server15: Cluster, pools: Pools, selection: Selection, held: set[tuple[str, str]]
) -> None:
    grants = [
        replace(grant_of(server15, tenant), database=database)
        for tenant, database in (("acme", "shared"), ("acme", "other"), ("globex", "shared"))
    ]
    pools.hold(selection)
    assert {(one.tenant, one.database) for one in grants if pools.holds.bars(one)} == held


async def test_who_stops_waiting_for_the_end_of_a_hold_leaves_nothing(server15: Cluster, pools: Pools) -> None:
    pools.hold(ACME)
    waiting = asyncio.create_task(pools.wait_lease(grant_of(server15)))
    await turns()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert pools.holds.waiting() == 0
    pools.holds.lift(ACME)
    assert pools.statistics().connections == 0


async def test_pools_that_close_tell_those_who_wait_for_the_end_of_a_hold(server15: Cluster) -> None:
    pools = Pools(1)
    pools.hold(ACME)
    waiting = asyncio.create_task(pools.wait_lease(grant_of(server15)))
    await turns()
    await pools.close(1.0)
    with pytest.raises(AdminShutdown):
        await waiting


async def test_who_was_held_or_waits_in_line_gets_nothing_at_a_place_that_is_no_longer_its_own(
    server15: Cluster, pools: Pools
) -> None:
    grant = grant_of(server15, server_connections=1)
    gone: list[bool] = []
    pools.hold(ACME)
    held = asyncio.create_task(pools.wait_lease(grant, lambda _: bool(gone)))
    await turns()
    gone.append(True)
    pools.holds.lift(ACME)
    with pytest.raises(Moved):
        await held
    first = await pools.wait_lease(grant)
    gone.clear()
    waiting = asyncio.create_task(pools.wait_lease(grant, lambda _: bool(gone)))
    await turns()
    gone.append(True)
    pools.release(first)
    with pytest.raises(Moved):
        await waiting
    assert pools.statistics().waiting == 0
    pools.release(await pools.wait_lease(grant))
