"""The bill against the clients' own books: exact when the proxy is told to end, and when it is killed never more than
what was used, nor less than what was used until the journal was written last.
"""

from __future__ import annotations

import random
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from proxy.accounting.journal import NAME
from proxy.accounting.report import Span, read
from proxy.quota.usage import NOTHING, Usage
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, serving
from tests.kit.rawclient import TIMEOUT, Exchange, RawClient
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample

LOGINS = ("acme_app", "globex_app", "initech_app")
TENANTS = {login: login.removesuffix("_app") for login in LOGINS}
KILLS = 4
INTERVAL = 1.0  # flush_interval's default
LARGEST = 441  # rows of one piece of work
STALL = 1.0  # seconds for which a busy machine may not let the proxy run


@dataclass(frozen=True, slots=True)
class Work:
    """What a client sends, and how many statements and refusals that is."""

    text: str
    statements: int = 1
    refusals: int = 0
    extended: bool = False


WORK = (
    Work("SELECT id FROM orders"),
    Work("SELECT id FROM orders", extended=True),
    Work("SELECT a.*, b.id FROM orders a, orders b"),
    Work("SELECT a.*, b.id FROM orders a, orders b", extended=True),
    Work("SELECT 1; SELECT id FROM orders", 2),
    Work("SELECT 1 / 0"),
    Work("SHOW server_version"),
    Work("BEGIN; UPDATE orders SET qty = qty; ROLLBACK", 3),
    Work("COPY orders TO STDOUT"),
    Work("SELECT * FROM hidden_from_all", 0, 1),
    Work("SELECT * FROM hidden_from_all", 0, 1, extended=True),
    Work("DROP TABLE orders", 0, 1),
)


class Tap(socket.socket):
    """A socket that counts what goes through it."""

    sent = received = 0

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]  # bytes are all that is sent
        super().sendall(data, flags)
        self.sent += len(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = super().recv(size, flags)
        self.received += len(data)
        return data


class Client(RawClient):
    """Counts what it used."""

    @staticmethod
    def connected(host: str, port: int) -> socket.socket:
        tap = Tap(socket.AF_INET, socket.SOCK_STREAM)
        tap.settimeout(TIMEOUT)
        tap.connect((host, port))
        return tap

    def __init__(self, proxy: Proxy, login: str) -> None:
        super().__init__("127.0.0.1", proxy.port, login, proxy.database, proxy.passwords[login])
        self.login = login
        self.done = NOTHING

    def work(self, work: Work) -> Exchange:
        """One piece of work. ConnectionError when it was not answered to its end."""
        exchange = self.extended(work.text) if work.extended else self.simple(work.text)
        if exchange.closed:
            raise ConnectionError
        rows = sum(one.tag in {"D", "d"} for one in exchange.messages)
        self.done = self.done.plus(Usage(statements=work.statements, rows=rows, refusals=work.refusals))
        return exchange

    def read_to_the_end(self) -> None:
        """Until the proxy hangs up."""
        while self.receive() is not None:
            pass
        self.socket.close()

    @property
    def used(self) -> Usage:
        assert isinstance(self.socket, Tap)
        return self.done._replace(bytes_in=self.socket.sent, bytes_out=self.socket.received)


@dataclass
class House:
    """Serves the sample, again and again over the same journal."""

    directory: Path
    passwords: dict[str, str]

    def serving(self, **settings: str) -> AbstractContextManager[Proxy]:
        return serving(self.directory, "shared", self.passwords, **settings)

    @property
    def journal(self) -> Path:
        return self.directory / "state" / NAME

    def billed(self) -> dict[str, Usage]:
        """By login, of all processes that ever served."""
        found = dict.fromkeys(LOGINS, NOTHING)
        for line in read([self.journal], Span(), "month") if self.journal.is_file() else ():
            assert line.tenant == TENANTS[line.login]
            found[line.login] = found[line.login].plus(line.usage)
        return found

    def as_of(self) -> float:
        """When the totals were read that the process which served last has written last; seconds since the epoch."""
        if not self.journal.is_file():
            return 0.0
        with closing(sqlite3.connect(self.journal)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
                return 0.0
            (found,) = connection.execute("SELECT coalesce(max(taken), 0) FROM processes").fetchone()
        return float(found)


@pytest.fixture
def house(postgres15: Cluster, tmp_path: Path) -> House:
    (tmp_path / "rules").mkdir()
    return House(tmp_path, write_sample_rules(tmp_path / "rules", load_sample(postgres15).port, "shared"))


def countable(usage: Usage) -> tuple[int, ...]:
    """What a client can count as well."""
    return usage.statements, usage.rows, usage.bytes_in, usage.bytes_out, usage.refusals


@pytest.mark.parametrize("workers", [1, 2])
def test_after_sigterm_the_bill_is_what_the_clients_counted(house: House, workers: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    begun = time.monotonic()
    with house.serving(WORKERS=str(workers)) as proxy:
        clients = [Client(proxy, login) for login in LOGINS for _ in range(2)]

        def load(client: Client, own: random.Random) -> None:
            for _ in range(60):
                client.work(own.choice(WORK))

        in_parallel([partial(load, one, random.Random(dice.random())) for one in clients])
        early, late, *others = clients
        early.close()  # says goodbye
        late.work(Work("BEGIN"))
        proxy.process.terminate()
        for one in others:
            one.read_to_the_end()
        late.work(Work("SELECT id FROM orders"))
        late.work(Work("COMMIT"))
        late.read_to_the_end()
        assert proxy.process.wait(30) == 0
        elapsed = (time.monotonic() - begun) * 1000
    assert not list(house.journal.parent.glob("*-wal")), "the journal was not closed"
    billed = house.billed()
    for login in LOGINS:
        counted = NOTHING
        for one in clients:
            if one.login == login:
                counted = counted.plus(one.used)
        assert countable(billed[login]) == countable(counted), login
        assert 0 < billed[login].server_ms < 2 * elapsed
        assert billed[login].wait_ms < 2 * elapsed


@pytest.mark.parametrize("extended", [False, True])
def test_what_a_quota_refuses_is_one_refusal_and_no_statement(house: House, extended: bool) -> None:
    with (house.directory / "rules" / "sample.yaml").open("a", encoding="utf-8") as rules:
        rules.write("---\ndefaults:\n  quotas: {statements_per_second: 1, statement_burst: 3}\n")
    statements = refusals = 0
    with house.serving() as proxy:
        client = Client(proxy, "acme_app")
        ask = client.extended if extended else client.simple
        for _ in range(20):
            errors = ask("SELECT 1").errors
            assert [one["C"] for one in errors] in ([], ["53400"])
            statements, refusals = statements + (not errors), refusals + bool(errors)
        proxy.process.terminate()
        client.read_to_the_end()
        assert proxy.process.wait(30) == 0
    assert refusals
    billed = house.billed()["acme_app"]
    assert (billed.statements, billed.rows, billed.refusals) == (statements, statements, refusals)
    assert (billed.bytes_in, billed.bytes_out) == (client.used.bytes_in, client.used.bytes_out)


def in_parallel(works: list[Callable[[], None]]) -> None:
    """Runs them to their end; whatever one raises is raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        for one in [pool.submit(work) for work in works]:
            one.result()


class Worker(threading.Thread):
    """A client that works until its proxy is gone, and remembers what it had used when."""

    def __init__(self, proxy: Proxy, login: str, dice: random.Random) -> None:
        super().__init__()
        self.client = Client(proxy, login)
        self.dice = dice
        self.history: list[tuple[float, Usage]] = []  # when it was answered, and what had been used by then
        self.under_way = NOTHING

    def run(self) -> None:
        with suppress(ConnectionError):
            while True:
                work = self.dice.choice(WORK)
                self.under_way = Usage(statements=work.statements, rows=LARGEST, refusals=work.refusals)
                self.client.work(work)
                self.history.append((time.time(), self.client.used))
        self.client.socket.close()

    def until(self, moment: float) -> Usage:
        """What it had been answered by then."""
        return max((used for when, used in self.history if when <= moment), default=NOTHING)

    def most(self) -> Usage:
        """What it can have used: all that it was answered, and what was under way."""
        return self.client.used.plus(self.under_way)


def test_a_kill_in_the_middle_of_load_loses_no_more_than_the_interval_and_counts_nothing_twice(
    house: House, effort: int
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    sure = promised = most = dict.fromkeys(LOGINS, NOTHING)
    for _ in range(KILLS * effort):
        with house.serving() as proxy:
            workers = [Worker(proxy, login, random.Random(dice.random())) for login in LOGINS for _ in range(2)]
            for one in workers:
                one.start()
            workers[0].join(dice.uniform(0.6, 3.5))  # which nothing ends but its time
            proxy.process.kill()
            killed = time.time()
            proxy.process.wait()
            for one in workers:
                one.join()
        sure = added(sure, workers, partial(Worker.until, moment=house.as_of()))
        promised = added(promised, workers, partial(Worker.until, moment=killed - INTERVAL - STALL))
        most = added(most, workers, Worker.most)
        billed = house.billed()
        for login in LOGINS:
            for name in ("statements", "rows", "refusals", "bytes_in"):
                there = getattr(billed[login], name)
                assert getattr(sure[login], name) <= there <= getattr(most[login], name), (login, name)
                assert getattr(promised[login], name) <= there, (login, name)
            assert sure[login].bytes_out <= billed[login].bytes_out
    assert all(sure[login].statements for login in LOGINS)


def added(before: dict[str, Usage], workers: list[Worker], of: Callable[[Worker], Usage]) -> dict[str, Usage]:
    """With what the workers have, by login."""
    found = dict(before)
    for one in workers:
        found[one.client.login] = found[one.client.login].plus(of(one))
    return found
