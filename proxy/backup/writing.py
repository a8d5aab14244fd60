"""Makes a tenant's rows what the staged archive says, in the transaction that it is called in; or refuses.

Promises: only rows that differ are touched; afterwards nothing differs, which is asked of the server and not believed,
because triggers may write, too; no row of another tenant or table goes along with one that is deleted. Rows whose ties
change (keys, foreign keys) are deleted with all that leads to them, and inserted again; others are updated in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from proxy.backup import statements
from proxy.backup.breaking import Order
from proxy.backup.progress import Progress
from proxy.backup.refusal import Refused
from proxy.backup.selection import Reference
from proxy.backup.target import Table
from proxy.backup.tying import tie
from proxy.catalog.finding import identifier
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

Mode = Literal["into-empty", "merge", "replace"]
PASSES = 4  # a trigger may write into a table that is done already; it ends or it is refused


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows of a table that come, are changed, and go."""

    insert: int = 0
    update: int = 0
    delete: int = 0

    def __bool__(self) -> bool:
        return bool(self.insert or self.update or self.delete)


class Writing:
    """One restore of staged tables."""

    def __init__(
        self,
        connection: CatalogConnection,
        grant: Grant,
        tables: Sequence[Table],
        links: Sequence[Reference],
        order: Order,
        registry: frozenset[int],
    ) -> None:
        """registry: tables of which the tenant has one row, which is there before it has any other."""
        self._connection = connection
        self._grant = grant
        self._tables = tables
        self._links = links
        self._order = order
        self._registry = registry
        self._going: set[int] = set()  # those of which rows are to go
        self._left: frozenset[int] = frozenset()  # those whose row is left as it is
        self._bound = {number: self._ties(number) for number in range(len(tables))}

    async def leave(self, mode: Mode) -> frozenset[int]:
        """To be called first: the tables whose row is left as it is, because the tenant was registered there already,
        as whoever did it wanted. Refused where `into-empty` finds rows anywhere else.
        """
        if mode == "into-empty":
            full = [number for number in self._order.tables if await self._any(number)]
            if names := [self._tables[number].title for number in full if number not in self._registry]:
                raise Refused([f"{self._grant.tenant} has rows already in {', '.join(names)}"])
            self._left = frozenset(full)
        return self._left

    async def differences(self, mode: Mode) -> Mapping[int, Difference]:
        """What would come, change and go, by table."""
        found = {}
        for number in self._order.tables:
            coming = altered = going = 0
            if number not in self._left:
                coming, altered, going = await self._compared(self._tables[number])
            found[number] = Difference(coming, altered, 0 if mode == "merge" else going)
        return found

    async def _compared(self, table: Table) -> tuple[int, int, int]:
        query = statements.compared(table, self._grant)
        if query is None:
            missing, surplus = statements.missing(table, self._grant), statements.surplus(table, self._grant)
            return await self._count(missing), 0, await self._count(surplus)
        row = await self._connection.fetchrow(query)
        assert row is not None
        return row[0], row[1], row[2]

    async def write(self, mode: Mode, told: Callable[[Progress], None]) -> Mapping[int, Difference]:
        """Does it; what it did. Refused when it cannot be, and the transaction must be rolled back then."""
        first = left = await self.differences(mode)
        expected = sum(one.insert + one.update + one.delete for one in first.values())
        if self._order.deferred:
            await self._connection.execute(f"SET CONSTRAINTS {', '.join(self._order.deferred)} DEFERRED")
        done = 0
        for turn in range(PASSES):
            if not any(left.values()):
                await self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                return first
            if mode == "replace" or (mode == "into-empty" and turn):
                await self._clear(left)
            for number in self._order.tables:
                await self._fill(number, left[number])
                done += left[number].insert + left[number].update + left[number].delete
                told(Progress("write", min(done, expected), 0, expected, self._tables[number].title))
            for number in self._order.empty:
                await self._alter(number)
            left = await self.differences(mode)
        names = ", ".join(self._tables[number].title for number, one in left.items() if one)
        raise Refused([f"triggers change what is written to {names}; try --triggers off"])

    async def _any(self, number: int) -> bool:
        kept = self._tables[number].kept
        query = f"SELECT EXISTS (SELECT FROM {kept.only} l WHERE {kept.owned(self._grant, 'l')})"
        return bool(await self._connection.fetchval(query))

    async def _count(self, query: str) -> int:
        return int(await self._connection.fetchval(f"SELECT pg_catalog.count(*) FROM ({query}) q"))

    def _ties(self, number: int) -> tuple[str, ...]:
        referenced = frozenset(right for one in self._links if one.parent == number for _, right in one.columns)
        return statements.bound(self._tables[number], referenced)

    async def _clear(self, left: Mapping[int, Difference]) -> None:
        """Deletes what the archive does not have, what is tied otherwise there, and what leads to these."""
        self._going = set()
        for number, table in enumerate(self._tables):
            await self._connection.execute(f"TRUNCATE {table.gone}")
            if left[number].delete:
                await self._mark(number, statements.surplus(table, self._grant))
            tied = statements.changed(table, self._grant, self._bound[number]) if left[number].update else None
            if tied is not None:
                await self._mark(number, tied)
        while await self._spread():
            pass
        await self._check_others()
        going = [number for number in reversed(self._order.tables) if number in self._going]
        for number in going:
            if columns := self._order.empty.get(number):
                await self._connection.execute(statements.loosen(self._tables[number], self._grant, columns))
        for number in going:
            await self._connection.execute(statements.delete(self._tables[number], self._grant))

    async def _mark(self, number: int, rows: str) -> bool:
        """These rows (t, c) of a table are to go; whether there are any."""
        table = self._tables[number]
        status = await self._connection.execute(f"INSERT INTO {table.gone} {rows}")
        if status.endswith(" 0"):
            return False
        await self._connection.execute(f"ANALYZE {table.gone}")
        self._going.add(number)
        return True

    async def _spread(self) -> bool:
        """Marks the tenant's rows that reference what is gone; whether there were any."""
        more = False
        for link in self._links:
            if link.child is None or link.parent not in self._going:
                continue
            table = self._tables[link.child]
            own = table.kept.owned(self._grant, "l")
            rows = (
                f"SELECT DISTINCT l.tableoid, l.ctid {await self._leading(link)} AND {own}"
                f" AND NOT EXISTS (SELECT FROM {table.gone} x WHERE x.t = l.tableoid AND x.c = l.ctid)"
            )
            more = await self._mark(link.child, rows) or more
        return more

    async def _leading(self, link: Reference) -> str:
        """FROM and WHERE of the rows `l` that reference what is gone."""
        assert link.parent is not None
        parent = self._tables[link.parent]
        source = f"{identifier(link.holder.schema)}.{identifier(link.holder.name)}"
        only = "" if link.holder.kind == "p" else "ONLY "
        same = await tie(self._connection, link, "l", "p")
        return (
            f"FROM {only}{source} l JOIN {parent.kept.only} p ON {same}"
            f" JOIN {parent.gone} g ON p.tableoid = g.t AND p.ctid = g.c WHERE true"
        )

    async def _check_others(self) -> None:
        """Refused where a row that is not the tenant's, or not in the archive, references one that is to go."""
        problems = []
        for link in self._links:
            if link.parent is None or link.parent not in self._going:
                continue
            others = ""
            if link.child is not None:
                kept = self._tables[link.child].kept
                if kept.column is None:
                    continue
                others = f" AND NOT ({kept.owned(self._grant, 'l')})"
            if await self._connection.fetchval(f"SELECT EXISTS (SELECT {await self._leading(link)}{others})"):
                problems.append(
                    f"rows of {link.holder.schema}.{link.holder.name} that are not in the archive reference rows of"
                    f" {self._tables[link.parent].title} that would be deleted"
                )
        if problems:
            raise Refused(problems)

    async def _fill(self, number: int, left: Difference) -> None:
        if left.update:
            await self._alter(number)
        if left.insert or number in self._going:
            empty = self._order.empty.get(number, frozenset())
            await self._connection.execute(statements.insert(self._tables[number], self._grant, empty))

    async def _alter(self, number: int) -> None:
        text = statements.update(self._tables[number], self._grant)
        if text is not None:
            await self._connection.execute(text)
