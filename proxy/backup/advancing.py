"""Sequences are brought beyond the numbers of rows that come in, and never back: others draw from them meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.backup.manifest import SequenceForm
from proxy.backup.refusal import Refused
from proxy.backup.selection import text
from proxy.backup.sequences import LAST, SEQUENCES, own_place, standing
from proxy.backup.target import Table
from proxy.catalog.finding import identifier
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

MOST = 1_000_000  # numbers that everybody may lose to one tenant
# Of a name that is a sequence's.
NUMBERED = "SELECT seqrelid, seqstart FROM pg_catalog.pg_sequence WHERE seqrelid = pg_catalog.to_regclass($1)"
FAR = 100_000  # so many numbers are drawn one by one, rather than that somebody's are set back


async def draw(connection: CatalogConnection, sequence: str, count: int) -> None:
    """Puts so many numbers of a sequence, named in SQL, into the temporary table `drawn`."""
    await connection.execute(
        f"INSERT INTO pg_temp.drawn SELECT pg_catalog.nextval({text(sequence)}::pg_catalog.regclass)"
        f" FROM pg_catalog.generate_series(1, {count})"
    )


async def advanced(connection: CatalogConnection, place: str, least: int) -> None:
    """The sequence, named in SQL, gives no number up to `least` any more. It never goes back, whoever else draws.

    Where it is far behind it is set: between the look and that, others would have to draw as many numbers as it lacks.
    """
    step = int(
        await connection.fetchval(
            "SELECT seqincrement FROM pg_catalog.pg_sequence WHERE seqrelid = $1::pg_catalog.text::pg_catalog.regclass",
            place,
        )
    )
    value, called = await standing(connection, place)
    behind = least - (value if called else value - step)
    if step <= 0 or behind < step:
        return
    if behind > FAR * step:
        await connection.execute(f"SELECT pg_catalog.setval({text(place)}, {least})")
        return
    await connection.execute(
        f"SELECT pg_catalog.max(pg_catalog.nextval({text(place)}::pg_catalog.regclass))"
        f" FROM pg_catalog.generate_series(1, {behind // step})"
    )


async def set_on(connection: CatalogConnection, place: str, least: int) -> None:
    """As `advanced`, of a sequence that draws for one tenant alone: it is set, and by its number, for the tenant may
    have given its name to something else. Refused where there is none."""
    row = await connection.fetchrow(NUMBERED, place)
    if row is None:
        raise Refused([f"the sequence {place} is not there at the target"])
    last = await connection.fetchval(LAST, row["seqrelid"])
    if least >= row["seqstart"] if last is None else least > last:
        await connection.execute("SELECT pg_catalog.setval($1::pg_catalog.oid::pg_catalog.regclass, $2)", row[0], least)


async def too_far(connection: CatalogConnection, place: str, form: SequenceForm) -> str | None:
    """Why a sequence that everybody draws from is not brought beyond what a tenant alone has set; None where it may
    be."""
    value, _ = await standing(connection, place)
    if form.value - value <= MOST:
        return None
    return (
        f"the sequence {place} is at {value}, and the tenant's own at {form.value}: everybody would lose more than"
        f" {MOST} numbers; set it as you see fit"
    )


async def passed(
    connection: CatalogConnection, grant: Grant, forms: Sequence[SequenceForm], tables: Sequence[Table]
) -> None:
    """Every sequence of the archive that is there and the tenant's to draw from, beyond its saved position if it is
    nobody's column's, and beyond the numbers of the archive's rows if it is. The tenant's are those of its rules, and
    those that a column of these tables owns; whatever else a manifest names stays where it is."""
    by_name = {(one.form.schema_name, one.form.name): one for one in tables}
    restored = {one.kept.relation.oid for one in tables}
    owners = {(row["schema"], row["name"]): row["owner_oid"] for row in await connection.fetch(SEQUENCES)}
    for form in forms:
        at = form.schema_name, form.name
        ours = form.column is not None and owners.get(at) in restored
        if not ours and grant.policy.sequences.get(at) is None:
            continue
        place = own_place(grant, form)
        if await connection.fetchval("SELECT pg_catalog.to_regclass($1)", place) is None:
            continue
        least = form.value if form.called else form.value - 1
        if form.column is not None:
            table = by_name.get(form.column[:2])
            if table is None:
                continue
            column = identifier(form.column[2])
            least = await connection.fetchval(f"SELECT pg_catalog.max({column})::pg_catalog.int8 FROM {table.stage}")
        if least is not None:
            await advanced(connection, place, least)
