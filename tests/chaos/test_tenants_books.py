"""Tenants that share a ceiling, while their connections are killed: each tenant's books hold what the server holds."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import replace

import psycopg

from proxy.errors import Refusal
from proxy.pool.lease import Lease
from proxy.pool.pools import Pools
from proxy.tenancy.policy import Grant, Limits, Server
from tests.kit.builders import grant
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample, pristine
from tests.server.conftest import until

TENANTS = ("acme", "globex", "initech")
CEILING = 6
TURNS = 100


def alive(dsn: str) -> set[int]:
    """The processes that serve the proxy's role there."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND datname = current_database()"
        )
        return {int(row[0]) for row in rows.fetchall()}


def kill(dsn: str, dice: random.Random) -> None:
    """One of them, or all."""
    found = sorted(alive(dsn))
    with psycopg.connect(dsn, autocommit=True) as connection:
        for process in found if dice.random() < 0.2 else dice.sample(found, min(1, len(found))):
            connection.execute("SELECT pg_terminate_backend(%s)", [process])


async def use(pools: Pools, granted: Grant, dice: random.Random, dsn: str) -> None:
    """A session of the tenant's: leases, perhaps sees a kill or leaves dirt behind, releases."""
    try:
        lease: Lease = await pools.wait_lease(granted)
    except Refusal:
        return
    if dice.random() < 0.2:
        await asyncio.to_thread(kill, dsn, dice)
    if dice.random() < 0.2:
        lease.connection.state.pins.add("test")
    pools.release(lease, destroy=dice.random() < 0.2)


async def test_after_any_kills_each_tenant_holds_what_the_server_says_it_holds(
    postgres15: Cluster, effort: int
) -> None:
    cluster = load_sample(postgres15)
    with pristine(cluster) as database:
        dsn = cluster.dsn(database=database)
        server = Server(cluster.host, cluster.port, database, "app")
        limits = Limits(server_connections=3, query_wait_timeout=5.0)
        grants = [replace(grant(cluster.port, limits, tenant=tenant), server=server) for tenant in TENANTS]
        pools = Pools(CEILING)
        for seed in range(TURNS * effort // 10):
            dice = random.Random(seed)
            work = [use(pools, dice.choice(grants), dice, dsn) for _ in range(10)]
            with suppress(Refusal):
                await asyncio.gather(*work)

        def held() -> dict[str, set[int]]:
            shares = pools._ledger.shares.values()
            return {share.tenant: {one.state.process_id for one in (*share.idle, *share.leased)} for share in shares}

        def agreed() -> bool:
            every = [process for ids in held().values() for process in ids]
            return len(every) == len(set(every)) and set(every) == alive(dsn)

        await until(lambda: not pools.statistics().leased)
        await until(agreed)
        told = {share.tenant: share.idle + share.leased for share in pools.statistics().shares}
        assert told == {tenant: len(ids) for tenant, ids in held().items()}
        await pools.close(1.0)
        await until(lambda: not alive(dsn))
