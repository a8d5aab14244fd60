"""Tables that a tenant defines are held still while a superuser works with their rows, and hold no code of its own.

To plan a query, to check a row and to enter it into an index is to run what the table's owner wrote, as whoever does
it. So it is asked, of tables that nobody can alter any more, whose functions, operators and types their expressions
name: a superuser's that are immutable do no harm; anybody else's, or unknown ones, are a reason to refuse. No code of a
tenant's ever runs in a session of the operator's, not even as the tenant: what it left there would be met later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxy.backup.refusal import Refused
from proxy.backup.selection import title
from proxy.catalog.finding import identifier
from proxy.catalog.model import Relation
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# Another name for a schema asks for no lock of its tables, but for this row.
SCHEMAS = "SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1::pg_catalog.name[]) FOR SHARE"
OTHERS = """
SELECT t.oid
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.oid[])) t(name, oid)
 WHERE pg_catalog.to_regclass(t.name)::pg_catalog.oid IS DISTINCT FROM t.oid
"""
# What an expression's tree names by number: functions, operators and types. A constant's value has no such words in it,
# and in a text that is the tenant's the server writes a backslash before a brace.
NAMED = r":(funcid|opfuncid|opno|\w*type\w*|\w*typid) (\d+)"
# What a tree may be made of: nodes that run nothing but what they name so. Others look something up when they are run,
# as the constructors of SQL/JSON do with casts, or hold lists of numbers; what a later server brings is not known yet.
# PostgreSQL 14 has shorter words for some.
NODE = r"(\{\w*|\(o )"
NODES = """
VAR CONST FUNCEXPR NAMEDARGEXPR OPEXPR DISTINCTEXPR NULLIFEXPR SCALARARRAYOPEXPR BOOLEXPR NULLTEST BOOLEANTEST
RELABELTYPE COERCEVIAIO ARRAYCOERCEEXPR COERCETODOMAIN COLLATEEXPR CASEEXPR CASEWHEN CASETESTEXPR ARRAYEXPR ROWEXPR
COALESCEEXPR MINMAXEXPR SQLVALUEFUNCTION SUBSCRIPTINGREF JSONISPREDICATE COLLATE CASE WHEN ARRAY ROW COALESCE MINMAX
"""
KNOWN = ", ".join(f"'{one}'" for one in NODES.split())
# Every expression of these tables and their partitions that a plan, a row or an index entry evaluates, the types of
# columns, and triggers that fire for rows that are replicated; then what in it is not known to be harmless. A foreign
# key of a tenant's type that is compared as another is compared by a cast, which may be the tenant's. Of built-in
# functions that are stable, those over numbers, dates and times do nothing but compute; others read tables by name, or
# make text of anything. Of triggers the move's own are let through: whose a function is does not say what it is given.
CODE = rf"""
WITH RECURSIVE tables AS (
  SELECT o.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) o(oid)
   UNION
  SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tables ON i.inhparent = tables.oid),
superusers AS (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper),
types AS (
  SELECT t.oid FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
   WHERE t.typowner IN (SELECT s.oid FROM superusers s) OR COALESCE(e.typtype, t.typtype) IN ('b', 'e')),
functions AS (
  SELECT p.oid FROM pg_catalog.pg_proc p
   WHERE p.proowner IN (SELECT s.oid FROM superusers s)
     AND (p.provolatile = 'i' OR (p.provolatile = 's' AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
          AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proargtypes) a(oid) JOIN pg_catalog.pg_type t ON t.oid = a.oid
                           WHERE t.typcategory NOT IN ('N', 'D', 'T'))))),
operators AS (  -- the negator of another's, which a plan puts in its place, would be another's, too
  SELECT o.oid FROM pg_catalog.pg_operator o
   WHERE o.oprowner IN (SELECT s.oid FROM superusers s)
     AND o.oprcode::pg_catalog.oid IN (SELECT f.oid FROM functions f)),
expressions AS (
  SELECT pg_catalog.format('the index %s', x.indexrelid::pg_catalog.regclass) AS name, x.indrelid AS of, e.tree
    FROM pg_catalog.pg_index x
   CROSS JOIN LATERAL (VALUES (x.indexprs::pg_catalog.text), (x.indpred::pg_catalog.text)) e(tree)
   UNION ALL
  SELECT pg_catalog.format('the statistics %I', s.stxname), s.stxrelid, s.stxexprs::pg_catalog.text
    FROM pg_catalog.pg_statistic_ext s
   UNION ALL
  SELECT 'the way it is partitioned', p.partrelid, p.partexprs::pg_catalog.text FROM pg_catalog.pg_partitioned_table p
   UNION ALL
  SELECT pg_catalog.format('the constraint %I', k.conname), k.conrelid, k.conbin::pg_catalog.text
    FROM pg_catalog.pg_constraint k WHERE k.contype = 'c'
   UNION ALL
  SELECT pg_catalog.format('the column %I', a.attname), a.attrelid, d.adbin::pg_catalog.text
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attgenerated <> ''
   UNION ALL
  SELECT pg_catalog.format('the trigger %I', t.tgname), t.tgrelid, t.tgqual::pg_catalog.text
    FROM pg_catalog.pg_trigger t WHERE t.tgenabled IN ('A', 'R'))
SELECT DISTINCT c.name, pg_catalog.format('%s.%s', n.nspname, r.relname) AS of FROM (
  SELECT e.name, e.of FROM expressions e
    JOIN tables ON tables.oid = e.of
   CROSS JOIN LATERAL pg_catalog.regexp_matches(e.tree, '{NAMED}', 'g') m(found)
   WHERE m.found[2] <> '0' AND CASE
           WHEN m.found[1] IN ('funcid', 'opfuncid')
           THEN m.found[2]::pg_catalog.oid NOT IN (SELECT f.oid FROM functions f)
           WHEN m.found[1] = 'opno' THEN m.found[2]::pg_catalog.oid NOT IN (SELECT o.oid FROM operators o)
           ELSE m.found[2]::pg_catalog.oid NOT IN (SELECT t.oid FROM types t)
                AND EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = m.found[2]::pg_catalog.oid) END
   UNION ALL
  SELECT e.name, e.of FROM expressions e
    JOIN tables ON tables.oid = e.of
   CROSS JOIN LATERAL pg_catalog.regexp_matches(e.tree, '{NODE}', 'g') m(found)
   WHERE pg_catalog.ltrim(m.found[1], '{{') NOT IN ({KNOWN})
   UNION ALL
  SELECT pg_catalog.format('the type of the column %I', a.attname), a.attrelid FROM pg_catalog.pg_attribute a
    JOIN tables ON tables.oid = a.attrelid
   WHERE $2 AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid NOT IN (SELECT t.oid FROM types t)
   UNION ALL
  SELECT pg_catalog.format('the foreign key %I', k.conname), k.conrelid
    FROM pg_catalog.pg_constraint k JOIN tables ON tables.oid = k.conrelid
   CROSS JOIN LATERAL ROWS FROM (
           pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey), pg_catalog.unnest(k.conpfeqop))
         e(own, far, operator)
    JOIN pg_catalog.pg_operator o ON o.oid = e.operator
   CROSS JOIN LATERAL (VALUES (k.conrelid, e.own, o.oprright), (k.confrelid, e.far, o.oprleft)) s(of, number, type)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = s.of AND a.attnum = s.number
    JOIN pg_catalog.pg_type c ON c.oid = a.atttypid JOIN pg_catalog.pg_type t ON t.oid = s.type
   WHERE $2 AND k.contype = 'f' AND c.oid <> t.oid AND t.typtype <> 'p'
     AND c.typowner NOT IN (SELECT s.oid FROM superusers s)
   UNION ALL
  SELECT pg_catalog.format('the trigger %I', t.tgname), t.tgrelid FROM pg_catalog.pg_trigger t
    JOIN tables ON tables.oid = t.tgrelid JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    JOIN pg_catalog.pg_namespace o ON o.oid = p.pronamespace
   WHERE t.tgenabled IN ('A', 'R') AND NOT (o.nspname = 'partywall' AND p.proowner IN (SELECT s.oid FROM superusers s))
   UNION ALL
  SELECT pg_catalog.format('the rule %I', w.rulename), w.ev_class FROM pg_catalog.pg_rewrite w
    JOIN tables ON tables.oid = w.ev_class
   UNION ALL
  SELECT 'what is no table', c.oid FROM pg_catalog.pg_class c JOIN tables ON tables.oid = c.oid
   WHERE c.relkind NOT IN ('r', 'p')) c
  JOIN pg_catalog.pg_class r ON r.oid = c.of JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
 ORDER BY 2, 1
"""

TRIGGER, AWAY = "the trigger ", "disable it for the move"
OTHERWISE = "drop it for the move, or let a superuser own what it calls"


async def held(
    connection: CatalogConnection, grant: Grant, relations: Iterable[Relation], written: bool = False
) -> None:
    """Nobody alters these tables until the transaction ends, and to read them runs no code but the server's; written:
    nor does it to put rows into them. Refused where that cannot be said. Of tables that tenants share: nothing is done.

    To be called before anything else in a transaction, which may write. Who reads and writes rows does not wait.
    """
    found = {one.oid: one for one in relations}
    if grant.policy.shares_tables or not found:
        return
    names = {oid: f"{identifier(one.schema)}.{identifier(one.name)}" for oid, one in found.items()}
    await connection.execute(f"LOCK TABLE {', '.join(names.values())} IN SHARE UPDATE EXCLUSIVE MODE")
    await connection.fetch(SCHEMAS, sorted({one.schema for one in found.values()}))
    if others := await connection.fetch(OTHERS, list(names.values()), list(names)):
        raise Refused([f"{title(found[row['oid']])} is another table than it was a moment ago" for row in others])
    if problems := await planted(connection, list(found), written):
        raise Refused(problems)


async def planted(connection: CatalogConnection, tables: list[int], written: bool) -> list[str]:
    """What would run somebody's code, of these tables and their partitions, in sentences."""
    rows = await connection.fetch(CODE, tables, written)
    return [
        f"{row['name']} of {row['of']} may run what is not the server's own, as the superuser who moves:"
        f" {AWAY if row['name'].startswith(TRIGGER) else OTHERWISE}"
        for row in rows
    ]
