"""What still holds a tenant's data after its rows are gone from the live tables, as far as the server can tell.

Promises: nothing is written, and nothing is judged: each is told with what ends it. What a server cannot know
(archives, the proxy's own journals) is the caller's to add. A role that may not see replicas or others' statistics is
told fewer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.backup.neighbours import Around, anothers, owned_apart
from proxy.backup.rowhash import found_by
from proxy.backup.selection import Kept, text, title
from proxy.backup.spelling import fits, spelt
from proxy.catalog.finding import identifier
from proxy.catalog.model import Catalog, Column
from proxy.sql.world import KEY_TYPES, SYSTEM_SCHEMAS
from proxy.tenancy.derived import OWN_SEQUENCE
from proxy.tenancy.policy import PROXY_SCHEMA, Grant

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
# The tables, and all their partitions.
PARTS = """
SELECT COALESCE(p.relid::pg_catalog.oid, o.oid) AS oid
  FROM pg_catalog.unnest($1::pg_catalog.oid[]) o(oid)
  LEFT JOIN LATERAL pg_catalog.pg_partition_tree(o.oid) p ON true
"""
# An index over expressions has its own, and so has CREATE STATISTICS.
STATISTICS = f"""
WITH parts AS ({PARTS}), named AS (
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid IN (SELECT oid FROM parts)
      OR c.oid IN (SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid IN (SELECT oid FROM parts)))
SELECT s.schemaname || '.' || s.tablename AS name
  FROM pg_catalog.pg_stats s JOIN named ON named.schema = s.schemaname AND named.name = s.tablename
 WHERE s.most_common_vals IS NOT NULL OR s.histogram_bounds IS NOT NULL OR s.most_common_elems IS NOT NULL
UNION SELECT s.statistics_schemaname || '.' || s.statistics_name
  FROM pg_catalog.pg_stats_ext s JOIN named ON named.schema = s.schemaname AND named.name = s.tablename
 WHERE s.most_common_vals IS NOT NULL
UNION SELECT s.statistics_schemaname || '.' || s.statistics_name
  FROM pg_catalog.pg_stats_ext_exprs s JOIN named ON named.schema = s.schemaname AND named.name = s.tablename
 WHERE s.most_common_vals IS NOT NULL OR s.histogram_bounds IS NOT NULL OR s.most_common_elems IS NOT NULL
 ORDER BY 1
"""
# What reads one of these tables, or a partition, through views and views of views.
VIEWS = f"""
WITH RECURSIVE parts AS ({PARTS}), reads AS (
  SELECT d.refobjid AS read, r.ev_class AS view
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
   WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class),
found AS (
  SELECT view FROM reads WHERE read IN (SELECT oid FROM parts)
  UNION SELECT reads.view FROM reads JOIN found ON found.view = reads.read)
SELECT n.nspname || '.' || c.relname AS name
  FROM found JOIN pg_catalog.pg_class c ON c.oid = found.view JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm' ORDER BY 1
"""
LARGE = """
SELECT pg_catalog.count(*)::pg_catalog.text || ' of all tenants together' AS name
  FROM pg_catalog.pg_largeobject_metadata HAVING pg_catalog.count(*) > 0
"""
# Tables of a database of its own that are not emptied.
OTHERS = """
SELECT n.nspname || '.' || c.relname || COALESCE(', of ' || e.extname, '') AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
   AND d.deptype = 'e'
  LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
 WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND (e.oid IS NOT NULL OR n.nspname = $1) ORDER BY 1
"""
STATEMENTS = "SELECT pg_catalog.current_setting('pg_stat_statements.max', true) IS NOT NULL"  # it is loaded
READABLE = "SELECT pg_catalog.has_table_privilege($1::pg_catalog.oid, 'SELECT')"


@dataclass(frozen=True, slots=True)
class Remain:
    """what: a word for programs. where: which they are. until: what ends it."""

    what: str
    where: tuple[str, ...]
    until: str


async def remaining(
    connection: CatalogConnection, grant: Grant, kept: Sequence[Kept], catalog: Catalog, lsn: str | None, near: Around
) -> tuple[Remain, ...]:
    """connection: with the settings of snapshot.READING. kept: the tables that were erased. catalog: as it is now. lsn:
    where the erasure's WAL ends; None: before it. near: what is around the tenant there.
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
        ("the server's log", ["statements, and errors with values"], "its files are deleted"),
        (
            "pg_stat_statements",
            ["texts of statements"] if await connection.fetchval(STATEMENTS) else [],
            "pg_stat_statements_reset()",
        ),
    ]
    if mode in ("row", "rls"):
        hidden = await _hidden(connection, grant, kept, catalog, near)
        own = [value for key, value in grant.keys.items() if key.startswith(OWN_SEQUENCE)]
        some = [one for one in own if await connection.fetchval("SELECT pg_catalog.to_regclass($1) IS NOT NULL", one)]
        parts += [
            ("dead rows", [title(one.relation) for one in kept], f"VACUUM; on the disk until VACUUM FULL {names}"),
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
        others = await _names(connection, OTHERS, PROXY_SCHEMA)
        parts += [
            ("tables of extensions and of the proxy", others, "they are looked at, or DROP DATABASE"),
            ("definitions", [grant.server.database], "DROP DATABASE"),
        ]
    parts.append(("large objects", await _names(connection, LARGE), "lo_unlink, by who knows whose each is"))
    return tuple(Remain(what, tuple(where), until) for what, where, until in parts if where)


async def _names(connection: CatalogConnection, query: str, *arguments: object) -> list[str]:
    return [row["name"] for row in await connection.fetch(query, *arguments)]


async def _hidden(
    connection: CatalogConnection, grant: Grant, kept: Sequence[Kept], catalog: Catalog, near: Around
) -> list[str]:
    """Other tables with a column of a tenant column's name, of whatever type, that hold the tenant's key. What other
    tenants have for themselves is not looked at; what may be somebody's whom the rules do not name is told as that."""
    erased = {one.relation.oid for one in kept}
    names = _columns(grant, catalog)
    found = []
    trusted = catalog.bypassing | {one.relation.owner for one in kept}
    for relation in sorted(catalog.relations.values(), key=lambda one: (one.schema, one.name)):
        if relation.kind not in "rp" or relation.schema in SYSTEM_SCHEMAS or relation.oid in erased:
            continue
        if relation.is_partition or names.keys().isdisjoint(one.name for one in relation.columns):
            continue
        if anothers(relation, grant.policy, near, trusted):
            if not owned_apart(relation, grant.policy):
                found.append(f"{title(relation)}: not looked at, as it is {relation.owner}'s")
            continue
        if not await connection.fetchval(READABLE, relation.oid):
            found.append(f"{title(relation)}: it may not be read")
            continue
        only = "" if relation.kind == "p" else "ONLY "
        for column in relation.columns:
            if (holds := _holds(column, names.get(column.name, ()))) is None:
                continue
            count = await connection.fetchval(
                f"SELECT pg_catalog.count(*) FROM {only}{identifier(relation.schema)}.{identifier(relation.name)} l"
                f" WHERE {holds}"
            )
            if count:
                found.append(f"{title(relation)}: {count} rows by {column.name}")
    return found


def _columns(grant: Grant, catalog: Catalog) -> dict[str, set[str]]:
    """The names of tenant columns, and the keys that may be in them. Not of a table of one row for each tenant, whose
    column has a name that others have, too."""
    policy = grant.policy
    found: dict[str, set[str]] = {}
    named = [(policy.tenant_column, "default")]
    for at, rule in policy.relations.items():
        relation = catalog.relations.get(at)
        column = rule.tenant_column or policy.tenant_column
        if rule.access == "tenant" and relation is not None:
            alone = found_by(relation, relation.columns)
            if [one.name for one in alone] != [column]:
                named.append((column, rule.key))
    for name, key in named:
        if key in grant.keys:
            found.setdefault(name, set()).add(grant.keys[key])
    return found


def _holds(column: Column, keys: Collection[str]) -> str | None:
    """The condition that a column has one of these keys; None: it cannot have."""
    name, kind = f"l.{identifier(column.name)}", KEY_TYPES.get(column.type)
    if kind is not None:
        some = [one for one in keys if fits(one, kind)]
    else:  # its own equality may be anything, and so is not asked
        name = f"pg_catalog.lower({name}::pg_catalog.text)"
        some = [other for one in keys for other in (one, spelt(one, "bigint"), spelt(one, "uuid"))]
        some = [one.lower() for one in some]
    return f"{name} IN ({', '.join(text(one) for one in sorted(set(some)))})" if some else None
