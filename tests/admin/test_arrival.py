"""https and http at one admin address; who says nothing is cut; and a token comes from elsewhere by https only."""

from __future__ import annotations

import asyncio
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from proxy.admin import arrival
from proxy.admin.http import AdminServer, Pages, application
from proxy.fleet.control import Answer, Request, Statistics
from proxy.fleet.remote import post
from proxy.server.tls import ServerTls, server_tls
from tests.server.test_tls import fresh

TOKEN = "a token of sixteen and more"


async def handler(request: Request) -> Answer:
    return Answer(type(request).__name__)


async def no_metrics() -> bytes:
    return b"none\n"


@asynccontextmanager
async def serving(tls: ServerTls | None) -> AsyncIterator[int]:
    pages = Pages(metrics=no_metrics, unready=lambda: None, control=handler, token=TOKEN, tls=lambda: tls)
    server = AdminServer(pages)
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.close()


def get(url: str, context: ssl.SSLContext | None = None) -> str:
    with urllib.request.urlopen(url, timeout=20, context=context) as answer:
        text: str = answer.read().decode()
        return text


async def test_both_ways_lead_to_the_same_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = fresh(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serving(server_tls(certificate, key)) as port:
        for scheme in ("http", "https"):
            url = f"{scheme}://127.0.0.1:{port}"
            assert await asyncio.to_thread(get, f"{url}/healthz") == "ok\n"
            assert await asyncio.to_thread(post, url, TOKEN, Statistics()) == Answer("Statistics")


async def test_who_does_not_believe_the_certificate_is_told_nothing(tmp_path: Path) -> None:
    async with serving(server_tls(*fresh(tmp_path))) as port:
        with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
            await asyncio.to_thread(get, f"https://127.0.0.1:{port}/healthz")
        assert await asyncio.to_thread(get, f"http://127.0.0.1:{port}/healthz") == "ok\n"


async def test_without_a_certificate_https_is_cut_and_http_answers() -> None:
    async with serving(None) as port:
        with pytest.raises(OSError, match=r"EOF|reset|closed"):
            await asyncio.to_thread(get, f"https://127.0.0.1:{port}/healthz")
        assert await asyncio.to_thread(get, f"http://127.0.0.1:{port}/healthz") == "ok\n"


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"])
async def test_who_says_nothing_or_begins_a_handshake_only_is_cut(
    said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "PATIENCE", 0.2)
    async with serving(server_tls(*fresh(tmp_path))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


async def test_the_end_waits_for_nobody_who_says_nothing(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        async with serving(server_tls(*fresh(tmp_path))) as port:
            made = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            made[1][1].write(b"\x16\x03\x01")
            await made[1][1].drain()
        for _, writer in made:
            writer.close()


async def asked(client: tuple[str, int] | None, scheme: str, *headers: tuple[bytes, bytes]) -> int:
    """The status of /control for somebody who came so, with the token."""
    pages = Pages(metrics=no_metrics, unready=lambda: None, control=handler, token=TOKEN)
    statuses: list[int] = []
    body = [{"type": "http.request", "body": b'{"request": "statistics"}', "more_body": False}]

    async def receive() -> Any:
        if body:
            return body.pop()
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": "POST", "path": "/control", "raw_path": b"/control", "query_string": b"",
             "headers": [(b"authorization", b"Bearer " + TOKEN.encode()), *headers], "scheme": scheme,
             "client": client, "server": ("127.0.0.1", 1), "http_version": "1.1"}  # fmt: skip
    await application(pages)(scope, receive, send)
    return statuses[0]


@pytest.mark.parametrize(
    ("client", "scheme", "status"),
    [
        (("127.0.0.1", 1), "http", 200),
        (("::1", 1), "http", 200),
        (("::ffff:127.0.0.1", 1), "http", 200),
        (("192.0.2.7", 1), "http", 403),
        (("::ffff:192.0.2.7", 1), "http", 403),
        (("192.0.2.7", 1), "https", 200),
        (("localhost", 1), "http", 403),  # no address
        (None, "http", 403),
    ],
)
async def test_a_token_comes_from_another_machine_by_https_only(
    client: tuple[str, int] | None, scheme: str, status: int
) -> None:
    assert await asked(client, scheme) == status


async def test_what_somebody_in_between_says_of_how_it_came_is_not_believed() -> None:
    said = ((b"x-forwarded-proto", b"https"), (b"x-forwarded-for", b"127.0.0.1"))
    assert await asked(("192.0.2.7", 1), "http", *said) == 403
    server = AdminServer(Pages(metrics=no_metrics, unready=lambda: None))
    assert not server._server.config.proxy_headers
