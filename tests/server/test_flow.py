"""Back-pressure: whoever does not read stops the other, and no reason lifts another."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.server import flow as module
from proxy.server.flow import Flow, prepare_socket
from proxy.server.services import Options
from tests.pool.scripted import Wire, wired
from tests.server.conftest import until


@pytest.fixture
def client() -> Wire:
    return Wire()


async def test_a_client_that_does_not_read_stops_the_server_until_it_does(client: Wire) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    flow.frontend_full(True)
    assert not server.reading
    flow.frontend_full(False)
    assert server.reading


async def test_a_connection_leased_to_a_full_client_is_not_read_and_goes_back_reading(client: Wire) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.frontend_full(True)
    flow.leased(connection)
    assert not server.reading
    flow.released()
    assert server.reading


async def test_two_reasons_hold_the_client_until_both_are_gone(client: Wire) -> None:
    connection, _ = wired()
    flow = Flow(client)
    flow.leased(connection)
    flow.frontend_waits(True)
    flow.backend_full(True)
    flow.frontend_waits(False)
    assert not client.reading
    flow.backend_full(False)
    assert client.reading


async def test_a_server_that_does_not_read_holds_nobody_once_it_is_given_back(client: Wire) -> None:
    connection, _ = wired()
    flow = Flow(client)
    flow.leased(connection)
    flow.backend_full(True)
    assert not client.reading
    flow.released()
    assert client.reading


async def test_nothing_is_done_to_a_socket_that_is_gone(client: Wire) -> None:
    flow = Flow(client)
    client.abort()
    flow.frontend_waits(True)
    flow.pause_for_tls()
    flow.close()
    flow.backend_full(True)
    assert client.reading


async def test_every_client_socket_has_no_delay_and_keepalive() -> None:
    made: list[asyncio.Transport] = []

    class Door(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)  # type: ignore[arg-type]  # what create_server makes

    server = await asyncio.get_running_loop().create_server(Door, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await until(lambda: bool(made))
    address, peer = prepare_socket(made[0], Options(write_buffer=1000))
    raw = made[0].get_extra_info("socket")
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert made[0].get_write_buffer_limits()[1] == 1000
    assert address == "127.0.0.1"
    assert peer == "{}:{}".format(*writer.get_extra_info("sockname"))
    writer.close()
    made[0].close()
    server.close()
    assert await reader.read() == b""


async def test_what_is_thrown_away_is_read_whatever_the_client_does(client: Wire) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    read = []
    for act in (flow.frontend_full, flow.drain, flow.frontend_full):
        act(True)
        read.append(server.reading)
    flow.drain(False)
    read.append(server.reading)
    assert read == [False, True, True, False]


async def test_the_next_lease_is_read_as_the_client_reads(client: Wire) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    flow.drain(True)
    flow.released()
    flow.leased(connection)
    flow.frontend_full(True)
    assert not server.reading


async def test_a_flow_at_rest_reads_neither_side_until_its_time_is_over(client: Wire) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    flow.rest(0.0)
    flow.rest(1000.0)  # is within one
    assert [client.reading, server.reading] == [False, False]
    await asyncio.sleep(0)
    assert [client.reading, server.reading] == [True, True]


async def test_the_end_of_a_rest_lifts_no_other_reason_and_a_rest_holds_whatever_else_ends(client: Wire) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    flow.rest(0.0)
    flow.frontend_full(True)
    flow.frontend_full(False)
    flow.drain(True)
    flow.drain(False)
    assert [client.reading, server.reading] == [False, False]
    flow.frontend_full(True)
    await asyncio.sleep(0)
    assert [client.reading, server.reading] == [False, False]


async def test_a_connection_given_back_at_rest_is_read_and_the_next_only_when_the_rest_is_over(client: Wire) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    flow.rest(0.0)
    flow.released()
    assert [client.reading, server.reading] == [False, True]
    flow.leased(connection)
    read = [server.reading]
    await asyncio.sleep(0)
    assert [*read, server.reading] == [False, True]


async def test_nobody_is_woken_by_the_rest_of_a_client_that_is_gone(client: Wire) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    flow.rest(0.0)
    connection.resume_reading()
    flow.close()
    await asyncio.sleep(0)
    assert [client.reading, server.reading] == [False, True]


async def test_a_long_rest_is_over_as_soon_as_there_is_nobody_to_rest_for(
    client: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.0)
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    answers = [False, False, True]
    flow.rest(3600.0, lambda: answers.pop(0))
    assert not server.reading
    await until(lambda: not answers)
    assert [client.reading, server.reading] == [True, True]


@pytest.mark.parametrize("before", [True, False])
async def test_what_is_thrown_away_rests_no_longer_than_for_a_turn(client: Wire, before: bool) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    if before:
        flow.drain(True)
    flow.rest(3600.0)
    flow.drain(True)
    read = server.reading
    await asyncio.sleep(0)
    assert [read, server.reading] == [False, True]


@pytest.mark.parametrize("rests", [True, False])
async def test_a_client_that_is_lost_at_rest_or_full_leaves_a_connection_that_is_read(
    client: Wire, rests: bool
) -> None:
    connection, server = wired()
    flow = Flow(client)
    flow.leased(connection)
    if rests:
        flow.rest(3600.0)
    else:
        flow.frontend_full(True)
    client.abort()
    read = server.reading
    flow.close()
    flow.released()
    assert [read, server.reading] == [False, True]
