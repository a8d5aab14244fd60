"""Before anybody is known: who is one too many is told why and costs next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.server.services import Options
from tests.kit.rawclient import error_fields
from tests.server.conftest import House, until

Houses = Callable[..., "asyncio.Task[House]"]
FEW = Options(address_connection_rate=0.3, sweep_interval=0.02)  # three at once

SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"


async def refused(house: House, said: bytes) -> dict[str, str]:
    """What somebody who says that is answered; the connection is closed behind it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(said)
    async with asyncio.timeout(5):
        told = await reader.read()
    writer.close()
    assert told[:1] == b"E"
    assert len(told) == 1 + int.from_bytes(told[1:5], "big")
    return error_fields(told[5:])


async def test_who_comes_too_often_is_told_so_whatever_it_says_first_and_who_is_inside_stays(houses: Houses) -> None:
    house = await houses(options=FEW)
    inside = [await house.connect() for _ in range(3)]
    for said in (SSL_REQUEST, b"\0\0\0\x08\0\3\0\0", b"GET / HTTP/1.1\r\n"):
        told = await refused(house, said)
        assert (told["S"], told["C"]) == ("FATAL", "53300")
        assert "connection_rate" in told["H"]
    assert len(house.listener.clients) == 3
    assert house.listener.gate.refused["rate"] == 3
    for client in inside:
        assert (await house.ask(client, "SELECT 1")).rows == [(b"1",)]
        client.close()
    await until(lambda: any(event == "connections refused" for _, event, _ in house.log.events))
    assert sum(event == "connections refused" for _, event, _ in house.log.events) == 1


async def test_who_is_turned_away_and_says_nothing_is_cut_soon(houses: Houses) -> None:
    house = await houses(options=FEW)
    crowd = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(5)]
    await until(lambda: len(house.listener.turned) == 2)
    async with asyncio.timeout(5):
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


async def test_a_tls_handshake_beyond_the_ration_is_not_begun(houses: Houses) -> None:
    house = await houses(options=FEW, tls=object())  # which would not survive being used
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(SSL_REQUEST)
    async with asyncio.timeout(5):
        assert await reader.read() == b"S"
    writer.close()
    assert house.listener.gate.refused["handshake"] == 1
