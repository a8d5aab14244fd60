"""A server that lies: its lease is killed, the client hears so or is hung up on, nothing leaks, and others go on.

The server is a script on a real socket that logs anybody in and answers the first statement with the lie; a second
client is served by the truth.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import pytest

from proxy.pool.pools import Pools
from proxy.server.listener import Listener
from proxy.server.services import Options
from proxy.tenancy.policy import Limits, Server
from proxy.wire.authentication import AuthenticationSASL, AuthenticationSASLContinue, AuthenticationSASLFinal
from proxy.wire.backend import ParameterStatus
from proxy.wire.fields import message
from tests.kit.builders import ForwardingPlanner, OneTenant, Recorder, grant, services
from tests.pool.scripted import AUTHENTICATED, read_packet, scripted, welcome
from tests.server.conftest import House, until

READY = message(90, b"I")
COLUMNS = message(84, b"\0\1one\0" + bytes(6) + b"\0\0\0\x17\0\4\xff\xff\xff\xff\0\0")
ROW = message(68, b"\0\1\0\0\0\1" + b"1")
TRUTH = COLUMNS + ROW + message(67, b"SELECT 1\0") + READY
PATIENT = Limits(query_wait_timeout=5.0, transaction_timeout=0.3)
HUNG_UP = "hung up"


def report(tag: int, size: int = 10, severity: str = "ERROR") -> bytes:
    return message(tag, f"S{severity}\0V{severity}\0C42601\0M{'x' * size}\0\0".encode())


# What the server says to the first statement, and what the client is told in the end.
LIES: dict[str, tuple[bytes, str]] = {
    "a length below four": (b"D\0\0\0\3", "08P01"),
    "a length above one gigabyte": (b"D\x7f\xff\xff\xff", "08P01"),
    "an error above its limit": (b"E\x01\0\0\1", "08P01"),
    "a type that does not exist": (b"\0\0\0\0\4", "08P01"),
    "a second log-in": (AUTHENTICATED, "08P01"),
    "another cancel key": (message(75, b"\0\0\0\1key!"), "08P01"),
    "a copy that nobody began": (message(71, b"\0\0\0"), "08P01"),
    "copy rows that nobody asked for": (message(72, b"\0\0\0"), "08P01"),
    "a reply to Parse": (message(49, b""), "08P01"),
    "a reply to Bind": (message(50, b""), "08P01"),
    "a call of a function": (message(86, b"\0\0\0\0"), "08P01"),
    "ready before the statement has completed": (READY, "08P01"),
    "ready with a state that is none": (message(67, b"SELECT 1\0") + message(90, b"X"), "08P01"),
    "one statement completed twice": (TRUTH[: -len(READY)] * 2 + READY, "08P01"),
    "a fatal error and the end": (report(69, severity="FATAL"), "42601"),  # the server's own last word
    "half a message and the end": (COLUMNS + ROW[:3], "08006"),
    "a row without an end, and the end": (COLUMNS + b"D\x3f\xff\xff\xff\0\1", HUNG_UP),
    "strings that are not strict": (ParameterStatus("standard_conforming_strings", "off").encode(), "08P01"),
    "another encoding": (ParameterStatus("client_encoding", "SJIS").encode(), "08P01"),
    "another role": (ParameterStatus("session_authorization", "postgres").encode(), "08P01"),
    "a superuser": (ParameterStatus("is_superuser", "on").encode(), "08P01"),
    "parameters without an end": (
        b"".join(ParameterStatus(f"p{one}", "x").encode() for one in range(1000)),
        "08P01",
    ),
    "silence": (b"", "25P04"),
    "a row that stops": (COLUMNS + b"D\0\0\1\0\0\1", HUNG_UP),
    "columns and silence": (COLUMNS, "25P04"),
}
SILENT = {"silence", "a row that stops", "columns and silence"}


class Liar:
    """Tells the lie once; everything else is the truth. `closed` counts connections that ended."""

    def __init__(self, lie: bytes, silent: bool = False) -> None:
        self.lie: bytes | None = lie
        self.silent = silent
        self.opened = self.closed = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await read_packet(reader)
        if len(packet) < 16:  # a CancelRequest
            return
        self.opened += 1
        try:
            writer.write(welcome())
            while (header := await reader.readexactly(5))[:1] != b"X":
                body = await reader.readexactly(int.from_bytes(header[1:], "big") - 4)
                if header[:1] != b"Q":
                    continue
                if body.startswith(b"SELECT") and self.lie is not None:
                    lie, self.lie = self.lie, None
                    writer.write(lie)
                    await writer.drain()
                    if not self.silent and lie != READY:
                        return
                else:
                    writer.write(TRUTH if body.startswith(b"SELECT") else message(67, b"SET\0") + READY)
        finally:
            self.closed += 1


async def house_before(port: int, limits: Limits = PATIENT) -> House:
    granted = replace(grant(port, limits), server=Server("127.0.0.1", port, "shared", "app"))
    rules, planner, log, pools = OneTenant(granted), ForwardingPlanner(), Recorder(), Pools(10)
    listener = Listener(services(rules, pools, planner, log, Options(sweep_interval=0.02)))
    return House(listener, await listener.start("127.0.0.1", 0), pools, log, rules, planner)


@pytest.mark.parametrize("what", LIES)
async def test_a_lie_kills_its_lease_and_nobody_else_notices(what: str) -> None:
    lie, expected = LIES[what]
    liar = Liar(lie, what in SILENT)
    async with scripted(liar) as port:
        house = await house_before(port)
        client, other = await house.connect(), await house.connect()
        told = await house.ask(client, "SELECT 1")
        if not told.closed:  # an extra reply comes too late for this one
            told = await asyncio.to_thread(client.collect)
        assert told.closed
        assert [one["C"] for one in told.errors[-1:]] == ([] if expected == HUNG_UP else [expected])
        assert all(one["C"] != "XX000" for one in told.errors)
        assert (await house.ask(other, "SELECT 1")).rows == [(b"1",)]
        await until(lambda: house.pools.statistics().leased == 0)
        await until(lambda: liar.closed == 1)
        assert house.pools.statistics().connections == liar.opened - liar.closed
        assert len(house.listener.clients) == 1
        client.close()
        other.close()
        await until(lambda: not house.listener.clients)
        await house.listener.close()
        await house.pools.close(1.0)


@pytest.mark.parametrize(("tag", "size"), [(69, 15_000_000), (78, 15_000_000)])
async def test_a_gigantic_text_is_passed_on_whole_where_it_is_within_the_limit(tag: int, size: int) -> None:
    liar = Liar(report(tag, size) + (READY if tag == 69 else TRUTH), silent=True)
    async with scripted(liar) as port:
        house = await house_before(port, Limits())
        client = await house.connect()
        told = await house.ask(client, "SELECT 1")
        assert not told.closed
        assert max(len(one.body) for one in told.messages) > size
        assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
        client.close()
        await until(lambda: not house.listener.clients)
        await house.listener.close()
        await house.pools.close(1.0)


FALSE_LOG_INS: dict[str, bytes] = {
    "a wrong signature": b"v=" + base64.b64encode(b"x" * 32),
    "no signature": b"",
    "an error instead": b"e=other-error",
}


@pytest.mark.parametrize("what", FALSE_LOG_INS)
async def test_a_server_that_cannot_prove_itself_is_not_spoken_to(what: str) -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(AuthenticationSASL(("SCRAM-SHA-256",)).encode())
        first = await reader.readexactly(5)
        initial = await reader.readexactly(int.from_bytes(first[1:], "big") - 4)
        nonce = initial.partition(b"r=")[2]
        challenge = b"r=" + nonce + b"liar,s=" + base64.b64encode(b"salt of a liar..") + b",i=4096"
        writer.write(AuthenticationSASLContinue(challenge).encode())
        final = await reader.readexactly(5)
        await reader.readexactly(int.from_bytes(final[1:], "big") - 4)
        writer.write(AuthenticationSASLFinal(FALSE_LOG_INS[what]).encode() + welcome())
        heard.append(await reader.read())

    async with scripted(script) as port:
        house = await house_before(port)
        granted = house.rules.granted
        house.rules.granted = replace(granted, credentials=replace(granted.credentials, password="s3cret"))
        client = await house.connect()
        assert [one["C"] for one in client.greeting.errors] == ["08006"]
        client.close()
        assert house.pools.statistics().leased == 0
        await house.listener.close()
        await house.pools.close(1.0)
    assert b"".join(heard) in {b"", b"X\0\0\0\4"}


@pytest.mark.parametrize("word", [report(78, 1000, "NOTICE"), ParameterStatus("endless", "x" * 1000).encode()])
async def test_a_server_that_talks_without_an_end_is_left_during_the_log_in(word: bytes) -> None:
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_packet(reader)
        writer.write(AUTHENTICATED)
        while True:
            writer.write(word)
            sent += len(word)
            await writer.drain()

    async with scripted(script) as port:
        house = await house_before(port)
        client = await house.connect()
        assert [one["C"] for one in client.greeting.errors] == ["08006"]
        client.close()
        await house.listener.close()
        await house.pools.close(1.0)
    assert sent < 64 << 20
