"""Tenants in a table: partywall.tenants at a server, each row the document that a rule file would hold.

The table has two columns that are read: `name`, and `document` of type jsonb. Whoever reads it must not be able to
write it, or the process that serves tenants could be made to say who is one. A watch asks for the version of all rows
every few seconds, and at once when somebody notifies; what it does not tell is what changed. Times in seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy.catalog.connect import ServerAddress, ServerCredentials, connect
from proxy.catalog.finding import identifier
from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError

if TYPE_CHECKING:
    from asyncpg import Record

    from proxy.catalog.connect import CatalogConnection

CHANNEL = "partywall_tenants"
INTERVAL = 5.0
SPACING = 1.0  # between two looks, however often somebody notifies
RETRY = 60.0  # until the same rows are told again that were not taken
PATIENCE = 10.0  # for one answer

# A row version is its name and the transaction that wrote it.
_VERSION = "pg_catalog.hashtextextended(t.name OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) t.xmin::text, 0)"
ROWS = f"SELECT t.name, t.document::text AS document, {_VERSION} AS version FROM partywall.tenants t ORDER BY t.name"  # noqa: S608  # made of constants
MARK = f"SELECT count(*) AS rows, coalesce(sum({_VERSION}), 0) AS versions FROM partywall.tenants t"  # noqa: S608  # as above
INSERT = "INSERT INTO partywall.tenants (document) VALUES ($1::text::jsonb) ON CONFLICT (name) DO NOTHING"
SWITCH = "UPDATE partywall.tenants SET document = jsonb_set(document, '{disabled}', $2::text::jsonb) WHERE name = $1"
DOCUMENT = "SELECT document::text FROM partywall.tenants WHERE name = $1"
REWRITE = "UPDATE partywall.tenants SET document = $2::text::jsonb WHERE name = $1"
ROW = f"""
SELECT (SELECT t.document::text FROM partywall.tenants t WHERE t.name = $1) AS document,
       count(*) AS rows, coalesce(sum({_VERSION}), 0) AS versions,
       count(*) FILTER (WHERE t.name = $1) AS own, coalesce(sum({_VERSION}) FILTER (WHERE t.name = $1), 0) AS version
  FROM partywall.tenants t
"""  # noqa: S608  # as above
ONE_WRITER = "BEGIN READ WRITE; LOCK TABLE partywall.tenants IN SHARE ROW EXCLUSIVE MODE"
DURABLE = (
    "SELECT pg_catalog.set_config('synchronous_commit', 'on', true)"
    " WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"
)
HELD = "SELECT pg_catalog.pg_advisory_lock($1)"
FREE = "SELECT pg_catalog.pg_try_advisory_lock($1)"
WRITABLE = """
SELECT current_user::text AS role FROM pg_class c WHERE c.oid = 'partywall.tenants'::regclass
   AND (has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
        OR has_any_column_privilege(c.oid, 'INSERT, UPDATE') OR pg_has_role(c.relowner, 'MEMBER'))
"""


@dataclass(frozen=True, slots=True)
class TenantRows:
    """(name, document as JSON) of every row, in the order of the names, and what tells this version of all of them."""

    rows: tuple[tuple[str, str], ...]
    mark: str


async def tenants_of(server: ServerAddress, credentials: ServerCredentials) -> TenantRows:
    """Reads the table. Errors: catalog.watch.FAILURES; ConfigurationError where the role may write it."""
    connection = await connect(server, credentials)
    try:
        await _refuse_writer(connection)
        found = await connection.fetch(ROWS, timeout=PATIENCE)
    finally:
        connection.terminate()
    return _rows(found)


@dataclass(frozen=True, slots=True)
class TenantRow:
    """The document of one row as JSON, None where there is no such row; and what tells this version of all rows, and of
    all others.
    """

    document: str | None
    mark: str
    others: str


async def tenant_row(
    server: ServerAddress, credentials: ServerCredentials, name: str, lock: int | None = None
) -> TenantRow | None:
    """One row. lock: of who says that he writes the table; None where nobody holds it at this server in this database:
    then it is another table. Errors: catalog.watch.FAILURES.
    """
    connection = await connect(server, credentials)
    try:
        if lock is not None and await connection.fetchval(FREE, lock):
            return None
        row = await connection.fetchrow(ROW, name, timeout=PATIENCE)
    finally:
        connection.terminate()
    assert row is not None
    others = f"{row['rows'] - row['own']} {int(row['versions']) - int(row['version'])}"
    return TenantRow(row["document"], _mark(row["rows"], row["versions"]), others)


@asynccontextmanager
async def holding(server: ServerAddress, credentials: ServerCredentials, lock: int) -> AsyncIterator[None]:
    """Holds an advisory lock there in the block, by which others can tell that it is their table. Errors: as above."""
    connection = await connect(server, credentials)
    try:
        await connection.execute(HELD, lock)
        yield
    finally:
        connection.terminate()


async def rewrite_tenant(
    server: ServerAddress, credentials: ServerCredentials, name: str, decide: Callable[[str], str | None]
) -> str:
    """Another document in one row, as one writer at a time; what is there then. decide: given the one that is there
    now; None: it stays.

    Errors: catalog.watch.FAILURES, after which nobody knows which it is; who calls this again is told what is so for
    good, because what was sent before has ended by then. ConfigurationError where there is no such row.
    """
    connection = await connect(server, credentials)
    try:
        await connection.execute(ONE_WRITER)
        await connection.execute(DURABLE)
        now: str | None = await connection.fetchval(DOCUMENT, name, timeout=PATIENCE)
        if now is None:
            raise ConfigurationError([f"there is no tenant {name} in the table"])
        text = decide(now)
        if text is None:
            return now
        await connection.execute(REWRITE, name, text, timeout=PATIENCE)
        await connection.execute("COMMIT", timeout=PATIENCE)
        return text
    finally:
        connection.terminate()


async def change_tenants(
    server: ServerAddress,
    credentials: ServerCredentials,
    statement: str,
    arguments: Sequence[str],
    check: Callable[[TenantRows], Awaitable[None]],
) -> bool:
    """Runs one of INSERT and SWITCH as one writer at a time, and commits it if `check` lets the rows pass that come of
    it; whatever that raises goes on. False when no row was changed. Errors: catalog.watch.FAILURES.
    """
    connection = await connect(server, credentials)
    try:
        await connection.execute(ONE_WRITER)
        changed = await connection.execute(statement, *arguments)
        found = await connection.fetch(ROWS, timeout=PATIENCE)
        if changed.endswith(" 0"):
            return False
        await check(_rows(found))
        await connection.execute("COMMIT")
        return True
    finally:
        connection.terminate()


def _rows(found: list[Record]) -> TenantRows:
    versions = sum(one["version"] for one in found)
    return TenantRows(tuple((one["name"], one["document"]) for one in found), _mark(len(found), versions))


def _mark(rows: int, versions: object) -> str:
    return f"{rows} {versions}"


async def _refuse_writer(connection: CatalogConnection) -> None:
    role = await connection.fetchval(WRITABLE)
    if role is not None:
        name = identifier(role)
        raise ConfigurationError(
            [
                f"role {name} may write partywall.tenants; who reads rules must not be able to."
                f" Remedy: REVOKE INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER ON partywall.tenants FROM PUBLIC, {name};"
            ]
        )


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """Looks since the start, and those that failed."""

    looks: int
    failures: int


class TenantWatch:
    """Looks whether the rows are still those that were read."""

    def __init__(
        self,
        server: ServerAddress,
        credentials: ServerCredentials,
        mark: str,
        changed: Callable[[], None],
        report: Callable[[str], None],
        *,
        interval: float = INTERVAL,
        spacing: float = SPACING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """mark: of the rows that are in force. changed: told of other rows. report: why the table is away, once."""
        self._server = server
        self._credentials = credentials
        self._taken = mark
        self._told = (mark, 0.0)  # which rows `changed` was told of last, and when
        self._changed = changed
        self._report = report
        self._interval = interval
        self._spacing = spacing
        self._clock = clock
        self._looks = self._failures = 0
        self._away = False
        self._connection: CatalogConnection | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(self._run(), name="table of tenants")

    def took(self, mark: str) -> None:
        """These rows are in force now."""
        self._taken = mark

    def statistics(self) -> TableStatistics:
        """A snapshot."""
        return TableStatistics(self._looks, self._failures)

    async def close(self) -> None:
        """Ends it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._hang_up()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
                self._away = False
            except FAILURES as error:
                self._failures += 1
                self._hang_up()
                if not self._away:
                    self._away = True
                    self._report(str(error) or type(error).__name__)
            await asyncio.sleep(self._spacing)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(self._interval - self._spacing, 0.0)):
                    await self._wake.wait()

    async def _look(self) -> None:
        self._looks += 1
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._server, self._credentials)
            with suppress(*FAILURES):  # a standby cannot listen
                await self._connection.add_listener(CHANNEL, self._heard)
        row = await self._connection.fetchrow(MARK, timeout=PATIENCE)
        assert row is not None
        mark, now = _mark(row["rows"], row["versions"]), self._clock()
        told, when = self._told
        if mark != self._taken and (mark != told or now - when >= RETRY):
            self._told = (mark, now)
            self._changed()

    def _heard(self, *_: Any) -> None:
        self._wake.set()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
