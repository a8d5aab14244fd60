"""What is another worker's is passed on, within bounds, and nobody is told what became of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from proxy.app import elsewhere as module
from proxy.app.elsewhere import Elsewhere
from proxy.fleet.channel import ControlDoor, Handler, Unanswered
from proxy.fleet.control import Answer, Cancel, Proofs, Request, Stored
from proxy.server.cancel import place_of
from proxy.wire.startup import CancelRequest
from tests.kit.builders import Recorder
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample
from tests.server.test_tls import fresh

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
    peers = {7: "https://seven:6433"}
    assert await Elsewhere(3, 0, (), peers, "token").cancel(7 << 25 | 5, b"k")
    assert [one[:3] for one in posted] == [("https://seven:6433", "token", Cancel(7 << 25 | 5, "6b"))]
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


async def test_what_is_stored_is_asked_of_the_first_worker_and_no_answer_is_told_as_such(tmp_path: Path) -> None:
    async with doors(tmp_path, 2) as (paths, asked):
        with pytest.raises(Unanswered, match="no"):
            await Elsewhere(0, 1, paths).stored()
        assert asked == [(0, Stored())]
    with pytest.raises(Unanswered, match="nobody serves there"):
        await Elsewhere(0, 1, (str(tmp_path / "none"),)).stored()


async def test_who_is_alone_tells_nobody() -> None:
    elsewhere = Elsewhere(0, 0, ())
    elsewhere.weighed("login", "192.0.2.1", False)
    assert not await elsewhere.cancel(WORKER | 1, b"key")
    await elsewhere.close()


TOKEN = "a token of sixteen and more"
SLEEP = b"SELECT pg_sleep(600)\0"


def send_cancel(proxy: Proxy, process_id: int, key: bytes) -> bytes:
    """What a client that sends this cancel request is answered; nothing, once it was dealt with."""
    with socket.create_connection(("127.0.0.1", proxy.port), 30) as raw:
        raw.sendall(CancelRequest(process_id, key).encode())
        return raw.recv(100)


def test_a_cancel_request_that_comes_to_another_host_reaches_its_session_there(
    postgres15: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By https, as between machines; one host has the token, and another a wrong one."""
    port = load_sample(postgres15).port
    certificate, key = fresh(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # what the hosts believe each other
    tls = {"TLS_CERTIFICATE": str(certificate), "TLS_KEY": str(key)}
    with ExitStack() as stack:
        there = stack.enter_context(running_proxy(port, HOST_ID="7", ADMIN_TOKEN=TOKEN, **tls))
        peers = json.dumps({"7": f"https://127.0.0.1:{there.admin_port}"})
        here = stack.enter_context(running_proxy(port, HOST_ID="2", ADMIN_TOKEN=TOKEN, PEERS=peers))
        stranger = stack.enter_context(running_proxy(port, HOST_ID="3", ADMIN_TOKEN=TOKEN + "x", PEERS=peers))
        client = stack.enter_context(there.connect("acme_app"))
        process_id, secret = client.key
        assert place_of(process_id) == (7, 0)
        client.send("Q", SLEEP)
        assert send_cancel(stranger, process_id, secret) == b""
        assert send_cancel(here, process_id, b"none") == b""
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)  # it sleeps on
        client.socket.settimeout(30)
        assert send_cancel(here, process_id, secret) == b""
        assert [one["C"] for one in client.collect().errors] == ["57014"]
        assert client.simple("SELECT 1").rows == [(b"1",)]
