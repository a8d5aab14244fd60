"""The front door counts who is inside, lets nobody in while draining, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.server.services import Options
from proxy.tenancy.policy import Server
from tests.kit.postgres import Cluster
from tests.server.conftest import DATABASE, House, until

Houses = Callable[..., "asyncio.Task[House]"]


async def test_whoever_connects_is_counted_until_it_leaves(house: House) -> None:
    first, second = await house.connect(), await house.connect()
    assert len(house.listener.clients) == 2
    await asyncio.to_thread(first.close)
    await asyncio.to_thread(second.close)
    await until(lambda: not house.listener.clients)


async def test_draining_waits_for_transactions_and_takes_nobody(house: House) -> None:
    client = await house.connect()
    await house.ask(client, "BEGIN")
    assert not await house.listener.drain(0.05)
    with pytest.raises(OSError, match="refused"):
        await house.connect()
    draining = asyncio.ensure_future(house.listener.drain(20))
    done = await asyncio.to_thread(client.simple, "COMMIT")
    assert done.tags == ["COMMIT"]
    assert await draining
    client.close()


async def test_far_beyond_the_limit_nobody_is_even_heard(houses: Houses) -> None:
    house = await houses(options=Options(max_client_connections=0))
    held = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(101)]
    reader, writer = held[-1]
    async with asyncio.timeout(20):
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            writer.close()
    for _, one in held:
        one.close()


async def test_what_servers_report_is_kept_for_a_bounded_number_and_forgotten_at_reload(house: House) -> None:
    for number in range(1001):
        house.listener.learn((Server("db", number, "shop", "app"), (), ()), {"TimeZone": "UTC"})
    assert len(house.listener.templates) == 1000
    assert (Server("db", 0, "shop", "app"), (), ()) not in house.listener.templates
    house.listener.forget_templates()
    assert house.listener.templates == {}


async def test_a_setting_that_the_operator_changes_is_told_to_new_sessions_once_a_connection_says_so(
    house: House, doors: Cluster
) -> None:
    old = await house.connect()
    assert old.parameters["IntervalStyle"] == "postgres"
    own = await house.connect(IntervalStyle="sql_standard")
    try:
        doors.psql(sql="ALTER SYSTEM SET intervalstyle = 'iso_8601'")
        doors.psql(sql="SELECT pg_reload_conf()")
        told: list[bytes] = []
        async with asyncio.timeout(20):
            while not told:
                answer = await house.ask(old, "SELECT 1")
                told = [one.body for one in answer.messages if one.tag == "S"]
        assert told == [b"IntervalStyle\0iso_8601\0"]
        new = await house.connect()
        assert new.parameters["IntervalStyle"] == "iso_8601"
        again = await house.connect(IntervalStyle="sql_standard")
        assert (own.parameters["IntervalStyle"], again.parameters["IntervalStyle"]) == ("sql_standard",) * 2
    finally:
        doors.psql(sql="ALTER SYSTEM RESET intervalstyle")
        doors.psql(sql="SELECT pg_reload_conf()")
        await until(lambda: doors.psql(sql="SHOW intervalstyle").strip() == "postgres")
    for client in (old, own, new, again):
        await asyncio.to_thread(client.close)


async def test_a_setting_of_the_roles_is_told_to_new_sessions_once_there_is_a_new_connection(
    house: House, doors: Cluster
) -> None:
    old = await house.connect()
    doors.psql(DATABASE, sql=f"ALTER ROLE app IN DATABASE {DATABASE} SET intervalstyle = 'iso_8601'")
    try:
        await house.ask(old, "BEGIN")
        busy = await house.connect()
        await house.ask(busy, "SELECT 1")  # a second connection
        new = await house.connect()
        assert new.parameters["IntervalStyle"] == "iso_8601"
    finally:
        doors.psql(DATABASE, sql=f"ALTER ROLE app IN DATABASE {DATABASE} RESET intervalstyle")
    for client in (old, busy, new):
        await asyncio.to_thread(client.close)


async def test_closing_tells_every_client_and_frees_every_connection(house: House) -> None:
    client = await house.connect()
    await house.ask(client, "BEGIN")
    await house.listener.close()
    told = await asyncio.to_thread(client.collect)
    assert [one["C"] for one in told.errors] == ["57P01"]
    assert house.listener.clients == set()
    client.close()


async def test_what_one_tenants_settings_make_a_server_report_is_told_to_nobody_elses_sessions(house: House) -> None:
    zones = []
    for zone in ("UTC", "Asia/Tokyo"):
        house.rules.granted = replace(house.rules.granted, tenant=zone, settings={"timezone": zone})
        client = await house.connect()
        zones.append(client.parameters["TimeZone"])
        await asyncio.to_thread(client.close)
    assert zones == ["UTC", "Asia/Tokyo"]
