"""Who waits for a server connection is told once that it waits, over a socket, and then served or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest

from proxy.tenancy.policy import Limits
from tests.kit.builders import PASSWORD
from tests.server.conftest import House, until

Houses = Callable[..., "asyncio.Task[House]"]


async def connected(house: House, heard: list[str]) -> psycopg.AsyncConnection[tuple[object, ...]]:
    connection = await psycopg.AsyncConnection.connect(
        f"postgresql://alice:{PASSWORD}@127.0.0.1:{house.port}/test?sslmode=disable".replace(" ", "%20"),
        autocommit=True,
    )
    connection.add_notice_handler(lambda told: heard.append(f"{told.severity} {told.message_primary}"))
    return connection


async def test_who_waits_long_is_told_once_and_served_and_who_does_not_is_told_nothing(houses: Houses) -> None:
    house = await houses(limits=Limits(server_connections=1, query_wait_notify=0.02))
    heard: list[str] = []
    first, second = await connected(house, heard), await connected(house, heard)
    await first.execute("BEGIN")
    waiting = asyncio.ensure_future(second.execute("SELECT 42"))
    await until(lambda: house.pools.statistics().waiting == 1)
    before = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() - before > 0.1)  # five times as long as it takes
    await first.execute("COMMIT")
    assert await (await waiting).fetchone() == (42,)
    assert heard == ["NOTICE the statement waits until a server connection is free"]
    assert await (await second.execute("SELECT 1")).fetchone() == (1,)
    assert len(heard) == 1
    await first.close()
    await second.close()


async def test_who_waits_in_vain_is_refused_and_the_session_goes_on(houses: Houses) -> None:
    house = await houses(limits=Limits(server_connections=1, query_wait_timeout=0.05, query_wait_notify=None))
    heard: list[str] = []
    first, second = await connected(house, heard), await connected(house, heard)
    await first.execute("BEGIN")
    with pytest.raises(psycopg.errors.TooManyConnections) as refused:
        await second.execute("SELECT 1")
    assert refused.value.sqlstate == "53300"
    await first.execute("COMMIT")
    assert await (await second.execute("SELECT 1")).fetchone() == (1,)
    assert heard == []
    await first.close()
    await second.close()
