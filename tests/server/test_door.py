"""Before anybody is known: who is one too many is told why and costs next to nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from proxy.auth.addresses import parse_networks
from proxy.server.services import Options
from proxy.server.tls import server_tls
from tests.kit.builders import PASSWORD
from tests.kit.rawclient import RawClient, error_fields
from tests.server.conftest import House, until
from tests.server.test_tls import fresh
from tests.wire.test_forwarded import header

Houses = Callable[..., "asyncio.Task[House]"]
FEW = Options(address_connection_rate=0.3, sweep_interval=0.02)  # three at once

GSS_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x30"
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"


STARTUP = b"\0\0\0\x08\0\3\0\0"


async def refused(house: House, *said: bytes) -> dict[str, str]:
    """What somebody who says that is answered, each but the last by N; the connection is closed behind it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    for one in said[:-1]:
        writer.write(one)
        async with asyncio.timeout(20):
            assert await reader.readexactly(1) == b"N"
    writer.write(said[-1])
    async with asyncio.timeout(20):
        told = await reader.read()
    writer.close()
    assert told[:1] == b"E"
    assert len(told) == 1 + int.from_bytes(told[1:5], "big")
    return error_fields(told[5:])


async def crowd(house: House, count: int) -> list[asyncio.StreamWriter]:
    """So many who have said nothing yet, and wait to be cut off."""
    writers = [(await asyncio.open_connection("127.0.0.1", house.port))[1] for _ in range(count)]
    await until(lambda: len(house.listener.clients) >= count)
    return writers


async def test_who_comes_too_often_is_told_so_whatever_it_says_first_and_who_is_inside_stays(houses: Houses) -> None:
    house = await houses(options=FEW)
    inside = [await house.connect() for _ in range(3)]
    silent = await crowd(house, 3)
    for said in ([SSL_REQUEST, STARTUP], [GSS_REQUEST, SSL_REQUEST, STARTUP], [b"GET / HTTP/1.1\r\n"]):
        told = await refused(house, *said)
        assert (told["S"], told["C"]) == ("FATAL", "53300")
        assert "connection_rate" in told["H"]
    assert len(house.listener.clients) == 6
    assert house.listener.gate.refused["rate"] == 3
    for one in silent:
        one.close()
    for client in inside:
        assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
        client.close()
    await until(lambda: any(event == "connections refused" for _, event, _ in house.log.events))
    assert sum(event == "connections refused" for _, event, _ in house.log.events) == 1


async def test_who_asks_for_encryption_again_and_again_is_told_in_the_end(houses: Houses) -> None:
    house = await houses(options=FEW)
    silent = await crowd(house, 3)
    assert (await refused(house, SSL_REQUEST, GSS_REQUEST, SSL_REQUEST))["C"] == "53300"
    for one in silent:
        one.close()


@pytest.mark.parametrize("direct", [False, True])
async def test_who_wants_tls_and_may_not_enter_is_told_why_inside_it(
    houses: Houses, tmp_path: Path, direct: bool
) -> None:
    certificate = fresh(tmp_path)
    house = await houses(tls=server_tls(*certificate))
    house.listener.draining = True
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.set_alpn_protocols(["postgresql"])
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    if not direct:
        writer.write(SSL_REQUEST)
        assert await reader.readexactly(1) == b"S"
    await writer.start_tls(context, server_hostname="127.0.0.1")
    writer.write(STARTUP)
    async with asyncio.timeout(20):
        told = await reader.read()
    assert error_fields(told[5:])["C"] == "57P03"
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_who_is_turned_away_and_says_nothing_is_cut_soon(houses: Houses) -> None:
    house = await houses(options=FEW)
    crowd = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(5)]
    await until(lambda: len(house.listener.turned) == 2)
    async with asyncio.timeout(20):
        assert await crowd[-1][0].read() == b""
    await until(lambda: not house.listener.turned)
    for _, writer in crowd:
        writer.close()


async def test_a_house_that_closes_does_not_wait_for_who_was_turned_away(houses: Houses) -> None:
    house = await houses(options=FEW)
    crowd = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(4)]
    await until(lambda: len(house.listener.turned) == 1)
    await house.listener.close()
    await until(lambda: not house.listener.turned)
    for _, writer in crowd:
        writer.close()


async def test_nobody_is_let_in_while_the_process_is_short_of_memory(houses: Houses) -> None:
    house = await houses(options=Options(memory_limit=1, sweep_interval=0.01))
    await until(lambda: house.listener.gate.short)
    told = await refused(house, b"\0\0\0\x08\0\3\0\0")
    assert (told["S"], told["C"]) == ("FATAL", "53200")
    assert house.listener.clients == set()


async def test_who_is_inside_goes_on_without_memory_but_sends_nothing_large(houses: Houses) -> None:
    house = await houses(options=Options(memory_limit=1 << 50, sweep_interval=0.01))
    client = await house.connect()
    house.listener.gate._memory_limit = 1
    await until(lambda: house.listener.gate.short)
    large = b"\0\0" + bytes(6) + b"x" * 2_000_000
    client.send("B", large)
    client.send("S")
    told = await asyncio.to_thread(client.collect)
    assert [(one["C"], one["H"]) for one in told.errors] == [("54000", "Send it in smaller parts.")]
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    client.close()


async def test_a_tls_handshake_beyond_the_ration_is_not_begun(houses: Houses) -> None:
    house = await houses(options=FEW, tls=object())  # which would not survive being used
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(SSL_REQUEST)
    async with asyncio.timeout(20):
        assert await reader.read() == b"S"
    writer.close()
    assert house.listener.gate.refused["handshake"] == 1


class Balancer:
    """A relay that puts a header before what its clients say, in two pieces."""

    def __init__(self, port: int, header: bytes) -> None:
        self.port, self.header = port, header

    async def start(self) -> int:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above, below = await asyncio.open_connection("127.0.0.1", self.port)
        below.write(self.header[:7])
        await below.drain()
        await asyncio.sleep(0)
        below.write(self.header[7:])
        await asyncio.gather(self._pipe(reader, below), self._pipe(above, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


TRUSTED = Options(proxy_protocol_from=parse_networks(["127.0.0.0/8"]))


async def through(house: House, head: bytes, password: str = PASSWORD) -> RawClient:
    """A client that came through a balancer."""
    balancer = Balancer(house.port, head)
    port = await balancer.start()
    client = await asyncio.to_thread(RawClient, "127.0.0.1", port, "alice", "test", password)
    balancer.server.close()
    return client


async def test_behind_a_balancer_the_address_is_the_clients(houses: Houses) -> None:
    house = await houses(options=TRUSTED)
    client = await through(house, header("192.0.2.7", 40000))
    assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
    (inside,) = house.listener.clients
    assert (inside.address, inside.peer) == ("192.0.2.7", "192.0.2.7:40000")
    wrong = await through(house, header("2001:db8::7"), "wrong")
    lines = [fields for _, event, fields in house.log.events if event == "log-in refused"]
    assert [one["peer"] for one in lines] == ["2001:db8::7:40000"]
    wrong.close()
    client.close()


async def test_a_balancer_that_asks_for_itself_is_where_it_is(houses: Houses) -> None:
    house = await houses(options=TRUSTED)
    client = await through(house, header(command=0x20))
    (inside,) = house.listener.clients
    assert inside.address == "127.0.0.1"
    client.close()


@pytest.mark.parametrize("said", [SSL_REQUEST, b"PROXY TCP4 192.0.2.7 192.0.2.8 40000 5432\r\n"])
async def test_without_a_header_nobody_enters_from_where_one_is_needed(houses: Houses, said: bytes) -> None:
    house = await houses(options=TRUSTED)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(said)
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert [event for _, event, _ in house.log.events] == ["PROXY header refused"]


async def test_a_header_that_never_ends_is_under_the_time_for_the_log_in(houses: Houses) -> None:
    house = await houses(options=replace(TRUSTED, login_timeout=0.3))
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(header()[:20])
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    await until(lambda: not house.listener.arriving)


async def test_nobody_else_can_say_who_he_is(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(header() + SSL_REQUEST)
    with suppress(ConnectionError):
        assert (await reader.read())[:1] in {b"", b"E"}
    writer.close()


async def test_the_ration_of_new_connections_is_the_clients_and_not_the_balancers(houses: Houses) -> None:
    house = await houses(options=replace(TRUSTED, address_connection_rate=0.1))  # one at a time
    _, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(header("192.0.2.1"))
    await until(lambda: len(house.listener.clients) == 1)
    again, other = await through(house, header("192.0.2.1")), await through(house, header("192.0.2.2"))
    assert [[one["C"] for one in client.greeting.errors] for client in (again, other)] == [["53300"], []]
    for client in (again, other):
        client.close()
    writer.close()


@pytest.mark.parametrize("direct", [False, True])
async def test_the_header_comes_before_tls_and_tls_goes_on_as_ever(
    houses: Houses, tmp_path: Path, direct: bool
) -> None:
    certificate = fresh(tmp_path)
    house = await houses(options=TRUSTED, tls=server_tls(*certificate))
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.set_alpn_protocols(["postgresql"])
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(header("192.0.2.7") + (b"" if direct else SSL_REQUEST))
    if not direct:
        assert await reader.readexactly(1) == b"S"
    await writer.start_tls(context, server_hostname="127.0.0.1")
    body = b"\0\3\0\0user\0alice\0database\0test\0\0"
    writer.write((len(body) + 4).to_bytes(4, "big") + body)
    assert (await reader.readexactly(1)) == b"R"
    (inside,) = house.listener.clients
    assert inside.address == "192.0.2.7"
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
async def test_libpq_shows_the_words_of_a_house_that_drains(houses: Houses, tmp_path: Path, sslmode: str) -> None:
    certificate = fresh(tmp_path)
    house = await houses(tls=server_tls(*certificate) if sslmode == "require" else None)
    house.listener.draining = True
    dsn = f"host=127.0.0.1 port={house.port} user=alice dbname=test password=x sslmode={sslmode} gssencmode=prefer"
    with pytest.raises(psycopg.OperationalError, match="the database system is shutting down"):
        await asyncio.to_thread(lambda: psycopg.connect(dsn))
