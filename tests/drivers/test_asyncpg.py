"""asyncpg as two tenants: a pool that resets at every release, enum columns that are introspected, prepared
statements.
"""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy


async def test_pools_of_two_tenants_with_enum_columns_see_their_own_rows(shared_server: Cluster, proxy: Proxy) -> None:
    async def look(login: str, tenant: int) -> None:
        private = await asyncpg.connect(shared_server.dsn("app", f"private{tenant}"))
        async with asyncpg.create_pool(proxy.dsn(login), min_size=1, max_size=4) as pool:

            async def once(number: int) -> None:
                async with pool.acquire() as connection, connection.transaction():
                    rows = await connection.fetch(
                        "SELECT id, status FROM orders WHERE status <> $1 ORDER BY id", "paid"
                    )
                    assert rows == expected, number

            expected = await private.fetch("SELECT id, status FROM orders WHERE status <> $1 ORDER BY id", "paid")
            await asyncio.gather(*(once(number) for number in range(20)))
            assert await pool.fetchval("SELECT array_agg(DISTINCT status) FROM orders") == await private.fetchval(
                "SELECT array_agg(DISTINCT status) FROM orders"
            )
        await private.close()

    await asyncio.gather(look("acme_app", 1), look("globex_app", 2))


async def test_prepared_statements_follow_the_session(proxy: Proxy) -> None:
    connections = [await asyncpg.connect(proxy.dsn(login)) for login in ("acme_app", "globex_app")]
    try:
        prepared = [await one.prepare("SELECT tenant_id FROM orders WHERE id = $1") for one in connections]
        own = [await one.fetchval("SELECT min(id) FROM orders") for one in connections]
        for _ in range(5):
            assert [await one.fetchval(key) for one, key in zip(prepared, own, strict=True)] == [1, 2]
        with pytest.raises(asyncpg.UndefinedTableError):
            await connections[0].prepare("SELECT * FROM leaky_stats")
        assert await prepared[0].fetchval(own[0]) == 1
    finally:
        for one in connections:
            await one.close()


async def test_a_cancelled_statement_ends_and_the_connection_goes_on(proxy: Proxy) -> None:
    connection = await asyncpg.connect(proxy.dsn("acme_app"))
    try:
        with pytest.raises(TimeoutError):
            await connection.fetch("SELECT pg_sleep(30)", timeout=0.3)
        assert await connection.fetchval("SELECT min(tenant_id) FROM orders") == 1
    finally:
        await connection.close()


async def test_a_listener_hears_its_own_tenant_and_knows_itself(proxy: Proxy) -> None:
    listener, other, foreign = [
        await asyncpg.connect(proxy.dsn(login)) for login in ("acme_app", "acme_app", "globex_app")
    ]
    heard: asyncio.Queue[tuple[int, str, object]] = asyncio.Queue()
    try:

        def hear(_: object, process: int, channel: str, payload: object) -> None:
            heard.put_nowait((process, channel, payload))

        await listener.add_listener("Jobs", hear)
        await foreign.execute("NOTIFY \"Jobs\", 'another tenant'")
        await other.fetch("SELECT pg_notify($1, $2)", "Jobs", "from a colleague")
        await listener.execute("SELECT pg_notify('Jobs', 'from myself')")
        told = [await asyncio.wait_for(heard.get(), 20) for _ in range(2)]
        assert told == [
            (other.get_server_pid(), "Jobs", "from a colleague"),
            (listener.get_server_pid(), "Jobs", "from myself"),
        ]
        assert await listener.fetchval("SELECT * FROM pg_listening_channels()") == "Jobs"
        await listener.remove_listener("Jobs", hear)
        assert await listener.fetch("SELECT * FROM pg_listening_channels()") == []
        assert heard.empty()
    finally:
        for one in (listener, other, foreign):
            await one.close()
