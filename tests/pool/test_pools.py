"""Leases on a real server: ceilings, waiting lines, changes of tenant, losses and cancellations leak nothing."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import AdminShutdown, ConnectionFailure, TooManyConnections
from proxy.pool.lease import Lease
from proxy.pool.pools import Pools
from proxy.pool.upkeep import Lifetimes
from proxy.tenancy.policy import Grant, Server
from tests.kit.postgres import Cluster
from tests.pool.conftest import DATABASE, Census, Talk, grant_of


async def test_a_released_connection_is_lent_again_without_waiting(
    server15: Cluster, pools: Pools, census: Census
) -> None:
    grant = grant_of(server15)
    assert pools.lease_nowait(grant) is None
    lease = await pools.wait_lease(grant)
    assert await Talk(lease)("SELECT 41 + 1") == [(b"42",)]
    pools.release(lease)
    again = pools.lease_nowait(grant)
    assert again is not None
    assert again.connection is lease.connection
    pools.release(again)
    await census.agrees(pools)
    assert pools.statistics().counters.opened == 1


async def test_what_a_grant_was_lent_before_is_found_again_and_never_what_is_gone_or_anothers(
    server15: Cluster, pools: Pools, census: Census
) -> None:
    grant, other = grant_of(server15), grant_of(server15, "other")
    for _ in range(2):  # the share is forgotten with its last connection, and made anew
        lease = await pools.wait_lease(grant)
        pools.release(lease)
        assert pools.lease_nowait(other) is None
        again = pools.lease_nowait(grant)
        assert again is not None
        assert again.connection is lease.connection
        pools.release(again, destroy=True)
        assert pools.lease_nowait(grant) is None
        await census.agrees(pools)


async def test_one_tenant_by_one_role_has_no_connection_in_common_in_two_modes(
    server15: Cluster, pools: Pools, census: Census
) -> None:
    """They begin with other search paths, and nothing that is left on one was made for the other."""
    grant = grant_of(server15)
    found = {}
    for mode in ("database", "row", "rls"):
        one = replace(grant, policy=replace(grant.policy, isolation=mode))
        assert pools.lease_nowait(one) is None
        lease = await pools.wait_lease(one)
        (path,) = await Talk(lease)("SHOW search_path")
        found[mode] = (lease.connection, path)
        pools.release(lease)
    assert len({connection for connection, _ in found.values()}) == 3
    assert [path for _, path in found.values()] == [(b'"$user", public',), (b"public",), (b"public",)]
    await census.agrees(pools)


async def test_a_lease_ends_once(server15: Cluster, pools: Pools) -> None:
    lease = await pools.wait_lease(grant_of(server15))
    pools.release(lease)
    with pytest.raises(RuntimeError):
        pools.release(lease)


async def test_a_tenants_limit_holds_and_its_line_times_out_with_53300(server15: Cluster, pools: Pools) -> None:
    grant = grant_of(server15, server_connections=2, query_wait_timeout=0.05)
    leases = [await pools.wait_lease(grant_of(server15, server_connections=2)) for _ in range(2)]
    with pytest.raises(TooManyConnections) as refused:
        await pools.wait_lease(grant)
    assert refused.value.sqlstate == "53300"
    assert (pools.statistics().waiting, pools.statistics().counters.timeouts) == (0, 1)
    waiting = asyncio.ensure_future(pools.wait_lease(grant_of(server15, server_connections=2)))
    await asyncio.sleep(0)
    pools.release(leases[0])
    lease = await waiting
    assert lease.connection is leases[0].connection
    for one in (lease, leases[1]):
        pools.release(one)


async def test_the_global_ceiling_holds_over_tenants_and_everybody_is_served(server15: Cluster, census: Census) -> None:
    pools = Pools(3)
    highest = 0

    async def client(tenant: str, seed: int) -> None:
        nonlocal highest
        dice = random.Random(seed)
        for _ in range(6):
            lease = await pools.wait_lease(grant_of(server15, tenant))
            talk = Talk(lease)
            assert await talk(f"SELECT '{tenant}', pg_sleep({dice.random() / 500})")
            highest = max(highest, pools.statistics().connections)
            pools.release(lease, destroy=dice.random() < 0.1)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(15):
            group.create_task(client(f"tenant{number % 5}", number))
    assert highest == 3
    assert pools.statistics().counters.resets > 0
    await census.agrees(pools)
    await pools.close(1.0)
    await census.until(lambda: 0, pools)


async def test_a_change_of_tenant_takes_everything_of_the_first_away(server15: Cluster, census: Census) -> None:
    pools = Pools(1)
    lease = await pools.wait_lease(grant_of(server15, "acme"))
    talk, first = Talk(lease), lease.connection
    for sql in (
        "CREATE TEMP TABLE mine AS SELECT 'acme-secret' AS x",
        "PREPARE p AS SELECT 'acme-secret'",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 'acme-secret'",
        "SET my.own = 'acme-secret'",
        "SET search_path = pg_catalog",
        "SET work_mem = '1MB'",
        "LISTEN gossip",
        "SELECT pg_advisory_lock(42)",
        "SELECT nextval('public.invoice_no_seq')",
    ):
        await talk(sql)
        assert talk.errors == []
    pools.release(lease)
    lease = await pools.wait_lease(grant_of(server15, "globex"))
    assert lease.connection is first
    assert pools.statistics().counters.resets == 1
    talk = Talk(lease)
    assert await talk("SELECT count(*) FROM pg_class WHERE oid = to_regclass('pg_temp.mine')") == [(b"0",)]
    assert await talk("SELECT count(*) FROM pg_prepared_statements") == [(b"0",)]
    assert await talk("SELECT count(*) FROM pg_cursors") == [(b"0",)]
    assert await talk("SELECT count(*) FROM pg_listening_channels()") == [(b"0",)]
    assert await talk("SELECT coalesce(current_setting('my.own', true), '')") == [(b"",)]
    assert await talk("SHOW search_path") == [(b"public",)]
    assert await talk("SHOW application_name") == [(b"partywall",)]
    assert await talk("SHOW work_mem") == [(b"4MB",)]
    assert await talk("SELECT lastval()") == []
    assert talk.errors[0]["C"] == "55000"
    assert await census.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    pools.release(lease)
    await pools.close(1.0)


async def test_who_does_not_share_gets_a_new_connection(server15: Cluster, census: Census) -> None:
    pools = Pools(1)
    lease = await pools.wait_lease(grant_of(server15, "acme", pool_sharing="never"))
    first = lease.connection
    pools.release(lease)
    lease = await pools.wait_lease(grant_of(server15, "globex", pool_sharing="never"))
    assert lease.connection is not first
    assert first.lost is not None
    await census.until(lambda: 1, pools)
    pools.release(lease)
    await pools.close(1.0)


async def test_what_is_logged_in_as_one_role_never_serves_another(server15: Cluster, census: Census) -> None:
    """Plans that the server prepared for a role hold what that role may see."""
    pools = Pools(1)
    app = grant_of(server15)
    other = grant_of(server15, server=replace(app.server, role="pool_other"))
    server15.psql(sql="CREATE ROLE pool_other LOGIN")
    try:
        for grant in (app, other, app):
            lease = await pools.wait_lease(grant)
            assert await Talk(lease)("SELECT session_user") == [(grant.server.role.encode(),)]
            pools.release(lease)
        assert pools.statistics().counters.opened == 3
    finally:
        await pools.close(1.0)
        server15.psql(sql="DROP ROLE pool_other")


async def test_a_tenants_settings_are_the_defaults_of_its_connections_only(server15: Cluster) -> None:
    pools = Pools(1)
    acme = grant_of(server15, "acme", settings={"work_mem": "32MB"})
    lease = await pools.wait_lease(acme)
    talk = Talk(lease)
    await talk("SET work_mem = '1MB'")
    await talk("RESET work_mem")
    assert await talk("SHOW work_mem") == [(b"32MB",)]
    pools.release(lease)
    lease = await pools.wait_lease(grant_of(server15, "globex"))
    assert await Talk(lease)("SHOW work_mem") == [(b"4MB",)]
    pools.release(lease)
    await pools.close(1.0)


@pytest.mark.parametrize(
    ("sql", "pin"), [("CREATE TEMP TABLE mine ()", "temp"), ("SELECT pg_advisory_lock(7)", "advisory")]
)
async def test_what_a_session_pinned_is_undone_before_the_next_lease(
    server15: Cluster, pools: Pools, census: Census, sql: str, pin: str
) -> None:
    grant = grant_of(server15, server_connections=1)
    lease = await pools.wait_lease(grant)
    await Talk(lease)(sql)
    lease.connection.state.pins.add(pin)
    pools.release(lease)
    assert pools.lease_nowait(grant) is None
    again = await pools.wait_lease(grant)
    assert again.connection is lease.connection
    assert await Talk(again)("SELECT count(*) FROM pg_class WHERE oid = to_regclass('pg_temp.mine')") == [(b"0",)]
    assert await census.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    pools.release(again)


@pytest.mark.parametrize("how", ["in a transaction", "failed transaction", "tainted", "destroy"])
async def test_what_is_not_idle_and_clean_is_closed(server15: Cluster, pools: Pools, census: Census, how: str) -> None:
    lease = await pools.wait_lease(grant_of(server15))
    talk = Talk(lease)
    if how == "in a transaction":
        await talk("BEGIN")
    elif how == "failed transaction":
        await talk("BEGIN; SELECT 1/0")
    elif how == "tainted":
        lease.connection.state.taint("a test")
    pools.release(lease, destroy=how == "destroy")
    assert pools.lease_nowait(grant_of(server15)) is None
    await census.agrees(pools)
    assert pools.statistics().connections == 0


async def test_unread_replies_end_the_connection(server15: Cluster, pools: Pools, census: Census) -> None:
    lease = await pools.wait_lease(grant_of(server15))
    Talk(lease).send("SELECT pg_sleep(0.05), 'unread'")
    pools.release(lease)  # whoever releases like this is wrong, and nobody else shall read that row
    await census.until(lambda: 0, pools)
    assert pools.statistics().connections == 0


async def test_an_idle_connection_killed_at_the_server_is_noticed(
    server15: Cluster, pools: Pools, census: Census
) -> None:
    grant = grant_of(server15)
    lease = await pools.wait_lease(grant)
    pools.release(lease)
    await census.terminate(lease.connection.state.process_id)
    await census.until(lambda: 0, pools)
    assert pools.lease_nowait(grant) is None
    again = await pools.wait_lease(grant)
    assert await Talk(again)("SELECT 1") == [(b"1",)]
    pools.release(again)


async def test_a_leased_connection_killed_at_the_server_is_told_to_its_receiver(
    server15: Cluster, pools: Pools, census: Census
) -> None:
    lease = await pools.wait_lease(grant_of(server15))
    talk = Talk(lease)
    await census.terminate(lease.connection.state.process_id)
    assert await asyncio.wait_for(talk.lost, 20)
    assert pools.statistics().connections == 0
    pools.release(lease)
    assert pools.statistics().leased == 0


async def test_a_receiver_that_comes_after_the_loss_is_told_too(
    server15: Cluster, pools: Pools, census: Census
) -> None:
    lease = await pools.wait_lease(grant_of(server15))
    first = Talk(lease)
    await census.terminate(lease.connection.state.process_id)
    await asyncio.wait_for(first.lost, 20)
    assert await asyncio.wait_for(Talk(lease).lost, 20)


async def test_what_runs_is_cancelled_before_its_connection_is_closed(
    server15: Cluster, pools: Pools, census: Census
) -> None:
    lease = await pools.wait_lease(grant_of(server15))
    Talk(lease).send("SELECT pg_sleep(600)")
    async with asyncio.timeout(20):
        while not await census.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    pools.release(lease, destroy=True, cancel=True)
    assert pools.statistics().shares[0].cancelling == 1
    await census.until(lambda: 0, pools)


async def test_who_stops_waiting_leaks_nothing(server15: Cluster, census: Census) -> None:
    """Cancelled before anything, while a connection is opened, while one is cleaned, and when it was just lent."""
    pools = Pools(2)
    dice = random.Random(7)

    async def client(tenant: str) -> None:
        lease: Lease = await pools.wait_lease(grant_of(server15, tenant))
        try:
            await asyncio.sleep(0)
        finally:
            pools.release(lease)

    for round_ in range(30):
        tasks = [asyncio.create_task(client(f"tenant{number % 3}")) for number in range(6)]
        for _ in range(dice.randrange(40)):
            await asyncio.sleep(0)
        if round_ % 3 == 0:
            await asyncio.wait(tasks, timeout=dice.random() / 100)
        for task in tasks:
            if dice.random() < 0.7:
                task.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks, return_exceptions=True)
    assert (pools.statistics().leased, pools.statistics().waiting) == (0, 0)
    await census.agrees(pools)
    await pools.close(1.0)
    await census.until(lambda: 0, pools)


async def test_random_kills_leave_both_counts_equal(server15: Cluster, census: Census, effort: int) -> None:
    pools = Pools(4)
    dice = random.Random(11)

    async def client(tenant: str) -> None:
        grant = grant_of(server15, tenant)
        for _ in range(10):
            try:
                lease = pools.lease_nowait(grant) or await pools.wait_lease(grant)
            except ConnectionFailure:
                continue
            talk = Talk(lease)
            work = asyncio.ensure_future(talk("SELECT 1"))
            waited: set[asyncio.Future[Any]] = {work, talk.lost}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
            pools.release(lease, destroy=talk.lost.done())

    async def killer() -> None:
        for _ in range(15 * effort):
            await census.fetchval(
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = 'partywall'"
                f" ORDER BY pid LIMIT 1 OFFSET {dice.randrange(4)}"
            )

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(killer())
        for number in range(8):
            group.create_task(client(f"tenant{number % 3}"))
    assert pools.statistics().leased == 0
    await census.agrees(pools)
    await pools.close(1.0)


def nowhere(cluster: Cluster) -> Grant:
    return grant_of(cluster, server=Server("127.0.0.1", 1, "shared", "app"))


async def test_a_server_that_is_not_there_is_08006_at_once_for_all_who_wait(server15: Cluster, pools: Pools) -> None:
    refusals = await asyncio.gather(*(pools.wait_lease(nowhere(server15)) for _ in range(5)), return_exceptions=True)
    assert [getattr(refusal, "sqlstate", refusal) for refusal in refusals] == ["08006"] * 5
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(nowhere(server15))
    assert pools.statistics().counters.failures == 5  # none for the last: the circuit was open


async def test_the_servers_own_refusal_keeps_its_sqlstate_and_tells_no_names(server15: Cluster, pools: Pools) -> None:
    server15.psql(sql="CREATE DATABASE closed ALLOW_CONNECTIONS false")
    server15.psql(sql="CREATE ROLE narrow LOGIN CONNECTION LIMIT 0")
    try:
        narrow = grant_of(server15, server=Server(server15.host, server15.port, "postgres", "narrow"))
        with pytest.raises(ConnectionFailure) as refused:
            await pools.wait_lease(narrow)
        assert refused.value.sqlstate == "53300"
        assert "narrow" not in refused.value.message
        unknown = grant_of(server15, server=Server(server15.host, server15.port, "postgres", "nobody_here"))
        with pytest.raises(ConnectionFailure) as refused:
            await pools.wait_lease(unknown)
        assert refused.value.sqlstate == "08006"
    finally:
        server15.psql(sql="DROP DATABASE closed")
        server15.psql(sql="DROP ROLE narrow")


async def test_a_superuser_is_never_lent(server15: Cluster, pools: Pools, census: Census) -> None:
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(grant_of(server15, server=Server(server15.host, server15.port, DATABASE, "postgres")))
    await census.agrees(pools)


async def test_idle_connections_are_closed_when_their_time_has_come(server15: Cluster, census: Census) -> None:
    now = [0.0]
    pools = Pools(10, lambda: now[0], lifetimes=Lifetimes(server_idle_timeout=60.0))
    lease = await pools.wait_lease(grant_of(server15))
    pools.release(lease)
    now[0] = 59.0
    assert pools.reap() == 0
    now[0] = 60.0
    assert pools.reap() == 1
    await census.until(lambda: 0, pools)
    await pools.close(1.0)


async def test_closing_waits_for_leases_and_lends_no_more(server15: Cluster, census: Census) -> None:
    pools = Pools(1)
    lease = await pools.wait_lease(grant_of(server15))
    waiting = asyncio.ensure_future(pools.wait_lease(grant_of(server15)))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(pools.close(60.0))
    with pytest.raises(AdminShutdown):
        await waiting
    with pytest.raises(AdminShutdown):
        await pools.wait_lease(grant_of(server15))
    assert await Talk(lease)("SELECT 1") == [(b"1",)]
    pools.release(lease)
    await asyncio.wait_for(closing, 20)
    await census.until(lambda: 0, pools)


async def test_the_unix_socket_serves_as_well(server15: Cluster, pools: Pools) -> None:
    server = Server(str(server15.socket_directory), server15.port, DATABASE, "app")
    lease = await pools.wait_lease(grant_of(server15, server=server))
    assert await Talk(lease)("SELECT inet_client_addr() IS NULL") == [(b"t",)]
    pools.release(lease)
