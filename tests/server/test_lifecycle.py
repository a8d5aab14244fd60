"""Signals: a reload reads the rules, an end drains, and a second one does not wait."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from proxy.server.lifecycle import Lifecycle
from proxy.server.services import Options
from proxy.tenancy.policy import Server
from tests.kit.builders import Recorder
from tests.server.conftest import House

Houses = Callable[..., "asyncio.Task[House]"]


async def nothing() -> list[str]:
    """A reload that changes nothing."""
    return []


async def test_a_hangup_reads_the_rules_and_forgets_what_servers_reported(house: House) -> None:
    read = asyncio.Event()

    async def reload() -> list[str]:
        read.set()
        return []

    house.listener.learn((Server("db", 1, "shop", "app"), (), ()), {})
    life = Lifecycle(house.listener, reload, Recorder())
    life.install()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(20):
            await read.wait()
        await house.listener.tasks.close()
    finally:
        life.uninstall()


async def test_the_end_is_whole_when_every_transaction_could_finish(house: House) -> None:
    log = Recorder()
    life = Lifecycle(house.listener, nothing, log)
    life.install()
    try:
        client = await house.connect()
        await house.ask(client, "BEGIN")
        running = asyncio.ensure_future(life.run())
        os.kill(os.getpid(), signal.SIGTERM)
        done = await asyncio.to_thread(client.simple, "COMMIT")
        assert done.tags == ["COMMIT"]
        async with asyncio.timeout(20):
            assert await running
    finally:
        life.uninstall()
    assert [event for _, event, _ in log.events] == ["draining", "drained"]
    client.close()


async def test_what_does_not_finish_in_time_is_closed(houses: Houses) -> None:
    house = await houses(options=Options(drain_timeout=0.05))
    life = Lifecycle(house.listener, nothing, Recorder())
    client = await house.connect()
    await house.ask(client, "BEGIN")
    life.stop()
    async with asyncio.timeout(20):
        assert not await life.run()
    assert [one["C"] for one in (await asyncio.to_thread(client.collect)).errors] == ["57P01"]
    client.close()


async def test_a_second_signal_does_not_wait(house: House) -> None:
    life = Lifecycle(house.listener, nothing, Recorder())
    client = await house.connect()
    await house.ask(client, "BEGIN")
    running = asyncio.ensure_future(life.run())
    life.stop()
    life.stop()
    async with asyncio.timeout(20):  # its own drain_timeout is 30
        assert not await running
    client.close()


async def test_a_quit_does_not_wait_and_an_interrupt_is_left_to_who_wants_it(house: House) -> None:
    life = Lifecycle(house.listener, nothing, Recorder())
    before = signal.getsignal(signal.SIGINT)
    life.install(interrupt=False)
    try:
        assert signal.getsignal(signal.SIGINT) is before
        client = await house.connect()
        await house.ask(client, "BEGIN")
        running = asyncio.ensure_future(life.run())
        os.kill(os.getpid(), signal.SIGQUIT)
        async with asyncio.timeout(20):  # its own drain_timeout is 30
            assert not await running
    finally:
        life.uninstall()
    assert signal.getsignal(signal.SIGQUIT) is signal.SIG_DFL
    client.close()
