"""One client's socket: whatever goes wrong ends this client alone, and its server connection never goes back used."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from proxy.errors import StatementTooComplex
from proxy.server.planned import Question
from proxy.server.services import Options
from proxy.sql.plan import PlanContext, Planned
from proxy.tenancy.policy import Limits
from tests.kit.builders import ForwardingPlanner, OneTenant
from tests.server.conftest import House, until

Houses = Callable[..., "asyncio.Task[House]"]


class Broken(ForwardingPlanner):
    """A planner with a bug."""

    def plan(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned:
        raise AssertionError("a bug that names tenant globex")


class Slow(ForwardingPlanner):
    """A planner that gives up on long texts."""

    async def elsewhere(self, asked: Question, spent: Callable[[float], None] | None, low: bool) -> Planned:
        raise StatementTooComplex("statement is too complex to be planned in time", hint="smaller")


async def settled(house: House) -> None:
    """Until no lease is held."""
    await until(lambda: not house.pools.statistics().leased)


async def test_a_bug_shows_the_client_a_number_and_the_log_everything(house: House) -> None:
    client = await house.connect()
    other = await house.connect()
    await house.ask(client, "BEGIN")
    for one in tuple(house.listener.clients):
        if one.session.lease is not None:
            one.planning = Broken()
    failed = await house.ask(client, "SELECT 1")
    (error,) = failed.errors
    assert (error["S"], error["C"]) == ("FATAL", "XX000")
    assert "globex" not in str(error)
    ((_, _, logged),) = house.log.errors
    assert logged["id"] in error["M"]
    assert "globex" in str(logged["exc_info"])
    assert (await house.ask(other, "SELECT 2")).rows == [(b"2",)]
    await settled(house)
    house.log.events.clear()
    client.close()
    other.close()


async def test_a_long_text_is_planned_elsewhere_and_its_refusal_leaves_the_session_whole(houses: Houses) -> None:
    house = await houses(options=Options(plan_inline_bytes=20))
    client = await house.connect()
    assert (await house.ask(client, "SELECT 'a text above twenty bytes'")).rows == [(b"a text above twenty bytes",)]
    for one in house.listener.clients:
        one.planning = Slow()
    failed = await house.ask(client, "SELECT 'another text above twenty bytes'")
    assert [one["C"] for one in failed.errors] == ["54001"]
    assert failed.status == "I"
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    client.close()


async def test_a_client_that_vanishes_gives_its_connection_back_or_ends_it(house: House) -> None:
    for text in ("BEGIN", "SELECT pg_sleep(30)"):
        client = await house.connect()
        if text == "BEGIN":
            await house.ask(client, text)
        else:
            client.send("Q", text.encode() + b"\0")
        await until(lambda: house.pools.statistics().leased == 1)
        client.socket.close()
        await until(lambda: not house.listener.clients)
        await settled(house)
    assert house.listener.services.counters.connections("acme") == 0


async def test_who_does_not_log_in_in_time_is_cut(houses: Houses) -> None:
    house = await houses(options=Options(login_timeout=0.05))
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    ("limits", "sqlstate"),
    [
        (Limits(idle_in_transaction_timeout=0.05), "25P03"),
        (Limits(transaction_timeout=0.05), "25P04"),
    ],
)
async def test_who_overstays_in_a_transaction_is_ended_with_the_servers_own_code(
    houses: Houses, limits: Limits, sqlstate: str
) -> None:
    house = await houses(limits=limits, options=Options(sweep_interval=0.02))
    client, idle = await house.connect(), await house.connect()
    await house.ask(client, "BEGIN")
    told = await asyncio.to_thread(client.collect)
    assert [one["C"] for one in told.errors] == [sqlstate]
    assert (await house.ask(idle, "SELECT 1")).rows == [(b"1",)]
    await settled(house)
    client.close()
    idle.close()


@pytest.mark.parametrize("texts", [("COMMIT AND CHAIN",), ("ROLLBACK; BEGIN",), ("COMMIT", "BEGIN")])
async def test_one_transaction_after_another_overstays_nothing(houses: Houses, texts: tuple[str, ...]) -> None:
    house = await houses(limits=Limits(transaction_timeout=5.0), options=Options(sweep_interval=1000.0))
    client = await house.connect()
    await house.ask(client, "CREATE TEMP TABLE pinned ()")
    await house.ask(client, "BEGIN")
    (port,) = house.listener.clients
    for now in range(4):
        port.sweep(10.0 * now)
        for text in texts:
            assert (await house.ask(client, text)).errors == []
    client.close()


async def test_a_session_that_the_rules_have_no_place_for_ends_without_saying_anything(houses: Houses) -> None:
    """It might listen, and hear what is no longer meant for it."""
    house = await houses(options=Options(sweep_interval=0.02))
    client, busy = await house.connect(), await house.connect()
    await house.ask(client, "LISTEN news")
    await house.ask(busy, "BEGIN")
    nobody = OneTenant(house.rules.granted, logins=(), generation=2)
    for port in house.listener.clients:
        port.services = replace(port.services, rules=lambda: nobody)
    told = await asyncio.to_thread(client.collect)
    assert [one["C"] for one in told.errors] == ["57P01"]
    assert (await house.ask(busy, "SELECT 1")).rows == [(b"1",)]
    await house.ask(busy, "COMMIT")
    told = await asyncio.to_thread(busy.collect)
    assert [one["C"] for one in told.errors] == ["57P01"]
    await settled(house)
    client.close()
    busy.close()


async def test_a_pinned_session_that_is_idle_overstays_nothing(houses: Houses) -> None:
    limits = Limits(transaction_timeout=0.1, idle_in_transaction_timeout=0.1)
    house = await houses(limits=limits, options=Options(sweep_interval=0.02))
    client, other = await house.connect(), await house.connect()
    await house.ask(client, "CREATE TEMP TABLE pinned ()")
    await house.ask(other, "BEGIN")
    told = await asyncio.to_thread(other.collect)  # who overstays is ended: that much time has passed
    assert {one["C"] for one in told.errors} <= {"25P03", "25P04"}
    assert told.closed
    assert (await house.ask(client, "SELECT count(*) FROM pinned")).rows == [(b"0",)]
    client.close()
    other.close()
    await settled(house)


async def test_an_unknown_name_is_refused_only_after_another_look_at_the_database(house: House) -> None:
    looked = 0

    class Looking(ForwardingPlanner):
        async def refresh(self, seen: int) -> bool:
            nonlocal looked
            looked += 1
            return False

    client = await house.connect()
    for one in house.listener.clients:
        one.planning = Looking()
    failed = await house.ask(client, "SELECT FROM forbidden")
    assert [one["C"] for one in failed.errors] == ["42P01"]
    assert looked == 1
    client.close()


FLOOD = "SELECT repeat('x', 1000) FROM generate_series(1, 200000)"


async def test_a_client_that_does_not_read_its_result_is_ended_and_its_server_connection_with_it(
    houses: Houses,
) -> None:
    house = await houses(options=Options(write_timeout=0.1, sweep_interval=0.02))
    client, other = await house.connect(), await house.connect()
    client.send("Q", FLOOD.encode() + b"\0")
    await until(lambda: any(event == "client does not read" for _, event, _ in house.log.events))
    await until(lambda: len(house.listener.clients) == 1)
    await settled(house)
    assert (await house.ask(other, "SELECT 1")).rows == [(b"1",)]
    client.close()
    other.close()


async def test_a_client_that_catches_up_in_time_again_and_again_is_not_ended(house: House) -> None:
    client = await house.connect()
    (one,) = house.listener.clients
    timeout = house.listener.services.options.write_timeout
    for _ in range(3):
        one.pause_writing()
        assert one.full_since is not None
        one.sweep(one.full_since + 0.9 * timeout)
        one.resume_writing()
        one.sweep(asyncio.get_running_loop().time() + 2 * timeout)
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    client.close()


async def test_who_asks_without_reading_the_proxys_own_answers_is_not_heard_any_further(houses: Houses) -> None:
    house = await houses(options=Options(write_buffer=8192))
    client = await house.connect()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    (one,) = house.listener.clients
    transport = one.transport
    assert transport is not None
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    asked = b"Q\0\0\0\5\0" * 1000  # the answer to nothing is longer than the question
    writer = asyncio.get_running_loop().run_in_executor(None, client.socket.sendall, asked * 10_000)
    await until(lambda: one.full_since is not None and not transport.is_reading())
    assert transport.get_write_buffer_size() < 1 << 20
    assert not writer.done()
    client.socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        await writer
    await until(lambda: not house.listener.clients)
    client.close()


async def test_a_client_that_does_not_read_its_last_words_is_cut(
    houses: Houses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.server.client.LINGER", 0.05)
    house = await houses()
    client = await house.connect()
    client.send("Q", FLOOD.encode() + b"\0")
    await until(lambda: any(one.full_since is not None for one in house.listener.clients))
    client.socket.shutdown(1)
    for one in tuple(house.listener.clients):
        one.terminate(StatementTooComplex("enough"))
    await until(lambda: not house.listener.clients)
    await settled(house)
    client.close()
