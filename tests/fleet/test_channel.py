"""The control door as a socket: who may ask, and what becomes of half, late, long and abandoned requests."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.fleet import channel
from proxy.fleet.channel import HEADER, ControlDoor, Unanswered, allowed, ask
from proxy.fleet.control import MAX_REQUEST, Answer, Pause, Ping, Reload, Request, decode_answer


class Asked:
    """A handler that keeps what it was asked; a reload is a bug, a pause never ends."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.cancelled = asyncio.Event()
        self.lines: list[str] = []

    async def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        if isinstance(request, Reload):
            raise RuntimeError("a bug")
        if isinstance(request, Pause):
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        return Answer({"asked": len(self.requests)})

    def warning(self, event: str, **_: object) -> None:
        self.lines.append(event)


@asynccontextmanager
async def door(path: Path) -> AsyncIterator[Asked]:
    asked = Asked()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    made = ControlDoor(asked, asked)
    await made.start(listening)
    yield asked
    async with asyncio.timeout(20):
        await made.close()


async def test_who_asks_is_answered(tmp_path: Path) -> None:
    async with door(tmp_path / "c") as asked:
        assert await ask(str(tmp_path / "c"), Ping()) == Answer({"asked": 1})
        assert await ask(str(tmp_path / "c"), Ping()) == Answer({"asked": 2})
        assert asked.requests == [Ping(), Ping()]


async def test_a_bug_ends_the_request_and_nothing_else(tmp_path: Path) -> None:
    async with door(tmp_path / "c") as asked:
        assert (await ask(str(tmp_path / "c"), Reload())).problems == ("internal error; the log says more",)
        assert asked.lines == ["control request failed"]
        assert (await ask(str(tmp_path / "c"), Ping())).problems == ()


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (HEADER.pack(2) + b"{}", "no such request"),
        (HEADER.pack(MAX_REQUEST + 1), "too long"),
        (b"\xff" * 4, "too long"),
        (b"GET / HTTP/1.1\r\n\r\n", "too long"),
    ],
)
async def test_what_is_no_request_is_told_so_and_reaches_nobody(tmp_path: Path, sent: bytes, why: str) -> None:
    async with door(tmp_path / "c") as asked:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "c"))
        writer.write(sent)
        (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
        assert why in decode_answer(await reader.readexactly(length)).problems[0]
        assert await reader.read() == b""
        writer.close()
        assert asked.requests == []


@pytest.mark.parametrize("sent", [b"", b"\0\0", HEADER.pack(20) + b'{"request"'])
async def test_half_a_request_is_given_up(tmp_path: Path, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "ARRIVAL", 0.1)
    async with door(tmp_path / "c") as asked:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "c"))
        writer.write(sent)
        async with asyncio.timeout(20):
            with pytest.raises(asyncio.IncompleteReadError):
                await reader.readexactly(1)
        writer.close()
        assert asked.requests == []


async def test_what_was_asked_ends_when_the_one_who_asked_is_gone(tmp_path: Path) -> None:
    async with door(tmp_path / "c") as asked:
        asking = asyncio.create_task(ask(str(tmp_path / "c"), Pause()))
        async with asyncio.timeout(20):
            while not asked.requests:  # noqa: ASYNC110 - another side is waited for
                await asyncio.sleep(0.001)
            asking.cancel()
            await asked.cancelled.wait()


async def test_an_answer_that_is_too_late_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "patience", lambda _: 0.1)
    async with door(tmp_path / "c") as asked:
        assert (await ask(str(tmp_path / "c"), Pause(), 20.0)).problems == ("it took too long",)
        assert asked.cancelled.is_set()
        with pytest.raises(Unanswered, match="no answer in time"):
            await ask(str(tmp_path / "c"), Pause(), 0.05)


async def test_beyond_a_crowd_nobody_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "CROWD", 2)
    async with door(tmp_path / "c") as asked:
        asking = [asyncio.create_task(ask(str(tmp_path / "c"), Pause())) for _ in range(2)]
        async with asyncio.timeout(20):
            while len(asked.requests) < 2:  # noqa: ASYNC110 - another side is waited for
                await asyncio.sleep(0.001)
            with pytest.raises(ConnectionError):
                await ask(str(tmp_path / "c"), Ping())
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_nobody_there_is_told_apart_from_no_answer(tmp_path: Path) -> None:
    with pytest.raises(Unanswered, match="nobody serves there"):
        await ask(str(tmp_path / "nothing"), Ping())


@pytest.mark.parametrize(("peer", "may"), [(0, True), (os.geteuid(), True), (os.geteuid() + 1, False), (None, False)])
def test_only_this_user_and_root_may_ask(peer: int | None, may: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_uid", lambda _: peer)
    with socket.socket(socket.AF_UNIX) as one:
        assert allowed(one) is may


STRANGER = """
import os, socket, sys
if os.geteuid() == 0:
    os.setuid(65534)
with socket.socket(socket.AF_UNIX) as one:
    one.settimeout(20)
    one.connect(sys.argv[1])
    try:
        print("told", one.recv(1))
    except ConnectionError:
        print("told", b"")
"""


async def test_another_user_is_turned_away_by_what_the_kernel_says_even_where_the_file_lets_it_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with TemporaryDirectory(prefix="partywall-") as name:
        folder, path = Path(name), Path(name) / "c"
        async with door(path) as asked:
            for one, mode in ((folder, 0o755), (path, 0o777)):
                await asyncio.to_thread(one.chmod, mode)
            if user := os.geteuid():  # who is not root cannot become another; the door can be another's
                monkeypatch.setattr(os, "geteuid", lambda: user + 1)
            command = [sys.executable, "-c", STRANGER, str(path)]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
            assert done.stdout == "told b''\n", done
            assert asked.requests == []
            assert asked.lines == ["a stranger at the control door"]


async def test_a_door_that_closes_does_not_wait_for_those_who_ask_for_ever(tmp_path: Path) -> None:
    async with door(tmp_path / "c") as asked:
        asking = asyncio.create_task(ask(str(tmp_path / "c"), Pause()))
        async with asyncio.timeout(20):
            while not asked.requests:  # noqa: ASYNC110 - another side is waited for
                await asyncio.sleep(0.001)
    with pytest.raises(Unanswered, match="closed before the answer"):
        await asking
