"""What clients hear through their tenant's listening connection, by whom, and what becomes of it at the end."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import replace

from proxy.pool.listening import Listening, Subscriber
from proxy.pool.pools import Pools
from proxy.server.client import Client
from proxy.server.listens import UNKNOWN_PROCESS
from proxy.session.conversation import Waiting
from proxy.session.events import CancelRequested
from proxy.session.notifications import LIMIT
from proxy.tenancy.derived import SEED, own_channel
from proxy.tenancy.policy import Grant, Limits
from proxy.wire.backend import NotificationResponse
from tests.kit.rawclient import RawClient
from tests.server.conftest import House, until
from tests.server.test_following import changed

Houses = Callable[..., "asyncio.Task[House]"]


async def test_a_client_hears_who_notified_by_the_number_that_clients_know(house: House) -> None:
    client, other = await house.connect(), await house.connect()
    await house.ask(client, "LISTEN news")
    channel = own_channel("news", house.rules.granted.keys[SEED])
    await house.ask(other, f"NOTIFY {channel}, 'told'")  # the planner of these tests maps no names
    for sender in (other.key[0], UNKNOWN_PROCESS):
        message = await asyncio.to_thread(client.receive)
        assert message is not None
        assert (message.tag, message.body[:4], message.body[4:]) == ("A", struct.pack("!i", sender), b"news\0told\0")
        (port,) = [one for one in house.listener.clients if one.process_id == client.key[0]]
        if sender != UNKNOWN_PROCESS:
            port.notified(NotificationResponse(2**20, channel, "told"))
    client.close()
    other.close()


async def test_who_notifies_over_anothers_connection_waits_until_that_one_was_told(houses: Houses) -> None:
    house = await houses(limits=Limits(server_connections=2))  # one that listens, one for all the others
    clients = [await house.connect() for _ in range(3)]
    await house.ask(clients[0], "LISTEN news")
    channel = own_channel("news", house.rules.granted.keys[SEED])
    (listening,) = [one for share in house.pools._ledger.shares.values() for one in share.leased]
    listening.pause_reading()  # nothing is told for a while, as under load
    await house.ask(clients[1], f"NOTIFY {channel}")
    late = asyncio.ensure_future(house.ask(clients[2], f"NOTIFY {channel}"))
    (port,) = [one for one in house.listener.clients if one.process_id == clients[2].key[0]]
    await until(lambda: late.done() or port.session.waiting is Waiting.TOLD)
    listening.resume_reading()
    assert (await late).errors == []
    for one in clients[1:]:
        message = await asyncio.to_thread(clients[0].receive)
        assert message is not None
        assert (message.tag, message.body[:4]) == ("A", struct.pack("!i", one.key[0]))
    for one in clients:
        one.close()


async def test_the_listening_connection_goes_back_with_the_last_client(house: House) -> None:
    client = await house.connect()
    await house.ask(client, "LISTEN news")
    (share,) = house.pools.statistics().shares
    assert share.leased == 1
    client.close()
    await until(lambda: not house.pools.statistics().leased)


class Slow(Listening):
    """Tells late that it listens."""

    def __init__(self, pools: Pools) -> None:
        super().__init__(pools)
        self.go = asyncio.Event()

    async def wait_subscribed(self, grant: Grant, subscriber: Subscriber, channel: str) -> None:
        await super().wait_subscribed(grant, subscriber, channel)
        await self.go.wait()


async def canceled_and_moved(house: House) -> tuple[Slow, RawClient, Client]:
    """Whose LISTEN was canceled before it was told, and who belongs to another place since."""
    listening = Slow(house.pools)
    house.listener.services = replace(house.listener.services, listening=listening)
    client = await house.connect()
    (port,) = house.listener.clients
    asked = asyncio.ensure_future(house.ask(client, "LISTEN news"))
    await until(lambda: port.session.waiting is Waiting.CHANNEL)
    port.handle(CancelRequested())
    assert [one["C"] for one in (await asked).errors] == ["57014"]
    changed(house, port)
    return listening, client, port


async def test_nobody_listens_at_a_former_place_for_who_was_canceled_and_has_moved(house: House) -> None:
    listening, client, _ = await canceled_and_moved(house)
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    listening.go.set()
    await until(lambda: not house.listener.tasks)
    assert len(listening) == 0
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    client.close()


async def test_nor_is_what_it_listens_to_since_given_up_with_that(house: House) -> None:
    listening, client, port = await canceled_and_moved(house)
    again = asyncio.ensure_future(house.ask(client, "LISTEN news"))
    await until(lambda: port.session.waiting is Waiting.CHANNEL)
    listening.go.set()
    assert (await asyncio.wait_for(again, 20)).errors == []
    await until(lambda: not house.listener.tasks)
    assert len(listening) == 1
    client.close()


async def test_who_may_have_missed_something_is_cut_off(house: House) -> None:
    client, idle = await house.connect(), await house.connect()
    await house.ask(client, "LISTEN news")
    for port in house.listener.clients:
        if port.process_id == client.key[0]:
            port.deafened()
    told = await asyncio.to_thread(client.collect)
    assert [one["C"] for one in told.errors] == ["57P01"]
    assert (await house.ask(idle, "SELECT 1")).rows == [(b"1",)]
    client.close()
    idle.close()


async def test_a_tenant_with_one_server_connection_is_told_why_it_cannot_listen(houses: Houses) -> None:
    house = await houses(limits=Limits(server_connections=1))
    client = await house.connect()
    (problem,) = (await house.ask(client, "LISTEN news")).errors
    assert (problem["C"], "server_connections" in problem["H"]) == ("53300", True)
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    client.close()


async def test_a_client_that_does_not_read_is_cut_off_and_nobody_waits_for_it(house: House) -> None:
    client, other = await house.connect(), await house.connect()
    for one in (client, other):
        await house.ask(one, "LISTEN news")
    channel = own_channel("news", house.rules.granted.keys[SEED])
    slow, quick = sorted(house.listener.clients, key=lambda one: one.process_id != client.key[0])
    slow.pause_writing()
    note = NotificationResponse(1, channel, "x" * 7000)
    for _ in range(LIMIT // 7000 + 2):
        slow.notified(note)
    quick.notified(note)
    told = await asyncio.to_thread(client.collect)
    assert [one["C"] for one in told.errors] == ["57P01"]
    message = await asyncio.to_thread(other.receive)
    assert message is not None
    assert message.tag == "A"
    client.close()
    other.close()
