"""One moment of a database, seen by several connections: an exported REPEATABLE READ snapshot.

Promises: tables that are read stand still (ACCESS SHARE, as for pg_dump) and are those that the catalog of the same
snapshot has; row-level security never leaves rows out, the server refuses instead; settings that would change how a
value is written are pinned, and those without which a commit would not last. Source: PostgreSQL documentation,
"Snapshot Synchronization Functions".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.backup.neighbours import Around, around
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept
from proxy.catalog.connect import SETTINGS, connect
from proxy.catalog.finding import identifier
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.catalog.watch import FAILURES
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

READING = SETTINGS | {
    "application_name": "partywall backup",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "30s",
    "row_security": "off",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "synchronize_seqscans": "off",
}
WRITING = READING | {
    "application_name": "partywall restore",
    "default_transaction_read_only": "off",
    "synchronous_commit": "on",  # what is told as done must outlive the server's crash
}
# What not every server knows: PostgreSQL 17, and 17, 16.4, 15.8 and 14.13.
LATER = {"transaction_timeout": "0", "restrict_nonsystem_relation_kind": "view, foreign-table"}
KNOWN = "SELECT s.name FROM pg_catalog.pg_settings s WHERE s.name = ANY ($1::pg_catalog.text[])"
# Not every role may set it, and a connection that asks for it at its start has then none.
ROLE = "SELECT pg_catalog.current_setting('session_replication_role')"
ATTEMPTS = 3  # at finding the tables as they were a moment ago

MOMENT = """
SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS time,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_lsn() END::pg_catalog.text AS lsn,
       pg_catalog.pg_export_snapshot() AS id
"""
NUMBER = "SELECT pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid"

Select = Callable[[Catalog, Around], tuple[Kept, ...]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment. `connection` is in its transaction, and must stay so while others use it."""

    connection: CatalogConnection
    place: Place
    catalog: Catalog
    kept: tuple[Kept, ...]
    id: str
    time: str
    lsn: str


async def opened(place: Place, settings: Mapping[str, str]) -> CatalogConnection:
    """A connection that no time limit of the role or the database ends. settings: READING or WRITING.

    READING runs no view's code where the server can refuse it, whatever a name stands for by then. In WRITING triggers
    and materialized views may need views; and triggers and foreign keys hold there: Refused where the role's or the
    database's settings switch them off, and the role may not switch them on.
    """
    connection = await connect(*place, settings=settings, command_timeout=None)
    later = LATER if settings["default_transaction_read_only"] == "on" else {"transaction_timeout": "0"}
    for row in await connection.fetch(KNOWN, list(later)):
        await connection.execute(f"SET {row['name']} = '{later[row['name']]}'")
    if settings["default_transaction_read_only"] == "off" and await connection.fetchval(ROLE) != "origin":
        try:
            await connection.execute("SET session_replication_role = origin")
        except FAILURES:
            await connection.close()
            name = identifier(place[0].role)
            remedy = f"ALTER ROLE {name} RESET session_replication_role, or ALTER DATABASE likewise"
            raise Refused([f"for {place[0].role} neither triggers nor foreign keys hold; {remedy}"]) from None
    return connection


@asynccontextmanager
async def taken(place: Place, grant: Grant, select: Select) -> AsyncIterator[Snapshot]:
    """A snapshot of the tables that `select` picks from a catalog and what is around the tenant there."""
    connection = await opened(place, READING)
    try:
        for _ in range(ATTEMPTS):
            wanted = select(await introspect(connection, 1), await around(connection, grant))
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await lock(connection, wanted)  # takes no snapshot yet, so that the catalog is not older than the locks
                moment = await connection.fetchrow(MOMENT)
                assert moment is not None
                catalog = await introspect(connection, 1)
                kept = select(catalog, await around(connection, grant))
                if {one.relation.oid for one in kept} != {one.relation.oid for one in wanted}:
                    continue
                yield Snapshot(connection, place, catalog, kept, moment["id"], moment["time"], moment["lsn"])
                return
        raise Refused(["tables come and go all the time; try again when no migration runs"])
    finally:
        await connection.close()


async def lock(
    connection: CatalogConnection, kept: Sequence[Kept], nowait: bool = False, mode: str = "ACCESS SHARE"
) -> None:
    """Nobody alters or drops these tables until the transaction ends. nowait: an error if somebody stands before us.
    mode: ROW EXCLUSIVE also keeps foreign keys from being made, and lets others write as well.
    """
    if kept:
        tables = ", ".join(one.only for one in kept)
        await connection.execute(f"LOCK TABLE {tables} IN {mode} MODE{' NOWAIT' if nowait else ''}")


async def check_same(connection: CatalogConnection, kept: Kept) -> None:
    """Refused unless the table's name, which has just been locked, still is that of the table in the catalog."""
    found = await connection.fetchval(NUMBER, kept.full)
    if found != kept.relation.oid:
        raise Refused([f"{kept.full} is another table than it was a moment ago"])


@asynccontextmanager
async def seen(snapshot: Snapshot) -> AsyncIterator[CatalogConnection]:
    """Another connection that sees the same moment."""
    connection = await opened(snapshot.place, READING)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot.id}'")
            yield connection
    finally:
        await connection.close()
