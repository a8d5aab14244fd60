"""What a tenant that has moved left behind: taken away, once it is certain that nobody else needs it.

Rows go without their triggers and foreign keys, as they came to the target; so it is asked before who references them.
Of a schema or database of the tenant's own only the rows go: what it defined there is the operator's to drop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.backup import journal
from proxy.backup.changelog import ARRIVING as COMES
from proxy.backup.ends import Ends, both
from proxy.backup.journal import MOVED, Move
from proxy.backup.mirroring import removed
from proxy.backup.moving import Doors, of_move, unlogged
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept, ordered, references, title
from proxy.backup.surveying import tables_of
from proxy.backup.tying import tie
from proxy.catalog.finding import identifier
from proxy.catalog.introspect import introspect
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection
    from proxy.catalog.model import Catalog

# Whoever owns a table of foreign rows may have what it wrote run by who reads it; to own the tenant's, too, is trusted.
STRANGERS = """
WITH RECURSIVE tables AS (
  SELECT $1::pg_catalog.oid AS oid
   UNION
  SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tables ON i.inhparent = tables.oid)
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_class c JOIN tables ON tables.oid = c.oid JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
   WHERE NOT r.rolsuper
     AND c.relowner <> (SELECT p.relowner FROM pg_catalog.pg_class p WHERE p.oid = $2::pg_catalog.oid))
"""


async def clean(ends: Ends, doors: Doors) -> int:
    """The rows, the triggers and the journal of a move that is done are gone at the source; how many rows. Refused
    where a proxy still serves the tenant there, or a row of somebody else references one of them. The guard at the
    target goes before its journal, without which it would let nobody in; the source's journal is the last to go."""
    async with both(ends) as (source, target):
        at = await journal.found(source, ends.here.tenant, ends.here.database)
        arrival = await journal.arriving(target, ends.here.tenant, ends.here.database)
        if arrival is not None and (at is None or arrival.id != at.id or arrival.elsewhere != ends.here.home):
            raise Refused(
                [
                    f"{ends.here.tenant} came to {ends.there.home} from {arrival.elsewhere} by the journal there, and"
                    f" not in a move from {ends.here.home}"
                ]
            )
        if at is None:
            await doors.arrived()
            return 0  # one that was killed has done all of it
        if at.phase != MOVED:
            raise Refused([f"{ends.here.tenant} has not moved from {ends.here.server.database}"])
        if at.elsewhere != ends.there.home:
            raise Refused(
                [f"{at.tenant} has moved to {at.elsewhere} by the journal, and these rules have another place"]
            )
        await doors.arrived()
        await doors.go_on()
        await unlogged(target, at, COMES)
        count = 0
        if arrival is not None:  # else one that was killed has deleted them
            count = await _deleted(source, ends, at)  # behind the fence, which goes when nothing is behind it
        await unlogged(source, at)
        if arrival is not None:
            await journal.ended(target, arrival)
        await journal.ended(source, at)
    return count


async def _deleted(connection: CatalogConnection, ends: Ends, at: Move) -> int:
    """Of tables that were made after the move nothing is: no fence was before them."""
    catalog = await introspect(connection, 1)
    ours = await of_move(connection, at)
    tables = await tables_of(connection, ends.here, ends.there, catalog)
    kept = ordered(catalog, tuple(one for one in tables if one.relation.oid in ours))
    await _check_needed(connection, ends.here, kept, catalog)
    return await removed(connection, kept, ends.here)


async def _check_needed(connection: CatalogConnection, grant: Grant, kept: tuple[Kept, ...], catalog: Catalog) -> None:
    problems = []
    for link in references(catalog, kept):
        if link.parent is None:
            continue
        parent = kept[link.parent]
        if link.child is None and (
            not grant.policy.shares_tables or await connection.fetchval(STRANGERS, link.holder.oid, parent.relation.oid)
        ):  # to ask for its rows would run what its owner wrote
            problems.append(f"{title(link.holder)} references {parent.full}, and is not the tenant's")
            continue
        if not grant.policy.shares_tables:
            continue
        child = None if link.child is None else kept[link.child]
        foreign = "true" if child is None or child.column is None else f"NOT ({child.owned(grant, 'c')})"
        holder = f"{identifier(link.holder.schema)}.{identifier(link.holder.name)}"
        same = await tie(connection, link, "c", "l")
        if await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {holder} c JOIN {parent.full} l ON {same}"
            f" WHERE {parent.owned(grant, 'l')} AND {foreign})"
        ):
            problems.append(f"a row of {link.holder.name} that is not the tenant's references its {parent.full}")
    if problems:
        raise Refused(problems)
