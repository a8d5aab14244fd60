"""What still holds a tenant's data after its rows are gone from the live tables, as far as the server can tell.

Promises: nothing is written, and nothing is judged: each is told with what ends it. What a server cannot know
(archives, the proxy's own journals) is the caller's to add. A role that may not see replicas or others' statistics is
told fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.backup.rowhash import found_by
from proxy.backup.selection import Kept, text
from proxy.catalog.finding import identifier
from proxy.catalog.model import Catalog
from proxy.sql.world import SYSTEM_SCHEMAS
from proxy.tenancy.derived import OWN_SEQUENCE
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

WAL = """
SELECT pg_catalog.current_setting('archive_mode') AS mode, a.last_archived_wal AS last
  FROM pg_catalog.pg_stat_archiver a
"""
REPLICAS = """
SELECT COALESCE(NULLIF(r.application_name, ''), 'replica') || ' at '
       || COALESCE(r.client_addr::pg_catalog.text, 'a socket')
       || ', replayed ' || COALESCE(r.replay_lsn::pg_catalog.text, 'nothing') AS name
  FROM pg_catalog.pg_stat_replication r ORDER BY 1
"""
SLOTS = """
SELECT s.slot_name || ', from ' || COALESCE(s.restart_lsn::pg_catalog.text, 'nowhere') AS name
  FROM pg_catalog.pg_replication_slots s ORDER BY 1
"""
PREPARED = """
SELECT p.gid || ', since ' || p.prepared AS name FROM pg_catalog.pg_prepared_xacts p
 WHERE p.database = pg_catalog.current_database() ORDER BY 1
"""
SNAPSHOTS = """
SELECT 'process ' || a.pid || ', since ' || a.xact_start AS name FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() AND a.backend_xmin IS NOT NULL
   AND a.xact_start IS NOT NULL ORDER BY 1
"""
STATISTICS = """
SELECT DISTINCT s.schemaname || '.' || s.tablename AS name
  FROM pg_catalog.unnest($1::pg_catalog.oid[]) o(oid)
  LEFT JOIN LATERAL pg_catalog.pg_partition_tree(o.oid) p ON true
  JOIN pg_catalog.pg_class c ON c.oid = COALESCE(p.relid, o.oid)
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
 WHERE s.most_common_vals IS NOT NULL OR s.histogram_bounds IS NOT NULL
 ORDER BY 1
"""
# What reads one of these tables, through views and views of views.
VIEWS = """
WITH RECURSIVE reads AS (
  SELECT d.refobjid AS read, r.ev_class AS view
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
   WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class),
found AS (
  SELECT view FROM reads WHERE read = ANY ($1::pg_catalog.oid[])
  UNION SELECT reads.view FROM reads JOIN found ON found.view = reads.read)
SELECT n.nspname || '.' || c.relname AS name
  FROM found JOIN pg_catalog.pg_class c ON c.oid = found.view JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm' ORDER BY 1
"""
LARGE = """
SELECT pg_catalog.count(*)::pg_catalog.text || ' of all tenants together' AS name
  FROM pg_catalog.pg_largeobject_metadata HAVING pg_catalog.count(*) > 0
"""


@dataclass(frozen=True, slots=True)
class Remain:
    """what: a word for programs. where: which they are. until: what ends it."""

    what: str
    where: tuple[str, ...]
    until: str


def title(kept: Kept) -> str:
    """A table as receipts name it."""
    return ".".join(kept.at)


async def remaining(
    connection: CatalogConnection, grant: Grant, kept: Sequence[Kept], catalog: Catalog, lsn: str | None
) -> tuple[Remain, ...]:
    """connection: with the settings of snapshot.READING. kept: the tables that were erased. catalog: as it is now. lsn:
    where the erasure's WAL ends; None: before it.
    """
    schema, mode = grant.policy.schema, grant.policy.isolation
    names = ", ".join(one.full for one in kept)
    upto = "the erasure" if lsn is None else lsn
    archive = await connection.fetchrow(WAL)
    assert archive is not None
    parts = [
        ("wal", [f"of the server, up to {upto}"], "its files are recycled after checkpoints"),
        (
            "archived wal",
            [f"up to {upto}, the last file so far is {archive['last']}"] if archive["mode"] != "off" else [],
            "what was archived before, and base backups, are deleted as their retention says",
        ),
        ("replicas", await _names(connection, REPLICAS), f"each has replayed {upto}, and is told for its own as here"),
        ("replication slots", await _names(connection, SLOTS), f"each is confirmed beyond {upto}, or dropped"),
        ("prepared transactions", await _names(connection, PREPARED), "each is committed or rolled back"),
        ("snapshots", await _names(connection, SNAPSHOTS), "each ends; they see the rows as they were"),
    ]
    if mode in ("row", "rls"):
        hidden = await _hidden(connection, grant, kept, catalog)
        own = [value for key, value in grant.keys.items() if key.startswith(OWN_SEQUENCE)]
        some = [one for one in own if await connection.fetchval("SELECT pg_catalog.to_regclass($1) IS NOT NULL", one)]
        parts += [
            ("dead rows", [title(one) for one in kept], f"VACUUM; on the disk until VACUUM FULL {names}"),
            ("tables that the rules do not show", hidden, "they are looked at, and deleted by hand"),
            ("sequences", some, "DROP SEQUENCE; they hold numbers"),
        ]
    if mode != "schema":
        statistics = await _names(connection, STATISTICS, [one.relation.oid for one in kept])
        views = await _names(connection, VIEWS, [one.relation.oid for one in kept])
        clear = "ANALYZE; of an empty table that keeps them: pg_clear_attribute_stats (PostgreSQL 18) or DELETE"
        parts += [
            ("statistics", statistics, clear),
            ("materialized views", views, "REFRESH MATERIALIZED VIEW"),
        ]
    if mode == "schema":
        parts.append(
            ("role", [grant.server.role], f"DROP ROLE, where it is only this tenant's; the schema was {schema}")
        )
    if mode == "database":
        parts.append(("definitions", [grant.server.database], "DROP DATABASE"))
    parts.append(("large objects", await _names(connection, LARGE), "lo_unlink, by who knows whose each is"))
    return tuple(Remain(what, tuple(where), until) for what, where, until in parts if where)


async def _names(connection: CatalogConnection, query: str, *arguments: object) -> list[str]:
    return [row["name"] for row in await connection.fetch(query, *arguments)]


async def _hidden(connection: CatalogConnection, grant: Grant, kept: Sequence[Kept], catalog: Catalog) -> list[str]:
    """Other tables with a column of a tenant column's name and type that hold the tenant's key."""
    erased = {one.relation.oid for one in kept}
    columns = {
        (one.column.name, one.column.type): one.key
        for one in kept
        if one.column is not None and one.key and found_by(one.relation, one.columns) != (one.column,)
    }
    found = []
    for relation in sorted(catalog.relations.values(), key=lambda one: (one.schema, one.name)):
        if relation.kind not in "rp" or relation.schema in SYSTEM_SCHEMAS or relation.oid in erased:
            continue
        if relation.is_partition:
            continue
        for column in relation.columns:
            key = columns.get((column.name, column.type))
            if key is None:
                continue
            only = "" if relation.kind == "p" else "ONLY "
            count = await connection.fetchval(
                f"SELECT pg_catalog.count(*) FROM {only}{identifier(relation.schema)}.{identifier(relation.name)} l"
                f" WHERE l.{identifier(column.name)} = {text(grant.keys[key])}"
            )
            if count:
                found.append(f"{relation.schema}.{relation.name}: {count} rows by {column.name}")
    return found
