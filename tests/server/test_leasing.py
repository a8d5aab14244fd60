"""Who waits for a server connection is told once that it waits, over a socket, and then served or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from proxy.errors import CannotConnectNow
from proxy.server.services import Planning
from proxy.session.conversation import Phase
from proxy.tenancy.policy import Grant, Limits
from tests.kit.builders import PASSWORD
from tests.server.conftest import House, until
from tests.server.test_following import changed

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


async def test_who_logs_in_while_its_place_goes_is_told_so_and_does_not_ask_for_ever(houses: Houses) -> None:
    """It waits for a connection to learn the server's parameters, at a place that serves it no more."""
    house = await houses(limits=Limits(server_connections=1))
    first = await house.connect()
    await house.ask(first, "BEGIN")
    second = asyncio.ensure_future(house.connect(work_mem="5MB"))
    await until(lambda: house.pools.statistics().waiting == 1)
    (port,) = (one for one in house.listener.clients if one.session.phase is Phase.LEARN)
    tried: list[Grant] = []

    def planning(grant: Grant) -> Planning:
        raise CannotConnectNow("the database system is starting up")

    async def wait(grant: Grant) -> None:
        tried.append(grant)
        planning(grant)

    port.services = replace(port.services, planning=planning, wait_planning=wait)
    changed(house, port)
    await house.ask(first, "COMMIT")
    told = await second
    assert ([one["C"] for one in told.greeting.errors], len(tried)) == (["57P01"], 1)
    told.close()
    first.close()
