"""Clients of two listeners that share a store: together they are never more than the limit, and who waits is let in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.errors import CannotConnectNow
from proxy.fleet.rationing import StoreRationing
from proxy.fleet.stores.memory import MemoryStore
from proxy.pool.pools import Pools
from proxy.quota.exchange import Terms
from proxy.quota.gauge import Line
from proxy.server.gate import BURST, Gate
from proxy.server.listener import Listener
from proxy.server.permits import PATIENCE, PermittedClient
from proxy.server.services import Options
from proxy.server.sharing import LOGINS
from proxy.session.actions import AwaitQuota
from proxy.session.conversation import Waiting
from proxy.tenancy.policy import Grant, Limits, Server
from tests.kit.builders import PASSWORD, ForwardingPlanner, OneTenant, Recorder, grant, services
from tests.kit.postgres import Cluster
from tests.kit.rawclient import RawClient
from tests.server.conftest import DATABASE, House, until

TERMS = Terms(permit_ttl=30.0)


@dataclass
class Side:
    """One process: its listener and its share of the limits."""

    listener: Listener
    port: int
    sharing: StoreRationing
    pools: Pools

    async def connect(self) -> RawClient:
        return await asyncio.to_thread(RawClient, "127.0.0.1", self.port, "alice", "test", PASSWORD)


async def side(
    doors: Cluster, store: MemoryStore, name: str, connections: int | None, most: int, own: int | None
) -> Side:
    granted = grant(doors.port, Limits(connections=connections))
    granted = replace(granted, server=Server(doors.host, doors.port, DATABASE, "app"))
    log, pools = Recorder(), Pools(10)
    sharing = StoreRationing(name, store, TERMS, log)
    sharing.start()
    assert await sharing.wait_ready(20.0)
    options = Options(max_client_connections=most)
    made = services(OneTenant(granted, limits=Limits(connections=own)), pools, ForwardingPlanner(), log, options)
    listener = Listener(replace(made, permits=sharing))
    return Side(listener, await listener.start("127.0.0.1", 0), sharing, pools)


class Sides:
    """Two processes."""

    def __init__(self, doors: Cluster) -> None:
        self.doors = doors
        self.all: list[Side] = []

    async def start(self, connections: int | None, most: int = 100, own: int | None = None) -> list[Side]:
        store = MemoryStore(TERMS)
        for name in ("one", "other"):
            self.all.append(await side(self.doors, store, name, connections, most, own))
        return self.all


@pytest.fixture
async def sides(doors: Cluster) -> AsyncIterator[Sides]:
    made = Sides(doors)
    yield made
    for one in made.all:
        await one.listener.close()
        await one.pools.close()
        await one.sharing.close()


async def refused(of: Side) -> str:
    """What the client hears that finds no place."""
    client = await of.connect()
    await asyncio.to_thread(client.close)
    (error,) = client.greeting.errors
    assert error["C"] == "53300"
    return error["M"]


async def test_clients_of_all_processes_together_are_never_more_than_the_tenant_may_have(sides: Sides) -> None:
    one, other = await sides.start(3)
    clients = [await one.connect(), await other.connect(), await one.connect()]
    for side in (one, other):
        assert 'too many connections for role "alice"' in await refused(side)
    await asyncio.to_thread(clients[0].close)
    clients.append(await other.connect())
    for client in clients:
        await asyncio.to_thread(client.close)
    await until(lambda: not one.listener.clients and not other.listener.clients)
    assert [len(side.listener.clients) for side in (one, other)] == [0, 0]


async def test_a_login_may_have_fewer_than_its_tenant_over_all_processes(sides: Sides) -> None:
    one, other = await sides.start(5, own=2)
    clients = [await one.connect(), await other.connect()]
    assert 'too many connections for role "alice"' in await refused(one)
    for client in clients:
        await asyncio.to_thread(client.close)


async def test_clients_of_all_tenants_and_processes_have_a_limit_together(sides: Sides) -> None:
    one, other = await sides.start(None, most=2)
    clients = [await one.connect(), await other.connect()]
    assert "sorry, too many clients already" in await refused(other)
    for client in clients:
        await asyncio.to_thread(client.close)


async def test_a_client_that_waits_is_let_in_when_another_process_has_a_place(sides: Sides) -> None:
    one, other = await sides.start(1)
    first = await one.connect()
    second = asyncio.ensure_future(other.connect())
    await until(lambda: bool(other.sharing._lines))
    await asyncio.to_thread(first.close)
    client = await second
    await asyncio.to_thread(client.close)


async def test_a_client_that_goes_while_it_waits_holds_nothing(sides: Sides) -> None:
    one, other = await sides.start(1)
    first = await one.connect()
    second = asyncio.ensure_future(other.connect())
    await until(lambda: bool(other.sharing._lines))
    for one_of in tuple(other.listener.clients):
        assert one_of.transport is not None
        one_of.transport.abort()
    gone = await second
    assert gone.greeting.errors == []
    for client in (gone, first):
        await asyncio.to_thread(client.close)
    third = await one.connect()
    await until(lambda: not other.sharing._lines)
    await asyncio.to_thread(third.close)


async def test_at_the_fence_every_session_that_holds_a_permit_ends(sides: Sides) -> None:
    one, _ = await sides.start(3)
    client = await one.connect()
    one.listener.expel()
    said = await asyncio.to_thread(client.receive)
    assert said is not None
    assert b"57P01" in said.body
    await until(lambda: not one.listener.clients)
    await asyncio.to_thread(client.close)


async def test_who_finds_all_permits_in_its_own_process_is_refused_without_waiting(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.server.permits.PATIENCE", 3600.0)
    one, _ = await sides.start(1)
    client = await one.connect()
    assert "too many connections" in await refused(one)
    await asyncio.to_thread(client.close)


@pytest.mark.parametrize("opens", [True, False])
async def test_the_first_client_of_a_tenant_waits_until_its_database_is_open(doors: Cluster, opens: bool) -> None:
    granted = replace(grant(doors.port), server=Server(doors.host, doors.port, DATABASE, "app"))
    planner, there = ForwardingPlanner(), asyncio.Event()
    asked: list[str] = []

    def planning(one: Grant) -> ForwardingPlanner:
        if not there.is_set():
            raise CannotConnectNow("the database system is starting up")
        return planner

    async def wait_planning(one: Grant) -> None:
        asked.append(one.tenant)
        await asyncio.sleep(0)
        if not opens:
            raise CannotConnectNow("the database system is starting up")
        there.set()

    pools = Pools(10)
    made = services(OneTenant(granted), pools, planner, Recorder(), Options())
    listener = Listener(replace(made, planning=planning, wait_planning=wait_planning))
    port = await listener.start("127.0.0.1", 0)
    for _ in range(2):
        client = await asyncio.to_thread(RawClient, "127.0.0.1", port, "alice", "test", PASSWORD)
        if opens:
            assert (await asyncio.to_thread(client.simple, "SELECT 1")).rows == [(b"1",)]
        else:
            assert [one["C"] for one in client.greeting.errors] == ["57P03"]
        await asyncio.to_thread(client.close)
    assert asked == [granted.tenant] * (1 if opens else 2)
    await listener.close()
    await pools.close()


def standing(ticket: int, heard: list[int]) -> Any:
    """A client whose session waits for a limit with this ticket."""
    return SimpleNamespace(
        services=SimpleNamespace(permits=None),
        session=SimpleNamespace(waiting=Waiting.QUOTA, ticket=ticket),
        waiting={ticket: None},
        handle=lambda event: heard.append(event.ticket),
    )


async def test_who_stands_in_line_is_called_in_order_and_who_has_gone_passes_the_call_on() -> None:
    line: Line = deque()
    heard: list[int] = []
    clients = [standing(number, heard) for number in range(4)]
    tasks = [
        asyncio.ensure_future(PermittedClient.wait_quota(one, AwaitQuota(number, 60.0, line)))
        for number, one in enumerate(clients)
    ]
    await asyncio.sleep(0)
    assert len(line) == 4
    tasks[0].cancel()  # its client hung up
    await asyncio.gather(tasks[0], return_exceptions=True)
    assert len(line) == 3
    clients[2].session.ticket += 1  # its statement was canceled
    line.popleft()()
    tasks[1].cancel()  # this one has gone when it was called already
    await asyncio.gather(tasks[1], return_exceptions=True)
    await asyncio.gather(*tasks[2:])
    assert heard == [2, 3]
    assert not line
    assert clients[3].waiting == {}


async def test_who_has_shown_the_proof_and_finds_no_place_is_not_given_back_to_its_address(
    houses: Callable[..., asyncio.Task[House]],
) -> None:
    house = await houses(limits=Limits(connections=1), options=Options(address_connection_rate=0.2))  # two at once
    house.listener.services = replace(house.listener.services, clock=lambda: 0.0)
    house.listener.gate = Gate(1000.0, 0.2, 0, lambda: 0.0, lambda: 0)
    client, late = await house.connect(), await house.connect()
    assert [one["C"] for one in late.greeting.errors] == ["53300"]
    assert [house.listener.gate.enter("127.0.0.1") is None for _ in range(2)] == [True, False]
    for one in (client, late):
        await asyncio.to_thread(one.close)


async def test_a_tenant_that_logs_in_too_often_waits_and_is_refused_and_takes_nothing_from_others_at_its_address(
    houses: Callable[..., asyncio.Task[House]],
) -> None:
    house = await houses(options=Options(connection_rate=40.0, address_connection_rate=0.2))  # two at once
    house.listener.services = replace(house.listener.services, clock=lambda: 0.0)
    share = house.listener.shares.of("acme")
    clients = [await house.connect() for _ in range(3)]
    assert share.logged_in(LOGINS * 40.0 * BURST - 3, 0.0, 0.0) == 0.0
    clients.append(await house.connect())
    assert sorted(one.early for one in house.listener.clients) == [0.0, 0.0, 0.0, pytest.approx(0.05)]
    assert share.logged_in(19.0, 0.0, PATIENCE) == pytest.approx(1.0)
    late = await house.connect()
    assert [(one["C"], one["M"]) for one in late.greeting.errors] == [("53300", "too many new connections")]
    gate = house.listener.gate
    assert [gate.enter("127.0.0.1") is None for _ in range(2)] == [True, False]  # who was refused is not given back
    for client in (*clients, late):
        await asyncio.to_thread(client.close)
