"""The loop between a process and its store: what is wanted comes soon, who waits is let in, the log tells each once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from proxy.fleet import rationing
from proxy.fleet.rationing import StoreRationing
from proxy.fleet.stores.memory import MemoryStore
from proxy.quota.exchange import Answer, Request, StoreAway, StoreRefused, Terms
from proxy.quota.gauge import CountingGauge

TERMS = Terms(permit_ttl=2.0, quiet=0.1, timeout=0.2)
CONNECTIONS = ("acme", "", "connections", "")
STATEMENTS = ("acme", "", "statements_per_second", "")


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def warning(self, event: str, **fields: object) -> None:
        self.events.append(event)

    def error(self, event: str, **fields: object) -> None:
        self.events.append(event)


class Switched:
    """A store in memory that the test can take away: refused, or without an answer."""

    def __init__(self, inner: MemoryStore) -> None:
        self.inner = inner
        self.refused = False
        self.mute = False

    async def connect(self) -> None:
        if self.refused:
            raise StoreRefused("nobody listens")

    async def exchange(self, request: Request) -> Answer:
        await self.connect()
        if self.mute:
            raise StoreAway("no answer in time")
        return await self.inner.exchange(request)

    async def close(self) -> None:
        await self.inner.close()


class Fleet:
    """Processes at one store."""

    def __init__(self) -> None:
        self.memory = MemoryStore(TERMS)
        self.log = Log()
        self.stores: list[Switched] = []
        self.all: list[StoreRationing] = []

    async def start(self) -> StoreRationing:
        self.stores.append(Switched(self.memory))
        one = StoreRationing(f"process{len(self.all)}", self.stores[-1], TERMS, self.log)
        self.all.append(one)
        one.start()
        assert await one.wait_ready(10.0)
        return one


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    made = Fleet()
    yield made
    for one in made.all:
        await one.close()


async def until(true: object) -> None:
    """Waits for what has no event of its own."""
    assert callable(true)
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 no event exists
            await asyncio.sleep(0.005)


async def test_what_is_wanted_at_once_comes_before_the_next_beat(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rationing, "BEAT", 3600.0)
    one = await fleet.start()
    bucket = one.rationing.bucket(STATEMENTS, 1000.0, 1000.0)
    await until(lambda: bucket.take(1.0, time.monotonic()) == 0.0)


async def test_who_waits_for_a_permit_gets_it_from_the_process_that_does_not_need_it(fleet: Fleet) -> None:
    one, other = await fleet.start(), await fleet.start()
    here, there = one.rationing.gauge(CONNECTIONS, 4), other.rationing.gauge(CONNECTIONS, 4)
    assert all(await asyncio.gather(*(one.wait_enter(here, 10.0) for _ in range(3))))
    assert await other.wait_enter(there, 10.0)
    assert not await other.wait_enter(there, 0.3)
    here.leave()
    assert await other.wait_enter(there, 10.0)
    assert (here.held, there.held, there.waiting) == (2, 2, 0)


async def test_who_waits_is_let_in_when_another_of_its_process_leaves(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rationing, "BEAT", 3600.0)  # else the next beat would let it in
    one = await fleet.start()
    gauge = one.rationing.gauge(CONNECTIONS, 1)
    assert await one.wait_enter(gauge, 10.0)
    second = asyncio.ensure_future(one.wait_enter(gauge, 10.0))
    await until(lambda: gauge.waiting == 1)
    gauge.leave()
    assert await second
    assert gauge.held == 1


async def test_a_cancelled_wait_leaves_no_permit_behind(fleet: Fleet) -> None:
    one = await fleet.start()
    gauge = one.rationing.gauge(CONNECTIONS, 1)
    assert await one.wait_enter(gauge, 10.0)
    second = asyncio.ensure_future(one.wait_enter(gauge, 10.0))
    await until(lambda: gauge.waiting == 1)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    gauge.leave()
    assert (gauge.held, gauge.waiting) == (0, 0)
    assert await one.wait_enter(gauge, 10.0)


async def test_a_local_gauge_answers_at_once(fleet: Fleet) -> None:
    one = await fleet.start()
    gauge = CountingGauge(1)
    assert await one.wait_enter(gauge, 10.0)
    assert not await one.wait_enter(gauge, 10.0)


async def test_a_store_that_is_down_is_told_once_and_the_share_goes_on(fleet: Fleet) -> None:
    one = await fleet.start()
    bucket = one.rationing.bucket(STATEMENTS, 100.0, 100.0)
    gauge = one.rationing.gauge(CONNECTIONS, 2)
    assert await one.wait_enter(gauge, 10.0)
    fleet.stores[0].refused = True
    await until(lambda: not one.statistics().up)
    failures = one.statistics().failures
    await until(lambda: one.statistics().failures > failures + 8)
    taken = 0

    def several() -> bool:
        nonlocal taken
        taken += bucket.take(1.0, time.monotonic()) == 0.0
        return taken > 50

    await until(several)
    assert gauge.enter()
    assert not one.statistics().fenced
    fleet.stores[0].refused = False
    await until(lambda: one.statistics().up)
    assert fleet.log.events == [
        "counter store away",
        "counter store back",
    ]


async def test_a_store_without_answers_ends_in_the_fence_and_comes_back_from_it(fleet: Fleet) -> None:
    one = await fleet.start()
    gauge = one.rationing.gauge(CONNECTIONS, 2)
    assert await one.wait_enter(gauge, 10.0)
    told: list[int] = []

    def leave() -> None:
        told.append(gauge.held)
        gauge.leave()

    one.on_fence = leave
    fleet.stores[0].mute = True
    await until(lambda: bool(told))
    assert one.statistics().fenced
    assert not gauge.enter()
    fleet.stores[0].mute = False
    assert await one.wait_enter(gauge, 20.0)
    assert told == [1]


async def test_who_leaves_gives_everything_back_at_once(fleet: Fleet) -> None:
    one, other = await fleet.start(), await fleet.start()
    assert await one.wait_enter(one.rationing.gauge(CONNECTIONS, 1), 10.0)
    there = other.rationing.gauge(CONNECTIONS, 1)
    assert not await other.wait_enter(there, 0.2)
    await one.close()
    fleet.all.remove(one)
    assert await other.wait_enter(there, TERMS.permit_ttl / 2)


async def test_a_process_that_never_had_an_answer_has_nothing_and_says_so() -> None:
    store, log = Switched(MemoryStore(TERMS)), Log()
    store.refused = True
    one = StoreRationing("alone", store, TERMS, log)
    one.start()
    assert not await one.wait_ready(0.3)
    assert not one.rationing.gauge(CONNECTIONS, 2).enter()
    assert one.statistics().fenced
    assert not one.statistics().up
    await one.close()
    assert log.events[-1] == "counter store not told of the end"
