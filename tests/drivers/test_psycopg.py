"""psycopg 3, sync and async, as two tenants."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy

STATEMENTS = (
    "SELECT * FROM orders ORDER BY id",
    "SELECT c.name, count(o.id) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY 1",
    "SELECT status, sum(amount) FROM orders GROUP BY status ORDER BY status",
    "SELECT * FROM orders o WHERE EXISTS (SELECT 1 FROM order_items i WHERE i.order_id = o.id AND i.qty > 1)"
    " ORDER BY id",
)


@pytest.mark.parametrize(("login", "tenant"), [("acme_app", 1), ("globex_app", 2)])
def test_sync_answers_are_those_of_a_private_database(
    shared_server: Cluster, proxy: Proxy, login: str, tenant: int
) -> None:
    with (
        psycopg.connect(proxy.dsn(login)) as seen,
        psycopg.connect(shared_server.dsn("app", f"private{tenant}")) as private,
    ):
        for sql in STATEMENTS:
            for _ in range(7):  # past psycopg's threshold for server-side preparation
                assert seen.execute(sql).fetchall() == private.execute(sql).fetchall()
            with psycopg.ClientCursor(seen) as simple, private.cursor() as other:
                assert simple.execute(sql).fetchall() == other.execute(sql).fetchall()
        found = seen.execute("SELECT id FROM orders WHERE id = %s AND note IS NOT DISTINCT FROM note", [3]).fetchall()
        assert found == [(3,)]


async def test_async_connections_of_two_tenants_do_not_meet(shared_server: Cluster, proxy: Proxy) -> None:
    async def keys(login: str) -> set[int]:
        async with await psycopg.AsyncConnection.connect(proxy.dsn(login)) as connection:
            found: set[int] = set()
            for _ in range(30):
                cursor = await connection.execute("SELECT tenant_id FROM orders")
                found |= {row[0] for row in await cursor.fetchall()}
                await connection.commit()
            return found

    assert list(await asyncio.gather(keys("acme_app"), keys("globex_app"))) == [{1}, {2}]


def test_a_pipeline_and_a_failed_transaction_behave_as_usual(proxy: Proxy) -> None:
    with psycopg.connect(proxy.dsn("acme_app")) as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int + count(*) * 0 FROM orders", [n]) for n in range(10)]
        assert [cursor.fetchone() for cursor in cursors] == [(n,) for n in range(10)]
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        with connection.transaction(), connection.transaction():
            connection.execute("SELECT 1")


def test_notifies_yields_what_the_own_tenant_sends(proxy: Proxy) -> None:
    with (
        psycopg.connect(proxy.dsn("acme_app"), autocommit=True) as listener,
        psycopg.connect(proxy.dsn("acme_app"), autocommit=True) as other,
        psycopg.connect(proxy.dsn("globex_app"), autocommit=True) as foreign,
    ):
        listener.execute("LISTEN jobs")
        foreign.execute("SELECT pg_notify('jobs', %s)", ["another tenant"])
        other.execute("SELECT pg_notify('jobs', %s)", ["work"])
        (told,) = listener.notifies(timeout=10, stop_after=1)
        assert (told.channel, told.payload, told.pid) == ("jobs", "work", other.info.backend_pid)


def test_cursors_with_names_know_their_columns(shared_server: Cluster, proxy: Proxy) -> None:
    answers = []
    for dsn in (proxy.dsn("acme_app"), shared_server.dsn("app", "private1")):
        with psycopg.connect(dsn) as connection:
            with connection.cursor("rows", scrollable=True) as cursor:
                cursor.execute("SELECT id, name FROM customers ORDER BY id")
                seen = [[one.name for one in cursor.description or ()], cursor.fetchmany(2), cursor.fetchall()]
                cursor.scroll(0, "absolute")
                seen.append(cursor.fetchone())
            with connection.cursor("held", withhold=True) as cursor:
                cursor.execute("SELECT id FROM customers ORDER BY id")
                connection.commit()
                seen.append(cursor.fetchall())
            answers.append(seen)
    assert answers[0] == answers[1]
