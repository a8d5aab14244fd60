"""What a move has to do, seen before it is done: the tables on both sides, and all that is in the way.

Nothing is changed here. What only the copying shows, such as rows of shared tables that are missing, it tells itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from proxy.backup.advancing import too_far
from proxy.backup.ends import one_database
from proxy.backup.holding import planted
from proxy.backup.manifest import SequenceForm
from proxy.backup.neighbours import around
from proxy.backup.passages import Homes, Passage, Types, homes_of, paired
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept, Reference, ordered, references, selected
from proxy.backup.sequences import numbered, own_place, positions
from proxy.backup.triggers import USERS
from proxy.backup.tying import check_ties
from proxy.catalog.finding import identifier
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

TYPES = """
SELECT t.type, t.typmod, pg_catalog.format_type(t.type, t.typmod) AS name
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int4[])) t(type, typmod)
"""
ALWAYS = f"""
SELECT pg_catalog.format('%I of %I.%I', t.tgname, n.nspname, c.relname) AS name
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE {USERS} AND t.tgenabled IN ('A', 'R')
   AND (c.oid = ANY ($1::pg_catalog.oid[]) OR EXISTS (
         SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a WHERE a.relid = ANY ($1::pg_catalog.oid[])))
 ORDER BY 1
"""
# Sequences that a default draws from, whosever they are.
DRAWN = """
SELECT DISTINCT c.oid, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name
  FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d
       ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = a.oid
       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind = 'S'
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE a.adrelid = ANY ($1::pg_catalog.oid[])
 ORDER BY 2, 3
"""
# What a tenant may have defined besides tables and their sequences, without what belongs to extensions.
OBJECTS = """
SELECT o.schema::pg_catalog.text, o.name FROM (
  SELECT n.nspname AS schema, CASE c.relkind WHEN 'v' THEN 'the view ' WHEN 'm' THEN 'the materialized view '
           WHEN 'c' THEN 'the type ' ELSE 'the foreign table ' END || c.relname AS name, c.oid,
         'pg_catalog.pg_class'::pg_catalog.regclass AS class
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('v', 'm', 'c', 'f')
   UNION ALL
  SELECT n.nspname, pg_catalog.format('the function %s of %s arguments', p.proname, p.pronargs), p.oid,
         'pg_catalog.pg_proc'::pg_catalog.regclass
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   UNION ALL
  SELECT n.nspname, 'the type ' || t.typname, t.oid, 'pg_catalog.pg_type'::pg_catalog.regclass
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
   WHERE t.typtype IN ('d', 'e', 'r')) o
 WHERE o.schema NOT IN ('pg_catalog', 'information_schema', 'partywall') AND o.schema !~ '^pg_'
   AND ($1::pg_catalog.text = '' OR o.schema = $1)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')
 ORDER BY 1, 2
"""
TREE = """
WITH RECURSIVE tables AS (
  SELECT o.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) o(oid)
   UNION
  SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tables ON i.inhparent = tables.oid
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition)
"""
# Where rows are: another file where all of them were written anew or taken away, for which no row's trigger fires.
STORED = f"""{TREE}
SELECT c.oid, c.relfilenode FROM pg_catalog.pg_class c JOIN tables ON tables.oid = c.oid ORDER BY 1
"""
# Keys that are looked at by a trigger, which does not fire for what is replicated.
DEFERRABLE = f"""{TREE}
SELECT pg_catalog.format('%s of %s', x.indexrelid::pg_catalog.regclass, x.indrelid::pg_catalog.regclass) AS name
  FROM pg_catalog.pg_index x JOIN tables ON tables.oid = x.indrelid
 WHERE NOT x.indimmediate
 ORDER BY 1
"""
STEP = "SELECT seqincrement FROM pg_catalog.pg_sequence WHERE seqrelid = pg_catalog.to_regclass($1)"
SUPERUSER = "SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user"


@dataclass(frozen=True, slots=True)
class Planned:
    """links: foreign keys of the target's tables, by the places of these among the passages."""

    passages: tuple[Passage, ...]
    links: tuple[Reference, ...]
    mark: str  # of all that triggers and copies were made by; another one where the tables were changed


async def planned(source: CatalogConnection, target: CatalogConnection, here: Grant, there: Grant) -> Planned:
    """Refused with everything that is in the way."""
    problems = [
        f"the operator's role at the {end} is no superuser; it makes triggers there, or replicates"
        for end, connection in (("source", source), ("target", target))
        if not await connection.fetchval(SUPERUSER)
    ]
    homes = homes_of(here, there)
    first, second = await introspect(source, 1), await introspect(target, 1)
    kept = ordered(first, await tables_of(source, here, there, first))
    other = await tables_of(target, there, here, second)
    passages = paired(kept, other, await _types(source, kept), await _types(target, other), homes)
    problems += await _lacking(source, target, here, homes)
    for connection, grant, tables, written in ((source, here, kept, False), (target, there, other, True)):
        if not grant.policy.shares_tables:
            problems += await planted(connection, [one.relation.oid for one in tables], written)
    rows = await target.fetch(ALWAYS, [one.target.relation.oid for one in passages])
    problems += [f"the trigger {row['name']} at the target fires for rows that are replicated" for row in rows]
    rows = await target.fetch(DEFERRABLE, [one.target.relation.oid for one in passages])
    problems += [
        f"the key {row['name']} at the target is deferrable, and does not hold for what arrives: make it NOT DEFERRABLE"
        for row in rows
    ]
    closed = (await around(target, there)).closed
    for form in await drawn(source, here, kept):
        place = place_of(form, there, homes)
        if homes.moved(form.schema_name) in closed:
            problems.append(f"the sequence {place} is in a schema that is not the tenant's at the target")
            continue
        step = await target.fetchval(STEP, place)
        if step is None:
            problems.append(f"the sequence {place} is not there at the target")
        elif step < 0:
            problems.append(f"the sequence {place} counts down, and is not followed")
        elif own_alone(form, here, there) and (problem := await too_far(target, place, form)):
            problems.append(problem)
    if problems:
        raise Refused(problems)
    links = tuple(references(second, tuple(one.target for one in passages)))
    check_ties(links, there, await around(target, there), second)
    stored = [
        [tuple(row) for row in await connection.fetch(STORED, [one.relation.oid for one in tables])]
        for connection, tables in (
            (source, [one.source for one in passages]),
            (target, [one.target for one in passages]),
        )
    ]
    return Planned(passages, links, _mark(passages, here, there, stored))


async def tables_of(connection: CatalogConnection, grant: Grant, other: Grant, catalog: Catalog) -> tuple[Kept, ...]:
    """The tenant's tables at one end. other: what the rules say of the other one, whose schema in the same database is
    none of what is shared there."""
    if grant.policy.shares_tables and other.policy.schema and one_database(grant, other):
        own = grant.policy.own_schemas | {other.policy.schema}
        grant = replace(grant, policy=replace(grant.policy, own_schemas=own))
    return selected(catalog, grant, await around(connection, grant))


def place_of(form: SequenceForm, there: Grant, homes: Homes) -> str:
    """The sequence at the target, in SQL, that goes on from this one."""
    return own_place(there, form.model_copy(update={"schema_name": homes.moved(form.schema_name)}))


def own_alone(form: SequenceForm, here: Grant, there: Grant) -> bool:
    """Did nobody but the tenant set it, and will everybody draw from what goes on from it?"""
    at = "public", form.name
    return (
        not here.policy.shares_tables and there.policy.shares_tables and there.policy.sequences.get(at) != "per_tenant"
    )


async def _lacking(source: CatalogConnection, target: CatalogConnection, here: Grant, homes: Homes) -> list[str]:
    """What the tenant defined, and what is not at the target by its name."""
    if here.policy.shares_tables:
        return []
    waiting = {(row["schema"], row["name"]) for row in await target.fetch(OBJECTS, "")}
    return [
        f"{row['name']} is in {row['schema']}, and not at the target: make it there, or drop it"
        for row in await source.fetch(OBJECTS, here.policy.schema)
        if (homes.moved(row["schema"]), row["name"]) not in waiting
    ]


async def drawn(connection: CatalogConnection, grant: Grant, kept: tuple[Kept, ...]) -> tuple[SequenceForm, ...]:
    """Where the tenant's sequences are now, and those that a default of its tables draws from, whoever else does.
    They stand still until they are read, by their number and of one transaction."""
    async with connection.transaction():
        found = {(one.schema_name, one.name): one for one in await positions(connection, grant, kept)}
        for row in await connection.fetch(DRAWN, [one.relation.oid for one in kept]):
            at = row["schema"], row["name"]
            if at not in found:
                place = f"{identifier(at[0])}.{identifier(at[1])}"
                value, called = await numbered(connection, place, row["oid"])
                found[at] = SequenceForm(schema=at[0], name=at[1], value=value, called=called, own=False, column=None)
    return tuple(found.values())


def _mark(passages: tuple[Passage, ...], here: Grant, there: Grant, stored: object) -> str:
    parts = [
        (one.key, one.columns, kept.at, kept.relation.oid, kept.relation.kind, kept.owned(grant), *_shape(kept))
        for one in passages
        for kept, grant in ((one.source, here), (one.target, there))
    ]
    return sha256(repr((sorted(parts, key=repr), stored)).encode()).hexdigest()


def _shape(kept: Kept) -> list[tuple[int, str, int, int]]:
    return sorted((one.number, one.name, one.type, one.typmod) for one in kept.columns)


async def _types(connection: CatalogConnection, kept: tuple[Kept, ...]) -> Types:
    columns = [column for one in kept for column in one.columns]
    rows = await connection.fetch(TYPES, [one.type for one in columns], [one.typmod for one in columns])
    return {(row["type"], row["typmod"]): row["name"] for row in rows}
