"""Pools on a real server, and what the server itself counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field

import asyncpg
import pytest

from proxy.pool.lease import Lease
from proxy.pool.pools import Pools
from proxy.tenancy.policy import Credentials, Grant, Limits, Policy, Server
from proxy.wire.backend import DataRow, ReadyForQuery
from proxy.wire.framing import FULL, kinds
from proxy.wire.frontend import Query
from proxy.wire.report import ErrorResponse
from proxy.wire.streams import BackendStream
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample

WATCH_ALL = kinds(relayed=b"", watched=bytes(tag for tag in range(256) if FULL[tag] != 2))


# Of these tests alone: what they count and what they change is nobody else's.
DATABASE = "pools"


@pytest.fixture(autouse=True)
def no_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """No round of the upkeep brings about what a pool is to do at once; its own tests say when one is."""
    monkeypatch.setattr("proxy.pool.upkeep.INTERVAL", 3600.0)


@pytest.fixture(scope="session")
def server15(postgres15: Cluster) -> Iterator[Cluster]:
    cluster = load_sample(postgres15)
    cluster.create_database(DATABASE, "template_shared")
    yield cluster
    cluster.drop_database(DATABASE)


def grant_of(cluster: Cluster, tenant: str = "acme", **more: object) -> Grant:
    """A grant on the sample set; `more` are fields of Grant and of Limits."""
    limits = {name: value for name, value in more.items() if name in Limits.__dataclass_fields__}
    others = {name: value for name, value in more.items() if name not in limits}
    grant: dict[str, object] = {
        "tenant": tenant,
        "database": "shared",
        "server": Server(cluster.host, cluster.port, DATABASE, "app"),
        "credentials": Credentials(tls="disable"),
        "policy": Policy("shared", "row", "tenant_id", {}),
        "keys": {},
        "limits": Limits(**{"query_wait_timeout": 20.0, **limits}),  # type: ignore[arg-type]  # tests name real fields
    }
    return Grant(**{**grant, **others})  # type: ignore[arg-type]  # as above


@dataclass
class Talk:
    """A receiver that runs simple queries, as a session would."""

    lease: Lease
    rows: list[tuple[bytes | None, ...]] = field(default_factory=list)
    errors: list[Mapping[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._stream = BackendStream(WATCH_ALL)
        self._ready: asyncio.Future[None] | None = None
        self.lease.connection.receiver = self

    async def __call__(self, sql: str) -> list[tuple[bytes | None, ...]]:
        self.send(sql)
        assert self._ready is not None
        await asyncio.wait_for(self._ready, 20)
        return self.rows

    def send(self, sql: str) -> None:
        self.rows, self.errors = [], []
        self._ready = asyncio.get_running_loop().create_future()
        self.lease.connection.write(Query(sql.encode()).encode())

    def backend_data(self, data: bytes) -> None:
        run, marks = self._stream.feed(data)
        for tag, start, end in marks:
            body = run[start + 5 : end]
            if tag == ord("D"):
                self.rows.append(DataRow.decode(body).values)
            elif tag == ord("E"):
                self.errors.append(ErrorResponse.decode(body).fields)
            elif tag == ord("Z"):
                self.lease.connection.state.status = ReadyForQuery.decode(body).status
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(None)

    def backend_lost(self, reason: str) -> None:
        self.lost.set_result(reason)

    def backend_writable(self, writable: bool) -> None: ...


class Census:
    """What the server counts, asked over a connection that is not counted."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def count(self) -> int:
        found: int = await self._connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'partywall' AND datname = current_database()"
        )
        return found

    async def agrees(self, pools: Pools) -> None:
        """Wait until the server counts what the pools count; its processes end a moment after their sockets."""
        await self.until(lambda: pools.statistics().connections, pools)

    async def until(self, expected: Callable[[], int], pools: Pools) -> None:
        async with asyncio.timeout(20):
            while await self.count() != expected() or not settled(pools):  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.01)

    async def terminate(self, process_id: int) -> None:
        await self._connection.fetchval("SELECT pg_terminate_backend($1, 5000)", process_id)

    async def fetchval(self, sql: str) -> object:
        return await self._connection.fetchval(sql)


def settled(pools: Pools) -> bool:
    statistics = pools.statistics()
    return statistics.idle + statistics.leased == statistics.connections


@pytest.fixture
async def census(server15: Cluster) -> AsyncIterator[Census]:
    connection = await asyncpg.connect(server15.dsn(database=DATABASE))
    yield Census(connection)
    await connection.close()


@pytest.fixture
async def pools(census: Census) -> AsyncIterator[Pools]:
    """Ten connections at most; at the end the server must have none left."""
    made = Pools(10)
    yield made
    await made.close(0.0)
    await census.until(lambda: 0, made)
