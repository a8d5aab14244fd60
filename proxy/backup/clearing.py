"""Is there room for what is a tenant's own, and room made: all that its role has in its schema is dropped.

Promises: as the tenant's role and in its transaction, so nothing that is another's goes; what stands outside the schema
is there as before, or it is Refused. The schema itself stays, with its owner and privileges, and so does what belongs
to an extension. To drop a foreign key locks what it leads to, for readers too: so tables with some that lead out of the
schema only get other names, and go at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.backup.refusal import Refused
from proxy.backup.selection import text
from proxy.catalog.finding import identifier
from proxy.catalog.watch import FAILURES
from proxy.tenancy.policy import PROXY_SCHEMA

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

EMPTY = """
SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {where} AND {free}
UNION ALL
SELECT c.oid::pg_catalog.regprocedure::pg_catalog.text
  FROM pg_catalog.pg_proc c JOIN pg_catalog.pg_namespace n ON n.oid = c.pronamespace WHERE {where} AND {free}
 LIMIT 5
"""
FREE = "NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
USERS = f"n.nspname NOT IN ('pg_catalog', 'information_schema', '{PROXY_SCHEMA}') AND n.nspname !~ '^pg_'"

# Everything outside a schema that could depend on what is in it. A cast and an event trigger are in no schema: it is of
# types outside it.
OUTSIDE = """
WITH s AS (SELECT n.oid FROM pg_catalog.pg_namespace n
            WHERE n.nspname <> $1 AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'),
r AS (SELECT c.oid FROM pg_catalog.pg_class c JOIN s ON s.oid = c.relnamespace),
y AS (SELECT t.oid FROM pg_catalog.pg_type t JOIN s ON s.oid = t.typnamespace)
SELECT 'relation ' || r.oid::pg_catalog.regclass AS name FROM r
UNION ALL SELECT 'column ' || a.attrelid::pg_catalog.regclass || '.' || a.attname FROM pg_catalog.pg_attribute a JOIN r
    ON r.oid = a.attrelid WHERE NOT a.attisdropped
UNION ALL SELECT 'default of ' || d.adrelid::pg_catalog.regclass || ' ' || d.adnum FROM pg_catalog.pg_attrdef d JOIN r
    ON r.oid = d.adrelid
UNION ALL SELECT 'constraint ' || k.conname || ' of ' || k.conrelid::pg_catalog.regclass FROM pg_catalog.pg_constraint k
    JOIN r ON r.oid = k.conrelid
UNION ALL SELECT 'trigger ' || t.tgname || ' of ' || t.tgrelid::pg_catalog.regclass FROM pg_catalog.pg_trigger t JOIN r
    ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL SELECT 'policy ' || p.polname || ' of ' || p.polrelid::pg_catalog.regclass FROM pg_catalog.pg_policy p JOIN r
    ON r.oid = p.polrelid
UNION ALL SELECT 'rule ' || w.rulename || ' of ' || w.ev_class::pg_catalog.regclass FROM pg_catalog.pg_rewrite w JOIN r
    ON r.oid = w.ev_class
UNION ALL SELECT 'statistics ' || e.stxname || ' of ' || e.stxrelid::pg_catalog.regclass
    FROM pg_catalog.pg_statistic_ext e JOIN r ON r.oid = e.stxrelid JOIN s ON s.oid = e.stxnamespace
UNION ALL SELECT 'function ' || p.oid::pg_catalog.regprocedure FROM pg_catalog.pg_proc p
    JOIN s ON s.oid = p.pronamespace
UNION ALL SELECT 'type ' || y.oid::pg_catalog.regtype FROM y
UNION ALL SELECT 'constraint ' || k.conname || ' of ' || k.contypid::pg_catalog.regtype FROM pg_catalog.pg_constraint k
    JOIN y ON y.oid = k.contypid
UNION ALL SELECT 'operator ' || o.oid::pg_catalog.regoperator FROM pg_catalog.pg_operator o
    JOIN s ON s.oid = o.oprnamespace
UNION ALL SELECT pg_catalog.format('operator class %s of %s', o.oid, o.opcname) FROM pg_catalog.pg_opclass o
    JOIN s ON s.oid = o.opcnamespace
UNION ALL SELECT pg_catalog.format('cast (%s AS %s)', f.oid::pg_catalog.regtype, t.oid::pg_catalog.regtype)
    FROM pg_catalog.pg_cast c JOIN y f ON f.oid = c.castsource JOIN y t ON t.oid = c.casttarget
UNION ALL SELECT 'text search configuration ' || c.oid::pg_catalog.regconfig FROM pg_catalog.pg_ts_config c
    JOIN s ON s.oid = c.cfgnamespace
UNION ALL SELECT 'event trigger ' || e.evtname FROM pg_catalog.pg_event_trigger e
"""
# What is in a schema, by the server's own words for it, and how it is dropped; in this order. Indexes, row types and
# what else hangs on these go along.
KINDS = {
    "table": "TABLE",
    "foreign table": "FOREIGN TABLE",
    "view": "VIEW",
    "materialized view": "MATERIALIZED VIEW",
    "sequence": "SEQUENCE",
    "function": "ROUTINE",
    "procedure": "ROUTINE",
    "aggregate": "ROUTINE",
    "type": "TYPE",
    "operator class": "OPERATOR CLASS",
    "operator family": "OPERATOR FAMILY",
    "operator": "OPERATOR",
    "collation": "COLLATION",
    "conversion": "CONVERSION",
    "text search configuration": "TEXT SEARCH CONFIGURATION",
    "text search dictionary": "TEXT SEARCH DICTIONARY",
    "statistics object": "STATISTICS",
}
CONTENT = """
SELECT i.type AS kind, i.identity AS name
  FROM pg_catalog.pg_depend d CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
 WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
   AND d.refobjid = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = $1)
   AND i.type = ANY ($2::pg_catalog.text[]) AND d.objid <> ALL ($3::pg_catalog.oid[])
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid
                    AND (e.deptype = 'e' OR (e.deptype = 'i' AND e.refobjid <> e.objid)))
 ORDER BY pg_catalog.array_position($2::pg_catalog.text[], i.type), 2
"""
# Tables whose foreign keys lead out of the schema, and what has a name beside them.
LEADING = """
WITH away AS (
  SELECT DISTINCT k.conrelid AS oid FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_class o ON o.oid = k.confrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = $1 AND k.contype = 'f' AND o.relnamespace <> c.relnamespace)
SELECT c.oid, c.relname::pg_catalog.text AS name, c.relkind IN ('r', 'p') AS is_table FROM pg_catalog.pg_class c
 WHERE c.oid IN (SELECT l.oid FROM away l)
    OR c.oid IN (SELECT i.indexrelid FROM pg_catalog.pg_index i JOIN away l ON l.oid = i.indrelid)
    OR c.relkind = 'S' AND c.oid IN (SELECT d.objid FROM pg_catalog.pg_depend d JOIN away l ON l.oid = d.refobjid
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'i'
                    AND d.refclassid = d.classid)
 ORDER BY c.oid
"""


@dataclass(frozen=True, slots=True)
class Left:
    """What is still to go: tables, in SQL."""

    tables: tuple[str, ...]


async def check_empty(connection: CatalogConnection, schema: str) -> None:
    """Refused where something is in the schema; "": in the database."""
    where = f"n.nspname = {text(schema)}" if schema else USERS
    rows = await connection.fetch(EMPTY.format(where=where, free=FREE))
    if rows:
        raise Refused(
            [f"the {'schema' if schema else 'database'} is not empty: {', '.join(row['name'] for row in rows)}"]
        )


async def cleared(connection: CatalogConnection, schema: str) -> Left:
    """Drops what is in the schema, or gives it another name. Refused where anything outside it would go along."""
    before = frozenset(row["name"] for row in await connection.fetch(OUTSIDE, schema))
    tables, oids = [], []
    for number, row in enumerate(await connection.fetch(LEADING, schema)):
        old, new = f"{identifier(schema)}.{identifier(row['name'])}", identifier(f"partywall old {number}")
        await connection.execute(f"ALTER TABLE {old} RENAME TO {new}")  # indexes and sequences as well
        oids.append(row["oid"])
        tables += [f"{identifier(schema)}.{new}"] if row["is_table"] else []
    for row in await connection.fetch(CONTENT, schema, list(KINDS), oids):
        await connection.execute(f"DROP {KINDS[row['kind']]} IF EXISTS {row['name']} CASCADE")
    lost = before - {row["name"] for row in await connection.fetch(OUTSIDE, schema)}
    if lost:
        raise _depended(schema, ", ".join(sorted(lost)[:5]))
    return Left(tuple(tables))


async def finished(connection: CatalogConnection, schema: str, left: Left) -> None:
    """Drops the rest. Refused as above; all else of the schema's that depended on it is gone, so the server tells."""
    if not left.tables:
        return
    try:
        await connection.execute(f"DROP TABLE IF EXISTS {', '.join(left.tables)} RESTRICT")
    except FAILURES as error:
        if getattr(error, "sqlstate", None) != "2BP01":  # dependent_objects_still_exist
            raise
        raise _depended(schema, getattr(error, "detail", None) or f"{error}") from error


def _depended(schema: str, names: str) -> Refused:
    return Refused([f"outside the schema {schema} there depends on what is in it: {names}"])
