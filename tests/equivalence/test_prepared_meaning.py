"""A prepared statement means what it would mean for this session and this schema, whoever prepared its text before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import LiteralString

import psycopg
import pytest

from tests.kit.owned import owned, owned_rules
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def shared(shared_server: Cluster) -> Iterator[Proxy]:
    """Of one server connection."""
    with running_proxy(shared_server.port, MAX_SERVER_CONNECTIONS="1") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def own(shared_server: Cluster) -> Iterator[Proxy]:
    with (
        owned(shared_server, 1) as copy,
        running_proxy(shared_server.port, rules=owned_rules(shared_server.port, {1: copy})) as proxy,
    ):
        yield proxy


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(stack: ExitStack, proxy: Proxy) -> Connection:
    return stack.enter_context(psycopg.connect(proxy.dsn("acme_app"), autocommit=True, prepare_threshold=0))


def one(connection: Connection, text: LiteralString, *values: object) -> object:
    row = connection.execute(text, values, prepare=True).fetchone()
    assert row is not None
    return row[0]


def test_constants_are_read_by_the_settings_of_the_session_that_prepares(shared: Proxy, stack: ExitStack) -> None:
    here, there = connect(stack, shared), connect(stack, shared)
    here.execute("SET timezone TO 'UTC'")
    there.execute("SET timezone TO 'Asia/Tokyo'")
    text: LiteralString = "SELECT extract(epoch FROM timestamptz '1970-01-01 09:00:00')::int WHERE %s::int = 1"
    assert (one(here, text, 1), one(there, text, 1)) == (9 * 3600, 0)
    here.execute("SET datestyle TO 'ISO, DMY'")
    there.execute("SET datestyle TO 'ISO, MDY'")
    text = "SELECT extract(month FROM date '02/03/2026')::int WHERE %s::int = 1"
    assert (one(here, text, 1), one(there, text, 1)) == (3, 2)


@pytest.mark.parametrize("maker", ["same session", "another session"])
def test_a_table_that_was_made_anew_gives_its_parameters_new_types(own: Proxy, stack: ExitStack, maker: str) -> None:
    user = connect(stack, own)
    owner = user if maker == "same session" else connect(stack, own)
    for kind, value in (("int", "7"), ("interval", "7 days"), ("text", "seven")):
        owner.execute(b"CREATE TABLE made (v " + kind.encode() + b")")
        with user.cursor() as cursor:  # as a driver that prepares anew: under another name
            user.prepare_threshold = None
            cursor.execute("INSERT INTO made VALUES (%s)", (value,))
            user.prepare_threshold = 0
            cursor.execute("INSERT INTO made VALUES (%s)", (value,), prepare=True)
        user.execute("DEALLOCATE ALL")
        assert one(owner, "SELECT count(*) FROM made WHERE v::text = %s", value) == 2
        owner.execute("DROP TABLE made")
        owner.execute("DEALLOCATE ALL")
