"""The journal of moves: at the server that a tenant leaves, in the database that it leaves, in the schema `partywall`.

A row says how far a move is; nobody but its command changes it. While it says `copying` the tenant's writes there are
logged, while it says `aborting` they are let through, and in every other phase they are refused: the triggers of
changelog.py read this row, and hold it until their transaction ends. So a change of phase waits for whoever is writing,
and nobody writes by the old one after it.

Where the tenant goes, a row says whose rows those are that arrive, and refuses what anybody else writes to them until
it says `open`. That is the moment in which the tenant's home changes. It is in a table of its own, for both places may
be in one database.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.backup.refusal import Refused

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

COPYING = "copying"  # the source is the home; what is written there is logged
FENCED = "fenced"  # nothing is written at the source; the rules still name it
SWITCHING = "switching"  # the target has everything, and the rules may name it
ABORTING = "aborting"  # the source is the home, and nothing is logged any more: nobody goes on from here
MOVED = "moved"  # the target is the home
ARRIVING = "arriving"
OPEN = "open"

MADE = """
CREATE SCHEMA IF NOT EXISTS partywall;
CREATE TABLE IF NOT EXISTS partywall.moves (
  id pg_catalog.text PRIMARY KEY, tenant pg_catalog.text NOT NULL, database pg_catalog.text NOT NULL,
  phase pg_catalog.text NOT NULL, elsewhere pg_catalog.text NOT NULL, plan pg_catalog.text NOT NULL,
  since pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(), UNIQUE (tenant, database));
CREATE TABLE IF NOT EXISTS partywall.arrivals (
  id pg_catalog.text PRIMARY KEY, tenant pg_catalog.text NOT NULL, database pg_catalog.text NOT NULL,
  phase pg_catalog.text NOT NULL, elsewhere pg_catalog.text NOT NULL, plan pg_catalog.text NOT NULL,
  since pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(), UNIQUE (tenant, database));
CREATE TABLE IF NOT EXISTS partywall.changes (
  move pg_catalog.text NOT NULL, id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY, place pg_catalog.oid NOT NULL,
  key pg_catalog.text[] NOT NULL);
CREATE INDEX IF NOT EXISTS changes_of ON partywall.changes (move, place);
REVOKE ALL ON partywall.moves, partywall.arrivals, partywall.changes FROM PUBLIC;
"""
TURNING = 20.0  # seconds; longer than a mover waits for a lock
MOVES, ARRIVALS = "partywall.moves", "partywall.arrivals"
THERE = "SELECT pg_catalog.to_regclass($1) IS NOT NULL"
# Who owns a table may plant what runs as whoever reads it, and a mover is a superuser.
STRANGE = """
SELECT o.name FROM (
  SELECT 'the schema partywall' AS name, n.nspowner AS owner, true AS plain
    FROM pg_catalog.pg_namespace n WHERE n.nspname = 'partywall'
   UNION ALL
  SELECT 'partywall.' || c.relname, c.relowner, c.relkind = 'r' AND NOT c.relrowsecurity AND NOT c.relhasrules
         AND NOT c.relhastriggers AND NOT c.relhassubclass AND NOT c.relispartition
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = 'partywall' AND c.relname IN ('moves', 'arrivals', 'changes')) o
  JOIN pg_catalog.pg_roles r ON r.oid = o.owner
 WHERE NOT (r.rolsuper AND o.plain)
 ORDER BY 1
"""
FOUND = "SELECT id, tenant, database, phase, elsewhere, plan FROM {table} WHERE tenant = $1 AND database = $2"
BEGUN = "INSERT INTO {table} (id, tenant, database, phase, elsewhere, plan) VALUES ($1, $2, $3, $4, $5, $6)"
TURNED = "UPDATE {table} SET phase = $2, since = pg_catalog.now() WHERE id = $1 AND phase = ANY ($3) RETURNING 1"
ENDED = "DELETE FROM {table} WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Move:
    """A row of the journal. elsewhere: host, port and database at the other end. plan: what the tables were like;
    of an arrival what registered the tenant there before."""

    id: str
    tenant: str
    database: str
    phase: str
    elsewhere: str
    plan: str = ""


async def made(connection: CatalogConnection) -> None:
    """The journal is there."""
    await connection.execute("SET client_min_messages = warning")
    async with connection.transaction():
        await _check_own(connection)
        await connection.execute(MADE)
        await _check_own(connection)


async def found(connection: CatalogConnection, tenant: str, database: str, table: str = MOVES) -> Move | None:
    """The tenant's row in this database. Refused where the journal is somebody's who is no superuser."""
    await _check_own(connection)
    if not await connection.fetchval(THERE, table):
        return None
    row = await connection.fetchrow(FOUND.format(table=table), tenant, database)
    return None if row is None else Move(**dict(row))


async def arriving(connection: CatalogConnection, tenant: str, database: str) -> Move | None:
    """The row of the tenant that comes here, as `found`. Refused where it is where such rows were once, in a form that
    was never released: nobody could tell whether the target is open."""
    former = await found(connection, tenant, database)
    if former is not None and former.phase in (ARRIVING, OPEN):
        raise Refused(
            [
                f"the move {former.id} brought {tenant} here in a former form ({former.phase} in {MOVES}): end it with"
                f" the version that began it; where nothing of it is left but this row, delete that from {MOVES}"
            ]
        )
    return await found(connection, tenant, database, ARRIVALS)


def _table(phase: str) -> str:
    return ARRIVALS if phase in (ARRIVING, OPEN) else MOVES


async def _check_own(connection: CatalogConnection) -> None:
    rows = await connection.fetch(STRANGE)
    if rows:
        raise Refused([f"{row['name']} was not made by a superuser for moves: look at it, and drop it" for row in rows])


async def begun(connection: CatalogConnection, move: Move) -> None:
    """A row that was not there."""
    query = BEGUN.format(table=_table(move.phase))
    await connection.execute(query, move.id, move.tenant, move.database, move.phase, move.elsewhere, move.plan)


async def turned(connection: CatalogConnection, move: Move, phase: str, before: Collection[str]) -> None:
    """The move is in another phase; waits for whoever writes as of the old one. Refused where it was in none of
    `before`; TimeoutError where the server answers nothing, and then nobody can tell."""
    query = TURNED.format(table=_table(phase))
    if await connection.fetchval(query, move.id, phase, list(before), timeout=TURNING) is None:
        raise Refused([f"the journal of {move.tenant}'s move does not say what it did; see --status"])


async def ended(connection: CatalogConnection, move: Move) -> None:
    """Nothing is left of it in the journal: of its leaving or of its arriving, as its phase says."""
    if _table(move.phase) == MOVES:
        await connection.execute("DELETE FROM partywall.changes WHERE move = $1", move.id)
    await connection.execute(ENDED.format(table=_table(move.phase)), move.id)
