"""Triggers of the tables that are restored: switched off for the transaction where the operator asks for it.

The constraints' own are never touched. It takes a lock that lets others read and not write these tables until the
restore ends, and it needs their owner; an error undoes it with everything else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from proxy.backup.selection import Kept
from proxy.catalog.finding import identifier

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# Is t no foreign key's? What a partition has of its parent's may be in another state than that; PostgreSQL 14 calls it
# internal, and later ones call what foreign keys have there so.
USERS = """(NOT t.tgisinternal OR (t.tgparentid <> 0 AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = t.tgconstraint AND k.contype <> 't')))"""
ENABLED = f"""
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS relation, t.tgname::pg_catalog.text AS name,
       t.tgenabled::pg_catalog.text AS state
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE {USERS} AND t.tgenabled <> 'D'
   AND (c.oid = ANY ($1::pg_catalog.oid[]) OR EXISTS (
         SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a WHERE a.relid = ANY ($1::pg_catalog.oid[])))
 ORDER BY (SELECT pg_catalog.count(*) FROM pg_catalog.pg_partition_ancestors(c.oid)), 1, 2  -- as who writes locks them
"""
AGAIN = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


@asynccontextmanager
async def silenced(connection: CatalogConnection, tables: Sequence[Kept]) -> AsyncIterator[int]:
    """Inside a transaction: none of the tables' triggers fires in the block; how many that are."""
    rows = await connection.fetch(ENABLED, [one.relation.oid for one in tables])
    for row in rows:
        await connection.execute(f"ALTER TABLE ONLY {row['relation']} DISABLE TRIGGER {identifier(row['name'])}")
    yield len(rows)
    for row in rows:
        again = AGAIN[row["state"]]
        await connection.execute(f"ALTER TABLE ONLY {row['relation']} {again} TRIGGER {identifier(row['name'])}")
