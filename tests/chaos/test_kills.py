"""Seeded kills of server, client and network in every phase: afterwards nothing is leased and the books agree with
the server's own.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.kit.books import Books, eventually
from tests.kit.chaos import Chaos, chaos_before
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient, message
from tests.kit.sample import load_sample, pristine

KILLS = 500
LOGINS = ("acme_app", "globex_app", "initech_app")
SLOW = "SELECT count(*) FROM orders a, orders b, orders c, orders d WHERE a.id + b.id + c.id + d.id < 0"
WIDE = "SELECT a.*, b.*, c.id FROM orders a, orders b, orders c"


def extended(text: str, name: bytes = b"") -> bytes:
    parse = message("P", name + b"\0" + text.encode() + b"\0\0\0")
    bind = message("B", b"\0" + name + b"\0" + b"\0\0\0\0\0\0")
    return parse + bind + message("D", b"P\0") + message("E", b"\0\0\0\0\0") + message("S")


def query(text: str) -> bytes:
    return message("Q", text.encode() + b"\0")


# What a client may be in the middle of when the knife falls.
PHASES: dict[str, bytes] = {
    "idle": b"",
    "simple": query("SELECT id FROM orders"),
    "slow": query(SLOW),
    "wide result": query(WIDE),
    "in transaction": query("BEGIN") + query("UPDATE orders SET qty = qty + 1 WHERE id = 1"),
    "failed transaction": query("BEGIN") + query("SELECT 1 / 0"),
    "refused": query("BEGIN") + query("SELECT * FROM jobs_that_are_not"),
    "extended": extended("SELECT id FROM customers"),
    "named": extended("SELECT id FROM customers", b"s1") + extended("SELECT 1", b"s2"),
    "unsynced": extended("SELECT id FROM customers")[:-5],
    "pipeline": b"".join(extended(f"SELECT {n}") for n in range(20)),
    "prepared": query("PREPARE p (int) AS SELECT id FROM orders WHERE id > $1") + query("EXECUTE p (3)"),
    "held cursor": query("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders") + query("FETCH 2 FROM h"),
    "temporary table": query("CREATE TEMP TABLE mine AS SELECT id FROM orders") + query("BEGIN; DROP TABLE mine"),
    "discarded": query("CREATE TEMP TABLE mine (id int)") + query("DISCARD ALL") + query("SELECT id FROM orders"),
    "settings": query("SET statement_timeout = '20s'") + extended("SELECT id FROM orders"),
}


@dataclass(frozen=True)
class Target:
    """A database of this test's own: nobody else's connections are counted or killed."""

    cluster: Cluster
    database: str

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.cluster.dsn(database=self.database), autocommit=True)


@pytest.fixture
def target(postgres15: Cluster) -> Iterator[Target]:
    cluster = load_sample(postgres15)
    with pristine(cluster) as database:
        yield Target(cluster, database)


def left_behind(target: Target) -> int:
    """Temporary tables that no session has any more."""
    with target.connect() as connection:
        row = connection.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't'").fetchone()
    assert row is not None
    return int(row[0])


def kill_server(target: Target, dice: random.Random) -> None:
    with target.connect() as connection:
        pids = [
            row[0]
            for row in connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND datname = current_database()"
            )
        ]
        for pid in pids if dice.random() < 0.3 else pids and [dice.choice(pids)]:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])


def cut_client(client: RawClient, dice: random.Random) -> None:
    if dice.random() < 0.5:  # a reset instead of an orderly end
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


def strike(proxy: Proxy, target: Target, chaos: Chaos, seed: int) -> str:
    """One client gets into a phase, one knife falls, the client goes. Returns what was done, for the report."""
    dice = random.Random(seed)
    knife, phase = dice.choice(("server", "client", "network")), dice.choice(sorted(PHASES))
    data = PHASES[phase]
    client = proxy.connect(dice.choice(LOGINS))
    if knife == "network":
        chaos.cut_after(dice.randrange(1, 4000)) if dice.random() < 0.7 else chaos.cut_now()
    if not client.greeting.closed:
        client.socket.sendall(data[: dice.randrange(len(data) + 1)] if knife == "client" and data else data)
        if dice.random() < 0.5:
            client.socket.settimeout(0.02)
            with suppress(TimeoutError, ConnectionError):
                client.socket.recv(dice.randrange(1, 4096))
    if knife == "server":
        kill_server(target, dice)
    cut_client(client, dice)
    chaos.cut_after(None)
    return f"seed {seed}: {knife} while {phase}"


@pytest.mark.timeout(900)  # five hundred kills, on a machine that may have other work
def test_after_every_kill_nothing_is_leased_and_the_books_agree(target: Target, effort: int) -> None:
    with chaos_before(target.cluster.port) as chaos, running_proxy(chaos.port, target.database) as proxy:
        books = Books(proxy, target.cluster.dsn(database=target.database))
        for seed in range(KILLS * effort):
            books.settled(strike(proxy, target, chaos, seed))
        assert books.pinned() == 0
        assert eventually(lambda: left_behind(target) == 0, 20.0)
        with proxy.connect("acme_app") as client:
            assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
        assert proxy.process.poll() is None
