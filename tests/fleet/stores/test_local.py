"""The store of one host: the machine of the shared limits runs over a real Unix socket; strangers are hung up on."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from proxy.fleet.stores.local import LENGTH, LONGEST, LocalStore, StoreServer
from proxy.fleet.stores.memory import MemoryStore
from proxy.quota.exchange import Answer, Request, StoreAway, StoreRefused
from tests.kit.countermachine import SharedLimits
from tests.kit.counters import TERMS, asked

EFFORT = int(os.environ.get("PARTYWALL_TEST_EFFORT", "1"))


class LocalDriver:
    """A server and a client of it; both live in one loop, which runs while something is asked."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(prefix="partywall-store-")
        self.path = Path(self.folder.name) / "counters"
        self.server: StoreServer | None = None
        self.client = LocalStore(self.path, TERMS.timeout)
        self.now = 0.0

    def exchange(self, request: Request, now: float) -> Answer:
        self.now = now
        return self.runner.run(self._exchange(request))

    async def _exchange(self, request: Request) -> Answer:
        if self.server is None:
            self.server = StoreServer(self.path, MemoryStore(TERMS, lambda: self.now))
            await self.server.start()
        await self.client.connect()
        return await self.client.exchange(request)

    def forget(self) -> None:
        if self.server is not None:
            self.runner.run(self.client.close())
            self.runner.run(self.server.close())
            self.server = None

    def close(self) -> None:
        self.forget()
        self.runner.close()
        self.folder.cleanup()


class Shared(SharedLimits):
    def driver(self) -> LocalDriver:
        return LocalDriver()


TestSharedLimits = Shared.TestCase
TestSharedLimits.settings = settings(max_examples=10 * EFFORT, stateful_step_count=30, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "counters"


def server(path: Path) -> StoreServer:
    return StoreServer(path, MemoryStore(TERMS))


def modes(path: Path) -> list[int]:
    return [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)]


def list_of(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_socket_without_a_server_refuses() -> None:
    with pytest.raises(StoreRefused):
        await LocalStore(Path("/nowhere/counters"), 1.0).connect()


async def test_a_server_that_went_has_no_answer_and_then_refuses_and_is_found_again(path: Path) -> None:
    first = server(path)
    await first.start()
    client = LocalStore(path, 5.0)
    assert (await asked(client, Request("a", 1))).heard
    await first.close()
    with pytest.raises(StoreAway):
        await asked(client, Request("a", 2))
    with pytest.raises(StoreRefused):
        await asked(client, Request("a", 3))
    second = server(path)
    await second.start()
    assert (await asked(client, Request("a", 4))).heard
    await client.close()
    await second.close()


async def test_only_the_own_user_may_connect(path: Path) -> None:
    one = server(path)
    await one.start()
    assert modes(path) == [0o600, 0o700]
    await one.close()
    assert list_of(path.parent) == []


async def test_a_second_server_does_not_take_the_first_one_s_place(path: Path) -> None:
    one = server(path)
    await one.start()
    with pytest.raises(OSError, match="another store listens"):
        await server(path).start()
    await one.close()


async def test_a_socket_that_a_crash_left_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    abandoned = await asyncio.get_running_loop().create_unix_server(asyncio.Protocol, path)
    abandoned.close()
    await abandoned.wait_closed()
    one = server(path)
    await one.start()
    await one.close()


@pytest.mark.parametrize("said", [LENGTH.pack(2) + b"[]", LENGTH.pack(3) + b"{]}", LENGTH.pack(LONGEST + 1)])
async def test_who_says_something_else_is_hung_up_on(path: Path, said: bytes) -> None:
    one = server(path)
    await one.start()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(said)
    with suppress(ConnectionResetError):  # the other way in which a connection ends
        assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()
    await one.close()


async def test_an_answer_that_does_not_come_in_time_is_never_taken_for_another_s(path: Path) -> None:
    path.parent.mkdir()
    silent = await asyncio.get_running_loop().create_unix_server(asyncio.Protocol, path)
    client = LocalStore(path, 0.05)
    with pytest.raises(StoreAway):
        await asked(client, Request("a", 1))
    with pytest.raises(StoreAway, match="not connected"):
        await client.exchange(Request("a", 2))
    silent.close()
