"""CatalogWatch: the current Catalog of one server, kept fresh while migrations run beside the proxy.

A timer, NOTIFY partywall_catalog and `refresh` ask the server for a cheap fingerprint; only when that changed the
catalog is read again, and only when its content differs does the version grow and are subscribers called. Refreshes are
single flight and at most one a second, so that unknown names cannot be used to keep the server busy. A failed refresh
keeps the last catalog and is counted; it is tried again. Decides nothing about what anybody may see.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from proxy.catalog.connect import ServerAddress, ServerCredentials, connect
from proxy.catalog.examination import Examination, examine
from proxy.catalog.facts import check_facts
from proxy.catalog.finding import Finding
from proxy.catalog.flight import landed
from proxy.catalog.introspect import fingerprint, introspect
from proxy.catalog.versions import next_version
from proxy.catalog.walls import BYPASSING, wall_findings, without_walls
from proxy.errors import ConfigurationError

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection
    from proxy.catalog.model import Catalog

    Connector = Callable[[], Awaitable[CatalogConnection]]

T = TypeVar("T")
CHANNEL = "partywall_catalog"  # on which a migration says that it was there
FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what comes of a connection that the server ends at the wrong moment
    OSError,
    TimeoutError,
    ConfigurationError,
)


@dataclass(frozen=True, slots=True)
class WatchStatistics:
    """Counts since the start; `error` is the text of the last refresh's failure, or of what makes policies worth
    nothing, which counts as one; "" when it went well.
    """

    version: int
    checks: int
    introspections: int
    failures: int
    error: str


class CatalogWatch:
    """The Catalog of one server; own: its database is one tenant's; schemas: only these are read, the first of which is
    one tenant's; keys: the role's, where the tables have policies: while the server says something else of them, none
    of these counts. `interval` and `spacing` are seconds; `clock` is monotonic.
    """

    def __init__(
        self,
        server: ServerAddress,
        credentials: ServerCredentials,
        *,
        own: bool = False,
        schemas: tuple[str, ...] = (),
        keys: Mapping[str, str] | None = None,
        interval: float = 30.0,
        spacing: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        connector: Connector | None = None,
    ) -> None:
        """connector: makes the connection by whatever login, where no login's facts are to be checked."""
        self._connector = connector
        self._turn = asyncio.Lock()  # of who asks the server
        self._server = server
        self._credentials = credentials
        self._own = own
        self._schemas = schemas
        self._keys = keys
        self._interval = interval
        self._spacing = spacing
        self._clock = clock
        self._catalog: Catalog | None = None
        self._fingerprint = ""
        self._subscribers: list[Callable[[Catalog], None]] = []
        self._connection: CatalogConnection | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._told = asyncio.Event()
        self._closed = False
        self.on_look: Callable[[], None] = lambda: None  # called after each look that nobody asked for
        self._last = float("-inf")  # when the last refresh ended
        self._checks = self._introspections = self._failures = 0
        self._error = ""
        self.findings: tuple[Finding, ...] = ()
        self.examination: Examination | None = None  # of a shared database, as it was at the start

    @property
    def current(self) -> Catalog:
        """The catalog as last read; RuntimeError before `start`."""
        if self._catalog is None:
            raise RuntimeError("the catalog has not been loaded")
        return self._catalog

    async def start(self) -> Catalog:
        """Load for the first time, check the facts (`findings`), start the timer.

        Errors: asyncpg.PostgresError, OSError, TimeoutError, ConfigurationError.
        """
        try:
            connection = await self._connected()
            if self._connector is None:
                self.findings = await check_facts(connection, self._server, self._own, self._schemas, self._keys)
                self.examination = None if self._own or self._schemas else await examine(connection)
            await self._look(connection)
        except BaseException:
            await self._disconnect()
            raise
        self._last = self._clock()
        self._timer = asyncio.create_task(self._tick(), name=f"catalog {self._server.database}")
        return self.current

    async def close(self) -> None:
        """Stop the timer and leave the server, for good: the last catalog stays."""
        self._closed = True
        tasks = [task for task in (self._timer, self._refreshing) if task is not None]
        self._timer = self._refreshing = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._disconnect()

    def subscribe(self, callback: Callable[[Catalog], None]) -> Callable[[], None]:
        """Call `callback` with every new catalog, from the event loop; it must not block. Returns what unsubscribes
        it.
        """
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    def statistics(self) -> WatchStatistics:
        """A snapshot of the counters."""
        version = 0 if self._catalog is None else self._catalog.version
        return WatchStatistics(version, self._checks, self._introspections, self._failures, self._error)

    async def refresh(self) -> Catalog:
        """The catalog after a look at the server; within a second of the last look, the current one, unless a migration
        has said so since: then after the look that is due for it. Never fails.
        """
        if self._refreshing is None:
            if self._closed or (self._early() > 0 and not self._told.is_set()):
                return self.current
            self._begin()
        await self._under_way()
        return self.current

    def _early(self) -> float:
        """Seconds until the server may be looked at again."""
        return max(0.0, self._last + self._spacing - self._clock())

    def _begin(self) -> None:
        self._refreshing = asyncio.create_task(self._refresh(self._early()), name=f"refresh {self._server.database}")

    async def _under_way(self) -> None:
        if self._refreshing is not None:
            await landed(self._refreshing)  # where `close` cancelled it, the last catalog stays

    async def ask(self, work: Callable[[CatalogConnection], Awaitable[T]]) -> T:
        """What this makes of the connection, when it is its turn. After a failure (FAILURES) there is a new one,
        unless it was a lock's.
        """
        async with self._turn:
            try:
                return await work(await self._connected())
            except asyncpg.LockNotAvailableError:  # somebody's lock is nothing that a new connection would mend
                raise
            except FAILURES:
                await self._disconnect()
                raise

    async def reconnect(self) -> None:
        """The login is not to be used any more: what is asked next goes over another connection."""
        async with self._turn:
            await self._disconnect()

    async def _tick(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._told.wait()
            await self._under_way()  # which may have begun before there was something to see
            if self._refreshing is None:
                self._begin()
            await self._under_way()
            self.on_look()

    async def _refresh(self, after: float) -> None:
        try:
            await asyncio.sleep(after)
            self._told.clear()
            self._error = await self.ask(self._look)
            self._failures += bool(self._error)
        except FAILURES as error:
            self._failures += 1
            self._error = f"{type(error).__name__}: {error}"
        finally:
            self._last = self._clock()
            self._refreshing = None

    async def _look(self, connection: CatalogConnection) -> str:
        """Why no policy counts, or ""."""
        self._checks += 1
        mark = await fingerprint(
            connection, self._schemas
        )  # before the reading: what changes between the two is read again next time
        fallen = ""
        if self._keys is not None:
            found = await wall_findings(connection, self._server.role, self._keys)
            fallen = "; ".join(one.text for one in found)
            mark += f" {fallen} {await connection.fetchval(BYPASSING)}"
        if mark == self._fingerprint:
            return fallen
        self._introspections += 1
        old = self._catalog
        new = await introspect(connection, next_version(), self._own, self._schemas)
        new = without_walls(new) if fallen else new
        self._fingerprint = mark
        if old is not None and replace(new, version=old.version) == old:
            return fallen
        self._catalog = new
        for callback in tuple(self._subscribers):
            callback(new)
        return fallen

    async def _connected(self) -> CatalogConnection:
        if not self._closed and (self._connection is None or self._connection.is_closed()):
            if self._connector is None:
                self._connection = await connect(self._server, self._credentials)
            else:
                self._connection = await self._connector()
            with suppress(asyncpg.PostgresError):  # a standby cannot listen
                await self._connection.add_listener(CHANNEL, lambda *_: self._told.set())
        if self._closed or self._connection is None:  # perhaps while it was made: then who asked gives it up
            raise ConnectionError("the database is not watched any more")
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*FAILURES):
                await connection.close(timeout=1.0)
