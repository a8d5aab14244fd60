"""Who begins a request and does not end its headers is cut; who asks one thing after the other is not."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from proxy.admin import headers
from proxy.admin.headers import TimedHttp
from tests.admin.test_arrival import serving

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


async def answered(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    return await reader.readexactly(len(b"ok\n"))


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("begun", [b"G", REQUEST[:-2], REQUEST[:-1]])
async def test_headers_that_do_not_come_are_waited_for_only_so_long(
    before: int, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "HEADERS", 0.2)
    async with serving(None) as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(before):
            writer.write(REQUEST)
            assert await answered(reader) == b"ok\n"
        for byte in begun:  # one by one, which is no reason for patience
            writer.write(bytes([byte]))
            await writer.drain()
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_headers_that_come_in_parts_are_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    protocols: list[TimedHttp] = []
    made = TimedHttp.connection_made

    def noted(self: TimedHttp, transport: asyncio.Transport) -> None:
        protocols.append(self)
        made(self, transport)

    monkeypatch.setattr(TimedHttp, "connection_made", noted)
    async with serving(None) as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            for part in (REQUEST[:5], REQUEST[5:]):
                writer.write(part)
                await writer.drain()
            assert await answered(reader) == b"ok\n"
            (protocol,) = protocols
            assert protocol._alarm is None  # the next may take its time to come
        writer.close()
