"""The journal of moves: at the server that a tenant leaves, in the database that it leaves, in the schema `partywall`.

A row says how far a move is; nobody but its command changes it. While it says `copying` the tenant's writes there are
logged, and in every other phase they are refused: the triggers of changelog.py read this row, and hold it until their
transaction ends. So a change of phase waits for whoever is writing, and nobody writes by the old one after it.

At the server where the tenant goes, a row says whose rows those are that arrive, and refuses what anybody else writes
to them until it says `open`. That is the moment in which the tenant's home changes.
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
MOVED = "moved"  # the target is the home
ARRIVING = "arriving"
OPEN = "open"

MADE = """
CREATE SCHEMA IF NOT EXISTS partywall;
CREATE TABLE IF NOT EXISTS partywall.moves (
  id pg_catalog.text PRIMARY KEY, tenant pg_catalog.text NOT NULL, database pg_catalog.text NOT NULL,
  phase pg_catalog.text NOT NULL, elsewhere pg_catalog.text NOT NULL,
  since pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(), UNIQUE (tenant, database));
CREATE TABLE IF NOT EXISTS partywall.changes (
  move pg_catalog.text NOT NULL, id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY, place pg_catalog.int4 NOT NULL,
  key pg_catalog.text[] NOT NULL);
CREATE INDEX IF NOT EXISTS changes_of ON partywall.changes (move, place);
REVOKE ALL ON partywall.moves, partywall.changes FROM PUBLIC;
"""
THERE = "SELECT pg_catalog.to_regclass('partywall.moves') IS NOT NULL"
FOUND = "SELECT id, tenant, database, phase, elsewhere FROM partywall.moves WHERE tenant = $1 AND database = $2"
BEGUN = "INSERT INTO partywall.moves (id, tenant, database, phase, elsewhere) VALUES ($1, $2, $3, $4, $5)"
TURNED = (
    "UPDATE partywall.moves SET phase = $2, since = pg_catalog.now() WHERE id = $1 AND phase = ANY ($3) RETURNING 1"
)


@dataclass(frozen=True, slots=True)
class Move:
    """A row of the journal. elsewhere: host, port and database at the other end."""

    id: str
    tenant: str
    database: str
    phase: str
    elsewhere: str


async def made(connection: CatalogConnection) -> None:
    """The journal is there."""
    await connection.execute("SET client_min_messages = warning")
    await connection.execute(MADE)


async def found(connection: CatalogConnection, tenant: str, database: str) -> Move | None:
    """The tenant's row in this database."""
    if not await connection.fetchval(THERE):
        return None
    row = await connection.fetchrow(FOUND, tenant, database)
    return None if row is None else Move(**dict(row))


async def begun(connection: CatalogConnection, move: Move) -> None:
    """A row that was not there."""
    await connection.execute(BEGUN, move.id, move.tenant, move.database, move.phase, move.elsewhere)


async def turned(connection: CatalogConnection, move: Move, phase: str, before: Collection[str]) -> None:
    """The move is in another phase; waits for whoever writes as of the old one. Refused where it was in none of
    `before`."""
    if await connection.fetchval(TURNED, move.id, phase, list(before)) is None:
        raise Refused([f"the journal of {move.tenant}'s move does not say what it did; see --status"])


async def ended(connection: CatalogConnection, move: Move) -> None:
    """Nothing is left of it in the journal."""
    await connection.execute("DELETE FROM partywall.changes WHERE move = $1", move.id)
    await connection.execute("DELETE FROM partywall.moves WHERE id = $1", move.id)
