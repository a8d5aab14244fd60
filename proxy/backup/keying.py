"""Gives staged rows the keys that they have there: the tenant's own, and new ones where somebody else's row has theirs.

Promises: a key that collides is given anew, from the column's own sequence where it has one, and all columns that
reference it by a foreign key follow; a key that is no number and no UUID is refused, because somebody chose it. Rows
of tables that are not the tenant's and that the archive's rows reference must be there already. All in temporary
tables; of what others see only numbers of sequences are used up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from proxy.backup.advancing import draw
from proxy.backup.refusal import Refused
from proxy.backup.rekeying import NUMBERS, UUID, Pair, Place, followers, global_keys
from proxy.backup.selection import Reference, text
from proxy.backup.target import Table
from proxy.backup.tying import tie
from proxy.catalog.finding import identifier
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

ROUNDS = 64  # of drawing numbers, until enough are free
SHOWN = 5  # values of a problem that are told


async def rekeyed(
    connection: CatalogConnection, tables: Sequence[Table], held: Mapping[Place, tuple[str, str]]
) -> None:
    """Puts the tenant's keys in the place of those in the archive."""
    for (number, column), (old, new) in held.items():
        table = tables[number]
        if old != new and any(one.name == column for one in table.columns):
            name = identifier(column)
            await connection.execute(f"UPDATE {table.stage} SET {name} = {text(new)} WHERE {name} = {text(old)}")


async def renumbered(
    connection: CatalogConnection,
    grant: Grant,
    tables: Sequence[Table],
    linked: Sequence[Pair],
    held: Mapping[Place, tuple[str, str]],
    left: Collection[int] = (),
    dry: bool = False,
) -> dict[str, int]:
    """Gives anew what collides; how many, by table and column. left: tables that nothing is written to. dry: only
    counts."""
    found: dict[str, int] = {}
    problems: list[str] = []
    referencing = {left for left, _ in linked}
    followed: set[Place] = set()
    for number, table in enumerate(tables):
        for key, columns in () if number in left else global_keys(table, number, held):
            if dry and any((number, one) in followed for one in columns):
                continue  # it would have been given anew with what it references
            count = await _colliding(connection, grant, table, columns)
            if not count:
                continue
            origin = (number, columns[0])
            kind = next(one.type for one in table.columns if one.name == columns[0])
            if len(columns) != 1 or origin in referencing or kind not in (*NUMBERS, UUID):
                problems.append(
                    f"{count} rows of {table.title} have a value of ({', '.join(columns)}) that another tenant has, and"
                    f" {key.name} does not allow that; `partywall doctor` has the DDL for a key with the tenant column"
                )
                continue
            found[f"{table.title}.{columns[0]}"] = count
            followed.update(followers(origin, linked))
            if not dry:
                await _draw(connection, grant, table, columns[0], kind)
                for place, column in followers(origin, linked):
                    await _follow(connection, tables[place], column)
    if problems:
        raise Refused(problems)
    return found


def _others(grant: Grant, table: Table, columns: Sequence[str], value: str) -> str:
    """Is there a row of somebody else with these values of the row `value`?"""
    same = " AND ".join(table.same(one, "l", value) for one in columns)
    return f"EXISTS (SELECT FROM {table.kept.full} l WHERE {same} AND NOT ({table.kept.owned(grant, 'l')}))"


async def _colliding(connection: CatalogConnection, grant: Grant, table: Table, columns: Sequence[str]) -> int:
    query = f"SELECT pg_catalog.count(*) FROM {table.stage} s WHERE {_others(grant, table, columns, 's')}"
    return int(await connection.fetchval(query))


async def _draw(connection: CatalogConnection, grant: Grant, table: Table, column: str, kind: int) -> None:
    """A temporary table of each colliding value and the one that takes its place."""
    name = identifier(column)
    await connection.execute("DROP TABLE IF EXISTS pg_temp.anew, pg_temp.drawn")
    await connection.execute(
        f"CREATE TEMPORARY TABLE anew AS SELECT s.{name} AS old, NULL::{NUMBERS.get(kind, 'uuid')} AS new,"
        f" pg_catalog.row_number() OVER (ORDER BY s.{name}) AS n FROM {table.stage} s"
        f" WHERE {_others(grant, table, [column], 's')}"
    )
    if kind == UUID:
        await connection.execute("UPDATE pg_temp.anew SET new = pg_catalog.gen_random_uuid()")
        return
    sequence = await connection.fetchval(
        "SELECT pg_catalog.pg_get_serial_sequence($1, $2)::pg_catalog.text", table.kept.full, column
    )
    if sequence is None:
        await connection.execute(
            f"UPDATE pg_temp.anew SET new = n + GREATEST((SELECT pg_catalog.max({name}) FROM {table.kept.full}),"
            f" (SELECT pg_catalog.max({name}) FROM {table.stage}))"
        )
        return
    await connection.execute("CREATE TEMPORARY TABLE drawn (value pg_catalog.int8)")
    wanted = int(await connection.fetchval("SELECT pg_catalog.count(*) FROM pg_temp.anew"))
    for _ in range(ROUNDS):
        await draw(connection, sequence, wanted)
        await connection.execute(
            f"DELETE FROM pg_temp.drawn d WHERE EXISTS (SELECT FROM {table.stage} s WHERE s.{name} = d.value)"
            f" OR EXISTS (SELECT FROM {table.kept.full} l WHERE l.{name} = d.value)"
        )
        have = int(await connection.fetchval("SELECT pg_catalog.count(*) FROM pg_temp.drawn"))
        wanted = int(await connection.fetchval("SELECT pg_catalog.count(*) FROM pg_temp.anew")) - have
        if wanted <= 0:
            break
    else:
        raise Refused([f"{sequence} gives no numbers that are free in {table.title}"])
    await connection.execute(
        "UPDATE pg_temp.anew a SET new = d.value FROM"
        " (SELECT value, pg_catalog.row_number() OVER (ORDER BY value) AS n FROM pg_temp.drawn) d WHERE d.n = a.n"
    )


async def _follow(connection: CatalogConnection, table: Table, column: str) -> None:
    name = identifier(column)
    await connection.execute(f"UPDATE {table.stage} s SET {name} = a.new FROM pg_temp.anew a WHERE s.{name} = a.old")


async def check_shared(connection: CatalogConnection, tables: Sequence[Table], links: Sequence[Reference]) -> None:
    """Refused where a row references one of a table that is not restored, and that is not there."""
    problems = []
    for link in links:
        if link.child is None or link.parent is not None or link.partial:
            continue
        table = tables[link.child]
        given = {one.name for one in table.columns}
        if not given.issuperset(left for left, _ in link.columns):
            continue  # a generated column; the server will see
        names = [identifier(left) for left, _ in link.columns]
        filled = " AND ".join(f"s.{one} IS NOT NULL" for one in names)
        same = await tie(connection, link, "s", "t")  # the stage has the table's own columns
        target = f"{identifier(link.target.schema)}.{identifier(link.target.name)}"
        rows = await connection.fetch(
            f"SELECT DISTINCT ROW({', '.join(f's.{one}' for one in names)})::pg_catalog.text AS row"
            f" FROM {table.stage} s WHERE {filled} AND NOT EXISTS (SELECT FROM {target} t WHERE {same})"
            f" ORDER BY 1 LIMIT {SHOWN}"
        )
        if rows:
            values = ", ".join(row["row"] for row in rows)
            columns = ", ".join(right for _, right in link.columns)
            problems.append(
                f"{table.title} needs rows of {link.target.name} that are not there: ({columns}) = {values}"
            )
    if problems:
        raise Refused(problems)
