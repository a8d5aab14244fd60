"""A server connection moves bytes to its receiver, tells of its loss once, and says goodbye."""

from __future__ import annotations

import asyncio
import struct

import pytest

from proxy.pool.connection import TERMINATE, ServerConnection
from proxy.tenancy.policy import Credentials, Server
from tests.pool.scripted import Ear, scripted, wired


async def test_bytes_go_to_whoever_is_the_receiver_now() -> None:
    connection, _ = wired()
    first, second = Ear(), Ear()
    connection.receiver = first
    connection.data_received(b"one")
    connection.receiver = second
    connection.data_received(b"two")
    connection.receiver = None
    connection.data_received(b"nobody hears this")
    assert (first.data, second.data) == (b"one", b"two")


async def test_the_pool_hears_of_a_loss_before_the_receiver_and_both_once() -> None:
    connection, _ = wired()
    order: list[str] = []
    ear = Ear()
    connection.on_lost = lambda lost: order.append(f"pool, receiver told {len(ear.losses)} times")
    connection.receiver = ear
    connection.connection_lost(None)
    connection.connection_lost(OSError("again"))
    assert order == ["pool, receiver told 0 times"]
    assert len(ear.losses) == 1


async def test_who_becomes_receiver_after_the_loss_is_told_as_well() -> None:
    connection, _ = wired()
    connection.connection_lost(OSError("reset"))
    late = Ear()
    connection.receiver = late
    await asyncio.sleep(0)
    assert len(late.losses) == 1
    assert "reset" in late.losses[0]


async def test_closing_says_terminate_last_and_hears_nothing_more() -> None:
    connection, wire = wired()
    ear = Ear()
    connection.receiver = ear
    connection.write(b"Q")
    connection.close()
    connection.close()
    connection.write(b"too late")
    connection.data_received(b"late reply")
    assert wire.written == b"Q" + TERMINATE
    assert ear.data == b""
    connection.connection_lost(None)


async def test_aborting_cuts_without_a_word() -> None:
    connection, wire = wired()
    connection.abort()
    connection.write(b"void")
    assert wire.written == b""
    assert wire.is_closing()


async def test_a_cancel_carries_the_connections_own_key_and_waits_for_the_servers_end() -> None:
    heard: list[bytes] = []
    asked, answered = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readexactly(16))
        asked.set()
        await answered.wait()

    async with scripted(script) as port:
        connection = ServerConnection(Server("127.0.0.1", port, "shared", "app"), Credentials(tls="disable"), {})
        connection.state.process_id, connection.state.secret_key = 77, b"\1\2\3\4"
        cancel = asyncio.ensure_future(connection.cancel())
        await asked.wait()
        assert not cancel.done()
        answered.set()
        await cancel
    assert heard == [struct.pack("!iii", 16, 80877102, 77) + b"\1\2\3\4"]


async def test_a_server_that_does_not_answer_a_cancel_is_a_connection_error() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(script) as port:
        connection = ServerConnection(Server("127.0.0.1", port, "shared", "app"), Credentials(tls="disable"), {})
        with pytest.raises(ConnectionError):
            await connection.cancel(timeout=0.05)
