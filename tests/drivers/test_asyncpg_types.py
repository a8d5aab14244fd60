"""asyncpg, which speaks binary and asks the catalogs for every type it does not know, beside a private database."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy

Does = Callable[[asyncpg.Connection], Awaitable[Any]]
NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
VALUES = (
    ("bool", True), ("int2", -5), ("int8", 1 << 40), ("float8", 1.5), ("numeric", decimal.Decimal("12.340")),
    ("text", "it's \\ ü"), ("bytea", b"\x00\xff"), ("date", NOON.date()), ("timestamptz", NOON),
    ("timestamp", NOON.replace(tzinfo=None)), ("time", NOON.time()), ("interval", dt.timedelta(days=1, seconds=2)),
    ("uuid", uuid.UUID(int=7)), ("jsonb", '{"a": [1, null]}'), ("inet", ipaddress.ip_address("10.0.0.1")),
    ("int4[]", [1, None, 3]), ("text[]", [["a", "b"], ["c", "d"]]), ("int4range", asyncpg.Range(1, 5)),
    ("numrange", asyncpg.Range(decimal.Decimal(1), None)), ("bit(4)", asyncpg.BitString.from_int(10, 4)),
    ("point", asyncpg.Point(1, 2)), ("box", asyncpg.Box((1, 1), (0, 0))), ("tid", (1, 2)),
    ("addr", ("s", "c", "z")), ("order_status", "paid"),
    ("posint", 5), ("order_status[]", ["new", "paid"]), ("addr[]", [("s", None, "z")]), ("char", "x"), ("name", "n"),
)  # fmt: skip


@pytest.fixture
async def pair(shared_server: Cluster, proxy: Proxy) -> AsyncIterator[tuple[asyncpg.Connection, asyncpg.Connection]]:
    """One connection through the proxy, one to the same tenant's private database."""
    seen = await asyncpg.connect(proxy.dsn("globex_app"))
    private = await asyncpg.connect(shared_server.dsn("app", "private2"))
    yield seen, private
    await seen.close()
    await private.close()


async def both(pair: tuple[asyncpg.Connection, asyncpg.Connection], does: Does) -> Any:
    """What `does` finds on either connection, which is the same; errors by all their fields but the place in C."""

    async def told(connection: asyncpg.Connection) -> Any:
        try:
            return await does(connection)
        except asyncpg.PostgresError as error:
            return {name: value for name, value in error.as_dict().items() if not name.startswith("server_source")}

    seen, private = [await told(connection) for connection in pair]
    assert seen == private
    return seen


@pytest.mark.parametrize(("name", "value"), VALUES, ids=[name for name, _ in VALUES])
async def test_values_of_a_type_go_both_ways(
    pair: tuple[asyncpg.Connection, asyncpg.Connection], name: str, value: Any
) -> None:
    sql = f"SELECT $1::{name} AS one, array_agg(id) FROM orders WHERE $1::{name} IS NOT NULL"
    found = await both(pair, lambda connection: connection.fetchrow(sql, value))
    assert isinstance(found, asyncpg.Record)


async def test_statements_are_described(pair: tuple[asyncpg.Connection, asyncpg.Connection]) -> None:
    async def does(connection: asyncpg.Connection) -> Any:
        found: list[Any] = []
        for sql in (
            "SELECT * FROM orders WHERE id = $1 AND note = $2",
            "INSERT INTO users (id, email, name, home) VALUES ($1, $2, $3, $4) RETURNING home, tags",
            "SELECT u.home, o.status, u.tags FROM users u JOIN orders o ON o.user_id = u.id WHERE o.status = $1",
            "SELECT u FROM users u",
        ):
            prepared = await connection.prepare(sql)
            found.append([one.name for one in prepared.get_parameters()])
            found.append([(one.name, one.type.name, one.type.kind) for one in prepared.get_attributes()])
            found.append(prepared.get_statusmsg())
        return found

    await both(pair, does)


async def test_cursors_many_arguments_and_savepoints(pair: tuple[asyncpg.Connection, asyncpg.Connection]) -> None:
    async def does(connection: asyncpg.Connection) -> Any:
        found: list[Any] = []
        outer = connection.transaction()
        await outer.start()
        rows = [(1000 + number, f"name {number}", None) for number in range(200)]
        await connection.executemany("INSERT INTO customers (id, name, city) VALUES ($1, $2, $3)", rows)
        found.append(
            [row["id"] async for row in connection.cursor("SELECT id FROM customers ORDER BY id", prefetch=17)]
        )
        cursor = await connection.cursor("SELECT id FROM customers WHERE id > $1 ORDER BY id", 3)
        found.append([await cursor.fetchrow(), await cursor.forward(5), await cursor.fetch(3)])
        with pytest.raises(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.executemany(
                    "INSERT INTO customers (id, name) VALUES ($1, $2)", [(5000, "x"), (1, "y")]
                )
        found.append(await connection.fetchval("SELECT count(*) FROM customers"))
        found.append(
            await connection.fetchmany(
                "UPDATE customers SET city = $2 WHERE id = $1 RETURNING id, city", [(1, "a"), (2, "b")]
            )
        )
        found.append(await connection.execute("SELECT 1; UPDATE customers SET city = 'X'; SELECT 2"))
        await outer.rollback()
        return found

    await both(pair, does)


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT nothing FROM orders", ()),
        ("SELECT * FROM nowhere WHERE id = $1", (1,)),
        ("SELECT 1 / $1::int", (0,)),
        ("INSERT INTO customers (id, name) VALUES ($1, $2)", (1, "again")),
        ("INSERT INTO orders (id, customer_id) VALUES ($1, $2)", (777, 4711)),
        ("UPDATE orders SET amount = $1", (decimal.Decimal(-1),)),
        ("SELECT $1::text::int", ("x",)),
        ("SELECT $1::posint", (-1,)),
        ("SELECT slugify($1)", ("A b",)),
        ("SELECT nothing($1::int)", (1,)),
        ("SELECT $1", ("untyped",)),
    ],
)
async def test_errors_have_the_fields_of_a_private_databases(
    pair: tuple[asyncpg.Connection, asyncpg.Connection], sql: str, values: tuple[Any, ...]
) -> None:
    await both(pair, lambda connection: connection.fetch(sql, *values))


async def test_a_session_is_reset_and_its_settings_are_its_own(
    pair: tuple[asyncpg.Connection, asyncpg.Connection],
) -> None:
    async def does(connection: asyncpg.Connection) -> Any:
        notices: list[str] = []
        connection.add_log_listener(lambda _, message: notices.append(message.message))
        await connection.execute("SET TimeZone TO 'Asia/Tokyo'; SELECT shout('hi')")
        found = [await connection.fetchval("SELECT '2024-01-01 00:00+00'::timestamptz::text"), notices]
        found.append(connection.get_settings().TimeZone)
        await connection.reset()
        found.append(await connection.fetchval("SHOW TimeZone"))
        async with connection.transaction(isolation="serializable", readonly=True, deferrable=True):
            found.append(await connection.fetchval("SHOW transaction_isolation"))
        found.append(await connection.fetch("SELECT 1 AS name"))
        return found

    await both(pair, does)
