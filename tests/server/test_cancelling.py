"""Many sessions on few server connections that cancel, leave and go on: a cancel hits its own session or nobody."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from proxy.tenancy.policy import Limits
from tests.kit.builders import PASSWORD
from tests.server.conftest import House, until

Houses = Callable[..., "asyncio.Task[House]"]
SLOW = "SELECT pg_sleep(0.004)"
ROUNDS = 25


async def connected(house: House) -> psycopg.AsyncConnection[tuple[object, ...]]:
    return await psycopg.AsyncConnection.connect(
        f"postgresql://alice:{PASSWORD}@127.0.0.1:{house.port}/test?sslmode=disable".replace(" ", "%20"),
        autocommit=True,
    )


async def cancel(house: House, process_id: int, secret: bytes) -> None:
    """A CancelRequest; returns when the proxy has closed its connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(struct.pack("!iii", 12 + len(secret), 80877102, process_id) + secret)
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


async def bystander(house: House, dice: random.Random) -> int:
    """Never cancels: none of its statements may fail."""
    connection = await connected(house)
    for _ in range(2 * ROUNDS):
        await connection.execute("SELECT pg_sleep(%s)", [dice.random() / 300])
    await connection.close()
    return 2 * ROUNDS


async def canceller(house: House, dice: random.Random) -> int:
    """Cancels its own; how many it has hit."""
    connection = await connected(house)
    hit = 0
    for _ in range(ROUNDS):
        statement = asyncio.ensure_future(connection.execute(SLOW))
        await asyncio.sleep(dice.random() / 100)
        request = asyncio.ensure_future(connection.cancel_safe())
        try:
            await statement
        except psycopg.errors.QueryCanceled:
            hit += 1
        await request
    await connection.close()
    return hit


async def leaver(house: House, dice: random.Random) -> int:
    """Asks to cancel, and is gone before anybody answers."""
    for _ in range(ROUNDS):
        client = await house.connect()
        client.send("Q", SLOW.encode() + b"\0")
        request = asyncio.ensure_future(cancel(house, *client.key))
        await asyncio.sleep(dice.random() / 100)
        if dice.random() < 0.5:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
        else:
            client.close()
        await request
    return 0


async def test_a_cancel_hits_its_own_session_or_nobody(houses: Houses, effort: int) -> None:
    house = await houses(limits=Limits(server_connections=4))
    for seed in range(effort):
        dice = random.Random(seed)
        everybody = [kind(house, dice) for kind in (bystander, canceller, leaver) for _ in range(6)]
        counts = await asyncio.gather(*everybody)
        assert sum(counts[6:12]) > 0  # some were in time
    await until(lambda: not house.listener.clients)
    assert len(house.listener.keys) == 0
    shares = house.pools.statistics().shares
    assert sum(one.leased for one in shares) == 0


async def test_a_cancel_that_waits_for_its_turn_hits_its_own_statement_whatever_is_pipelined_and_no_later_one(
    houses: Houses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.server.stopping.EACH", 1.0)
    house = await houses()
    client = await house.connect()

    async def cancelled(text: str, behind: str = "") -> list[str]:
        """The codes of the errors of a statement that is cancelled while it runs."""
        client.send("Q", text.encode() + b"\0")
        (one,) = house.listener.clients
        await until(lambda: bool(one.session.due))
        await cancel(house, *client.key)
        if behind:
            client.send("Q", behind.encode() + b"\0")
        exchange = await asyncio.to_thread(client.collect)
        return [error["C"] for error in exchange.errors]

    for _ in range(4):  # more than are obeyed at once
        assert await cancelled("SELECT pg_sleep(30)") == ["57014"]
    assert await cancelled("SELECT pg_sleep(30)", "SELECT 1") == ["57014"]
    assert (await asyncio.to_thread(client.collect)).rows == [(b"1",)]
    assert await cancelled("SELECT pg_sleep(0.01)") == []  # it ends before its cancel's turn
    assert (await house.ask(client, "SELECT pg_sleep(1.2)")).errors == []
    client.close()
