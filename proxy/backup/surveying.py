"""What a move has to do, seen before it is done: the tables on both sides, and all that is in the way.

Nothing is changed here. What only the copying shows, such as rows of shared tables that are missing, it tells itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.backup.passages import Passage, Types, paired
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept, Reference, ordered, references, selected
from proxy.backup.sequences import own_place, positions
from proxy.catalog.introspect import introspect
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

TYPES = """
SELECT t.type, t.typmod, pg_catalog.format_type(t.type, t.typmod) AS name
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int4[])) t(type, typmod)
"""
ALWAYS = """
SELECT pg_catalog.format('%I of %I.%I', t.tgname, n.nspname, c.relname) AS name
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal AND t.tgenabled IN ('A', 'R')
   AND (c.oid = ANY ($1::pg_catalog.oid[]) OR EXISTS (
         SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a WHERE a.relid = ANY ($1::pg_catalog.oid[])))
 ORDER BY 1
"""
SUPERUSER = "SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user"


@dataclass(frozen=True, slots=True)
class Planned:
    """links: foreign keys of the target's tables, by the places of these among the passages."""

    passages: tuple[Passage, ...]
    links: tuple[Reference, ...]


async def planned(source: CatalogConnection, target: CatalogConnection, here: Grant, there: Grant) -> Planned:
    """Refused with everything that is in the way."""
    problems = [
        f"the operator's role at the {end} is no superuser; it makes triggers there, or replicates"
        for end, connection in (("source", source), ("target", target))
        if not await connection.fetchval(SUPERUSER)
    ]
    first, second = await introspect(source, 1), await introspect(target, 1)
    kept = ordered(first, selected(first, here))
    other = selected(second, there)
    passages = paired(kept, other, await _types(source, kept), await _types(target, other))
    rows = await target.fetch(ALWAYS, [one.target.relation.oid for one in passages])
    problems += [f"the trigger {row['name']} at the target fires for rows that are replicated" for row in rows]
    for form in await positions(source, here, kept):
        place = own_place(there, form)
        if await target.fetchval("SELECT pg_catalog.to_regclass($1)", place) is None:
            problems.append(f"the sequence {place} is not there at the target")
    if problems:
        raise Refused(problems)
    return Planned(passages, tuple(references(second, tuple(one.target for one in passages))))


async def _types(connection: CatalogConnection, kept: tuple[Kept, ...]) -> Types:
    columns = [column for one in kept for column in one.columns]
    rows = await connection.fetch(TYPES, [one.type for one in columns], [one.typmod for one in columns])
    return {(row["type"], row["typmod"]): row["name"] for row in rows}
