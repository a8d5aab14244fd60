"""Results that are cut off at a real server, at any point: the protocol stays in step and the next statement works."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from proxy.server.client import Client
from proxy.tenancy.policy import Limits
from tests.kit.builders import PASSWORD
from tests.kit.rawclient import Exchange, RawClient, message
from tests.server.conftest import House, until

Houses = Callable[..., "asyncio.Task[House]"]
POINTS = 1000
LAST = 50


@dataclass(frozen=True)
class Form:
    """How a result is asked for. block: inside a transaction block; copy: its rows are CopyData."""

    ask: Callable[[RawClient, str], Exchange]
    block: bool = False
    copy: bool = False


def pipeline(client: RawClient, *parts: tuple[str, bytes]) -> Exchange:
    client.socket.sendall(b"".join(message(*part) for part in parts))
    return client.collect()


def behind(client: RawClient, query: str) -> Exchange:
    """A pipeline that goes on behind the result, and would name a statement."""
    return pipeline(
        client,
        ("P", b"\0%b\0\0\0" % query.encode()), ("B", bytes(8)), ("E", bytes(5)),
        ("P", b"never\0SELECT 1\0\0\0"), ("B", b"\0never" + bytes(7)), ("E", bytes(5)), ("S", b""),
    )  # fmt: skip


def begun(client: RawClient, query: str) -> Exchange:
    """BEGIN and the result in one pipeline."""
    return pipeline(
        client,
        ("P", b"\0BEGIN\0\0\0"), ("B", bytes(8)), ("E", bytes(5)),
        ("P", b"\0%b\0\0\0" % query.encode()), ("B", bytes(8)), ("E", bytes(5)), ("S", b""),
    )  # fmt: skip


def fetched(client: RawClient, query: str) -> Exchange:
    """By a cursor, which stands in a transaction block."""
    assert client.simple(f"DECLARE c CURSOR FOR {query}").errors == []
    return client.simple("FETCH ALL FROM c")


FORMS = (
    Form(lambda client, query: client.simple(query)),
    Form(lambda client, query: client.simple(query), block=True),
    Form(lambda client, query: client.simple(f"SELECT WHERE false; {query}; SELECT 2")),
    Form(lambda client, query: client.extended(query)),
    Form(lambda client, query: client.extended(query), block=True),
    Form(behind),
    Form(behind, block=True),
    Form(begun),
    Form(fetched, block=True),
    Form(lambda client, query: client.simple(f"COPY ({query}) TO STDOUT"), copy=True),
    Form(lambda client, query: client.simple(f"COPY ({query}) TO STDOUT"), block=True, copy=True),
)


def cut(client: RawClient, inside: Client, form: Form, query: str, at: int) -> None:
    """One result, of which `at` rows may come; and the statements after it."""
    if form.block:
        assert client.simple("BEGIN").status == "T"
    inside.session.result.most_rows = at
    seen = form.ask(client, query)
    inside.session.result.most_rows = 1_000_000
    row = "d" if form.copy else "D"
    tags = [one.tag for one in seen.messages]
    failed = form.block or form.ask is begun
    assert tags.count(row) == at
    assert tags[-2:] == ["E", "Z"]
    assert [one["C"] for one in seen.errors] == ["53400"]
    assert seen.status == ("E" if failed else "I")
    if failed:
        assert [one["C"] for one in client.simple("SELECT 41").errors] == ["25P02"]
        assert client.simple("ROLLBACK").status == "I"
    assert client.simple("SELECT 42").rows == [(b"42",)]
    assert client.extended("SELECT 43").rows == [(b"43",)]
    if form.ask is behind:
        assert [one["C"] for one in pipeline(client, ("B", b"\0never" + bytes(7)), ("S", b"")).errors] == ["26000"]


def points(seed: int) -> Iterator[tuple[Form, str, int]]:
    dice = random.Random(seed)
    for _ in range(POINTS):
        rows = dice.choice((dice.randrange(1, 30), dice.randrange(1, 3000)))
        width = dice.choice((1, dice.randrange(300), dice.choice((1, 20_000 if rows < 500 else 1))))
        yield dice.choice(FORMS), f"SELECT repeat('x', {width}) FROM generate_series(1, {rows})", dice.randrange(rows)


async def test_after_a_thousand_random_cuts_the_next_statement_works_each_time(houses: Houses, effort: int) -> None:
    house = await houses(limits=Limits(result_rows=1_000_000))
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    client = await house.connect()
    (inside,) = house.listener.clients

    def run() -> None:
        for number in range(effort):
            for form, query, at in points(seed + number):
                cut(client, inside, form, query, at)

    await asyncio.to_thread(run)
    client.close()
    await until(lambda: not house.listener.clients)
    assert sum(one.leased for one in house.pools.statistics().shares) == 0
    assert house.pools.statistics().counters.opened == 1  # none was lost by it


@pytest.mark.parametrize("width", [1, 20_000])
async def test_each_of_the_last_messages_can_be_the_first_that_is_too_much(houses: Houses, width: int) -> None:
    """Small rows are read with CommandComplete and ReadyForQuery in one read, before anything is cut off."""
    house = await houses(limits=Limits(result_rows=1_000_000))
    client = await house.connect()
    (inside,) = house.listener.clients
    query = f"SELECT repeat('x', {width}) FROM generate_series(1, {LAST + 10})"

    def run() -> None:
        for at in range(10, LAST + 10):
            for form in FORMS[:2] if width > 1 else FORMS:
                cut(client, inside, form, query, at)

    await asyncio.to_thread(run)
    client.close()


async def test_a_result_without_an_end_is_stopped_and_costs_the_tenant_nothing_more(houses: Houses) -> None:
    house = await houses(limits=Limits(result_bytes=50_000_000, server_connections=1))
    one, other = await house.connect(), await house.connect()
    endless = "SELECT repeat('x', 1000), generate_series(1, 10000000000)"  # here it is not made before it is sent
    seen = await asyncio.to_thread(one.simple, endless)
    assert [error["M"] for error in seen.errors] == ["quota exceeded: result bytes"]
    assert 49_000_000 < sum(5 + len(row.body) for row in seen.messages if row.tag == "D") <= 50_000_000
    assert (await house.ask(other, "SELECT 1")).rows == [(b"1",)]
    assert house.pools.statistics().counters.opened == 1
    one.close()
    other.close()


async def test_a_client_that_does_not_read_does_not_keep_the_connection(
    houses: Houses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read in which the limit is passed is also the one that fills the client's buffer, for good."""
    house = await houses(limits=Limits(result_bytes=400_000, server_connections=1))
    one = await house.connect()
    (inside,) = house.listener.clients
    other = await house.connect()
    write = inside.write

    def fill(data: bytes) -> None:
        write(data)
        if inside.session.result.cut is not None:
            inside.pause_writing()

    monkeypatch.setattr(inside, "write", fill)
    one.send("Q", b"SELECT repeat('x', 100000), generate_series(1, 1000000)\0")
    await until(lambda: inside.full_since is not None)
    assert (await house.ask(other, "SELECT 1")).rows == [(b"1",)]
    assert house.pools.statistics().counters.opened == 1
    one.close()
    other.close()


async def test_nobody_else_is_hit_by_what_stops_a_result(houses: Houses) -> None:
    house = await houses(limits=Limits(result_rows=100, server_connections=3))

    async def greedy(seed: int) -> int:
        dice, client, cuts = random.Random(seed), await house.connect(), 0
        for _ in range(40):
            width = dice.choice((1, 1000, 20_000))
            seen = await house.ask(client, f"SELECT repeat('x', {width}) FROM generate_series(1, 10000)")
            assert [one["C"] for one in seen.errors] == ["53400"]
            assert len(seen.rows) == 100
            cuts += 1
        client.close()
        return cuts

    async def modest(seed: int) -> int:
        dice = random.Random(seed)
        connection = await psycopg.AsyncConnection.connect(
            f"host=127.0.0.1 port={house.port} user=alice dbname=test password='{PASSWORD}'", autocommit=True
        )
        for number in range(150):
            cursor = await connection.execute("SELECT %s::int, pg_sleep(%s)", [number, dice.random() / 500])
            assert (await cursor.fetchone() or (None,))[0] == number
        await connection.close()
        return 0

    counts = await asyncio.gather(*(kind(seed) for seed in range(5) for kind in (greedy, modest)))
    assert sum(counts) == 200


async def test_drivers_go_on_after_a_cut(houses: Houses) -> None:
    house = await houses(limits=Limits(result_rows=10))
    address = f"host=127.0.0.1 port={house.port} user=alice dbname=test password='{PASSWORD}'"
    connection = await psycopg.AsyncConnection.connect(address)
    too_many = "SELECT g FROM generate_series(1, %s) g"
    for number in range(8):  # psycopg prepares what comes often
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded) as caught:
            await connection.execute(too_many, [10_000 + number])
        assert caught.value.diag.message_detail == "The limit is 10 rows; 10 were sent, and there are more."
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        await connection.rollback()
        assert len(await (await connection.execute(too_many, [9])).fetchall()) == 9
        await connection.rollback()
    async with connection.cursor("pieces") as cursor:  # as the HINT says
        cursor.itersize = 10
        await cursor.execute("SELECT g FROM generate_series(1, 95) g")
        assert [row[0] async for row in cursor] == list(range(1, 96))
    async with connection.pipeline():
        cursors = [await connection.execute(too_many, [one]) for one in (3, 4)]
        assert [len(await one.fetchall()) for one in cursors] == [3, 4]
    await connection.close()
