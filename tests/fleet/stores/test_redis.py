"""The store in Redis: the machine of the shared limits runs over Debian's redis-server, and the script by its clock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from proxy.fleet.stores.redis import RedisStore, refused
from proxy.quota.exchange import Answer, Report, Request, StoreAway, StoreRefused, Take, Terms
from tests.kit.countermachine import SharedLimits
from tests.kit.counters import TERMS, asked
from tests.kit.redisserver import RedisServer, running_redis

EFFORT = int(os.environ.get("PARTYWALL_TEST_EFFORT", "1"))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


class RedisDriver:
    """A client of one loop, which runs while something is asked. Forgetting is another prefix."""

    prefixes = 0

    def __init__(self, url: str) -> None:
        self.url = url
        self.runner = asyncio.Runner()
        self.now = 0.0
        self.store: RedisStore | None = None

    def exchange(self, request: Request, now: float) -> Answer:
        self.now = now
        if self.store is None:
            RedisDriver.prefixes += 1
            self.store = RedisStore(self.url, TERMS, f"{RedisDriver.prefixes}:", lambda: self.now)
        return self.runner.run(asked(self.store, request))

    def forget(self) -> None:
        if self.store is not None:
            self.runner.run(self.store.close())
            self.store = None

    def close(self) -> None:
        self.forget()
        self.runner.close()


def test_no_limit_is_passed_and_all_comes_back(server: RedisServer) -> None:
    class Shared(SharedLimits):
        def driver(self) -> RedisDriver:
            return RedisDriver(server.url)

    case = Shared.TestCase
    case.settings = settings(max_examples=10 * EFFORT, stateful_step_count=30, deadline=None)
    case("runTest").runTest()


async def test_it_counts_by_the_server_s_clock_and_names_keys_by_prefix_and_tenant(server: RedisServer) -> None:
    store = RedisStore(server.url, Terms(settle=0.0), "here:")
    take = Take("acme//statements_per_second/", 1.0, 10.0, 10.0, 0.0)
    report = Report("acme//connections/", 5, 0, 0, 1)
    answer = await asked(store, Request("a", 1, takes=[take], reports=[report]))
    assert answer.granted[take.key] == (10.0, 0.0)
    assert answer.told == {report.key: 5}
    assert answer.time > 1_700_000_000
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"KEYS here:*\r\n")
    found = b""
    while found.count(b"\r\n") < 7:
        found += await reader.read(4096)
    writer.close()
    names = sorted(line for line in found.split(b"\r\n") if line.startswith(b"here:"))
    assert names == [b"here:/members", b"here:acme//connections/:gauge", b"here:acme//statements_per_second/:bucket"]
    await store.close()


async def test_a_restarted_server_begins_an_epoch_of_its_own() -> None:
    with running_redis() as server:
        store = RedisStore(server.url, Terms(settle=0.0))
        first = await asked(store, Request("a", 1))
        server.kill()
        with pytest.raises(StoreAway):
            await asked(store, Request("a", 2, first.epoch))
        with pytest.raises(StoreRefused):
            await asked(store, Request("a", 3, first.epoch))
        server.start()
        unheard = await asked(store, Request("a", 4, first.epoch))
        assert not unheard.heard
        assert unheard.epoch != first.epoch
        await store.close()


async def test_a_server_that_does_not_answer_is_away_and_not_down() -> None:
    silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    store = RedisStore(f"redis://127.0.0.1:{port}/0", Terms(timeout=0.05))
    with pytest.raises(StoreAway) as caught:
        await asked(store, Request("a", 1))
    assert not isinstance(caught.value, StoreRefused)
    silent.close()


async def test_what_is_said_of_a_failure_holds_no_secret(server: RedisServer) -> None:
    store = RedisStore(server.url.replace("redis://", "redis://user:the-secret@"), Terms())
    with pytest.raises(StoreAway) as caught:
        await asked(store, Request("a", 1))
    assert "the-secret" not in str(caught.value)
    assert "the-secret" not in repr(caught.value)


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        RedisStore("nonsense", Terms())


def test_only_a_refusal_of_every_address_means_that_nobody_is_there() -> None:
    both = "Multiple exceptions: [Errno 111] Connect call failed (one), [Errno 111] Connect call failed (two)"
    assert refused(OSError(both))
    assert not refused(OSError(both.replace("[Errno 111]", "[Errno 113]", 1)))
    assert not refused(TimeoutError())
