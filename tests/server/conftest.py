"""A listener in this process before a real PostgreSQL, around a planner without policy, and clients in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import pytest

from proxy.pool.pools import Pools
from proxy.server.listener import Listener
from proxy.server.services import Options
from proxy.server.tls import ServerTls
from proxy.tenancy.policy import Grant, Limits, Server
from tests.kit.builders import PASSWORD, ForwardingPlanner, OneTenant, Recorder, grant, services
from tests.kit.postgres import Cluster
from tests.kit.rawclient import Exchange, RawClient
from tests.kit.sample import load_sample

DATABASE = "doors"


@dataclass
class House:
    """A running listener and what it was made of."""

    listener: Listener
    port: int
    pools: Pools
    log: Recorder
    rules: OneTenant
    planner: ForwardingPlanner

    async def connect(self, user: str = "alice", password: str = PASSWORD, **parameters: str) -> RawClient:
        """A client that has logged in; ConnectionError or what RawClient raises when it is refused."""
        return await asyncio.to_thread(RawClient, "127.0.0.1", self.port, user, "test", password, **parameters)

    async def ask(self, client: RawClient, text: str) -> Exchange:
        """A simple query."""
        return await asyncio.to_thread(client.simple, text)


async def until(true: Callable[[], bool]) -> None:
    """Waits for something that has no event of its own, at most twenty seconds."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 no event exists
            await asyncio.sleep(0.002)


@pytest.fixture(scope="session")
def doors(postgres15: Cluster) -> Cluster:
    """A cluster with a database of these tests' own."""
    cluster = load_sample(postgres15)
    if DATABASE not in cluster.databases():
        cluster.create_database(DATABASE, "template_shared")
    return cluster


@pytest.fixture
async def houses(doors: Cluster) -> AsyncIterator[Callable[..., asyncio.Task[House]]]:
    """Builds listeners: houses(limits=…, options=…), awaited; all are closed at the end."""
    built: list[House] = []

    async def build(
        limits: Limits | None = None,
        options: Options | None = None,
        tls: ServerTls | None = None,
        users: tuple[str, ...] = ("alice",),
    ) -> House:
        # Nobody is helped by a round of the sweeper but who asks for one: what is told here is told at once.
        options = options or Options(sweep_interval=3600.0)
        granted: Grant = replace(grant(doors.port, limits), server=Server(doors.host, doors.port, DATABASE, "app"))
        rules, planner, log, pools = OneTenant(granted, users), ForwardingPlanner(), Recorder(), Pools(10)
        listener = Listener(services(rules, pools, planner, log, options, tls=tls))
        house = House(listener, await listener.start("127.0.0.1", 0), pools, log, rules, planner)
        built.append(house)
        return house

    yield lambda **how: asyncio.ensure_future(build(**how))
    for house in built:
        await house.listener.close()
        await house.pools.close()
        assert house.log.errors == []


@pytest.fixture
async def house(houses: Callable[..., asyncio.Task[House]]) -> House:
    """One with the usual limits."""
    return await houses()
