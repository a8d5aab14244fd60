"""What is another worker's is passed on, within bounds, and nobody is told what became of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.app import elsewhere as module
from proxy.app.elsewhere import Elsewhere
from proxy.fleet.channel import ControlDoor, Handler
from proxy.fleet.control import Answer, Cancel, Proofs, Request
from tests.kit.builders import Recorder

HOST, WORKER = 3 << 25, 1 << 20


@asynccontextmanager
async def doors(folder: Path, count: int) -> AsyncIterator[tuple[tuple[str, ...], list[tuple[int, Request]]]]:
    """Doors of workers, and who was asked what."""
    asked: list[tuple[int, Request]] = []
    made = []

    def handler(number: int) -> Handler:
        async def handle(request: Request) -> Answer:
            asked.append((number, request))
            return Answer(None, ("no",))  # nobody may learn it

        return handle

    for number in range(count):
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(folder / str(number)))
        made.append(ControlDoor(handler(number), Recorder()))
        await made[-1].start(listening)
    yield tuple(str(folder / str(number)) for number in range(count)), asked
    for one in made:
        await one.close()


async def test_a_cancel_request_goes_to_the_worker_of_its_process_id_and_to_no_other(tmp_path: Path) -> None:
    async with doors(tmp_path, 3) as (paths, asked):
        elsewhere = Elsewhere(3, 0, paths)
        assert await elsewhere.cancel(HOST | 2 * WORKER | 5, b"key")
        assert asked == [(2, Cancel(HOST | 2 * WORKER | 5, b"key".hex()))]
        for process_id in (HOST | 5, HOST | 3 * WORKER | 5, 4 << 25 | WORKER | 5, -1, 0):
            assert not await elsewhere.cancel(process_id, b"key")
        assert len(asked) == 1


async def test_one_of_another_host_goes_to_its_admin_address_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[tuple[object, ...]] = []
    monkeypatch.setattr(module, "post", lambda *given: posted.append(given))
    peers = {7: "http://seven:6433"}
    assert await Elsewhere(3, 0, (), peers, "token").cancel(7 << 25 | 5, b"k")
    assert [one[:3] for one in posted] == [("http://seven:6433", "token", Cancel(7 << 25 | 5, "6b"))]
    assert not await Elsewhere(3, 0, (), peers, None).cancel(7 << 25 | 5, b"k")
    assert not await Elsewhere(3, 0, (), peers, "token").cancel(8 << 25 | 5, b"k")
    assert len(posted) == 1


async def test_a_storm_of_cancel_requests_is_dropped_beyond_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_A_TIME", 2)
    async with doors(tmp_path, 2) as (paths, asked):
        elsewhere = Elsewhere(0, 0, paths)
        sent = await asyncio.gather(*(elsewhere.cancel(WORKER | number, b"key") for number in range(50)))
        assert sum(sent) == len(asked) == 2
        assert await elsewhere.cancel(WORKER | 1, b"key")  # afterwards there is room again


async def test_proofs_are_told_to_all_others_together_and_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 100)
    async with doors(tmp_path, 3) as (paths, asked):
        elsewhere = Elsewhere(0, 1, paths)
        for number in range(1000):
            elsewhere.weighed(f"login{number}", "192.0.2.1", number % 2 == 0)
        async with asyncio.timeout(20):
            while len(asked) < 2:  # noqa: ASYNC110 - another side is waited for
                await asyncio.sleep(0.01)
        assert sorted(number for number, _ in asked) == [0, 2]
        (_, told), _ = asked
        assert isinstance(told, Proofs)
        assert told.weighed[:2] == (("login0", "192.0.2.1", True), ("login1", "192.0.2.1", False))
        assert len(told.weighed) == 100
        await elsewhere.close()


async def test_who_is_alone_tells_nobody() -> None:
    elsewhere = Elsewhere(0, 0, ())
    elsewhere.weighed("login", "192.0.2.1", False)
    assert not await elsewhere.cancel(WORKER | 1, b"key")
    await elsewhere.close()
