"""psycopg 2: everything goes by the simple protocol, with the values in the text."""

from __future__ import annotations

import io
import select
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy


@pytest.fixture
def pair(shared_server: Cluster, proxy: Proxy) -> Iterator[tuple[Any, Any]]:
    """One connection through the proxy, one to the same tenant's private database."""
    with (
        closing(psycopg2.connect(proxy.dsn("globex_app"))) as seen,
        closing(psycopg2.connect(shared_server.dsn("app", "private2"))) as private,
    ):
        yield seen, private


def both(pair: tuple[Any, Any], does: Any) -> Any:
    """What `does` finds on either connection, which is the same; errors as (SQLSTATE, message, detail, position)."""

    def told(connection: Any) -> Any:
        try:
            return does(connection)
        except psycopg2.Error as error:
            connection.rollback()
            diag = error.diag
            return (
                type(error).__name__,
                diag.sqlstate,
                diag.message_primary,
                diag.message_detail,
                diag.statement_position,
            )

    seen, private = (told(connection) for connection in pair)
    assert seen == private
    return seen


def rows(connection: Any, sql: str, values: Any = None) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        # the numbers of the sample's own types differ from one database to the other
        columns = [(name, min(number, 16384)) for name, number, *_ in cursor.description or ()]
        return cursor.statusmessage, columns, list(cursor)


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT * FROM orders ORDER BY id", None),
        ("SELECT id, note FROM orders WHERE qty = %s AND status IN %s ORDER BY id", (2, ("new", "paid"))),
        ("SELECT id FROM orders WHERE id = ANY(%(ids)s) ORDER BY id", {"ids": [1, 2, 30]}),
        ("SELECT %s, %s, %s, %s, %s", (Decimal("1.50"), datetime(2024, 1, 1, tzinfo=UTC), None, True, [1, 2])),
        ("SELECT %s::bytea, %s", (b"\x00\xff", "it's \\ a 'text'")),
        ("SELECT name FROM customers WHERE name LIKE %s AND city ILIKE %s ORDER BY 1", ("%a%", "OSL%")),
        ("SELECT nothing FROM orders", None),
        ("SELECT *\n  FROM nowhere", None),
        ("SELECT 1 / %s", (0,)),
        ("INSERT INTO customers (id, name) VALUES (%s, %s)", (1, "again")),
    ],
)
def test_answers_and_errors_are_those_of_a_private_database(pair: tuple[Any, Any], sql: str, values: Any) -> None:
    both(pair, lambda connection: rows(connection, sql, values))


def test_many_rows_at_once_a_copy_and_a_server_side_cursor(pair: tuple[Any, Any]) -> None:
    def does(connection: Any) -> list[Any]:
        found: list[Any] = []
        with connection.cursor() as cursor:
            made = [(1000 + number, f"name {number}") for number in range(250)]
            sql = "INSERT INTO customers (id, name) VALUES %s RETURNING id"
            found.append(psycopg2.extras.execute_values(cursor, sql, made, page_size=100, fetch=True))
            psycopg2.extras.execute_batch(
                cursor, "UPDATE customers SET city = %s WHERE id = %s", [("X", 1001), ("Y", 1002)]
            )
            cursor.copy_expert("COPY customers (id, name) FROM STDIN", io.StringIO("2000\ta\n2001\tb\n"))
            found.append(cursor.rowcount)
            out = io.StringIO()
            cursor.copy_expert("COPY (SELECT id, city FROM customers WHERE id >= 1000 ORDER BY id) TO STDOUT", out)
            found.append(out.getvalue())
        with connection.cursor("held", withhold=False) as cursor:
            cursor.itersize = 50
            cursor.execute("SELECT id FROM customers ORDER BY id")
            found.append([row[0] for row in cursor])
        with connection.cursor("scrolled", scrollable=True) as cursor:
            cursor.execute("SELECT id FROM customers ORDER BY id")
            cursor.scroll(5)
            found.append(cursor.fetchone())
            cursor.scroll(0, mode="absolute")
            found.append(cursor.fetchmany(3))
        connection.rollback()
        return found

    both(pair, does)


def test_levels_savepoints_notices_and_what_a_session_keeps(pair: tuple[Any, Any]) -> None:
    def does(connection: Any) -> list[Any]:
        found: list[Any] = []
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        found.append(rows(connection, "SHOW transaction_isolation"))
        connection.rollback()
        connection.set_session(isolation_level="READ COMMITTED", readonly=False)
        with connection, connection.cursor() as cursor:
            cursor.execute("SAVEPOINT a")
            with pytest.raises(psycopg2.errors.DivisionByZero):
                cursor.execute("SELECT 1/0")
            cursor.execute("ROLLBACK TO SAVEPOINT a")
            cursor.execute("SELECT shout('hi')")
        found.append(connection.notices[-1:])
        connection.autocommit = True
        rows(connection, "SET TimeZone TO 'Asia/Tokyo'")
        found.append(rows(connection, "SELECT '2024-01-01 00:00+00'::timestamptz::text"))
        connection.reset()  # ABORT, RESET ALL, SET SESSION AUTHORIZATION DEFAULT
        found.append(connection.get_transaction_status())
        return found

    both(pair, does)


def test_a_query_can_be_cancelled_and_notifications_arrive(proxy: Proxy) -> None:
    with (
        closing(psycopg2.connect(proxy.dsn("acme_app"), async_=True)) as waiting,
        closing(psycopg2.connect(proxy.dsn("acme_app"))) as other,
    ):
        psycopg2.extras.wait_select(waiting)
        with waiting.cursor() as cursor:
            cursor.execute("LISTEN jobs")
            psycopg2.extras.wait_select(waiting)
            with other, other.cursor() as sender:
                sender.execute("NOTIFY jobs, 'work'")
            while not waiting.notifies:
                assert select.select([waiting], [], [], 10)[0]
                waiting.poll()
            assert [(one.channel, one.payload) for one in waiting.notifies] == [("jobs", "work")]
            cursor.execute("SELECT count(*) FROM generate_series(1, 10000000000)")
            with pytest.raises(psycopg2.extensions.QueryCanceledError):
                for _ in range(20):  # what the server's process has not read yet is not canceled there
                    waiting.cancel()
                    if select.select([waiting], [], [], 2)[0]:
                        psycopg2.extras.wait_select(waiting)


def test_dictionaries_json_ranges_and_composites_are_understood(pair: tuple[Any, Any]) -> None:
    def does(connection: Any) -> list[Any]:
        found: list[Any] = []
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(
                "SELECT id, meta FROM orders WHERE meta @> %s ORDER BY id", [psycopg2.extras.Json({"src": "web"})]
            )
            found.append([dict(row) for row in cursor])
            psycopg2.extras.register_composite("addr", cursor)  # asks the catalogs
            cursor.execute("SELECT home, during FROM users, bookings WHERE id = 1 ORDER BY 2")
            found.append([{name: str(value) for name, value in row.items()} for row in cursor])
        connection.rollback()
        return found

    both(pair, does)
