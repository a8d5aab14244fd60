"""A tenant's rows at a second place, made what they are at the first: all of them once, and then what was logged since.

Promises: after each step the target has what the source had at one moment, or is as before; a step that is done twice
does no harm. Rows come as they are: the session replicates (session_replication_role), so that triggers and foreign
keys do not fire a second time, as in PostgreSQL's own subscriptions; that every row that is referenced is there is
asked instead. Keys, checks and NOT NULL hold as always. Tables that the tenant defines are held before they are touched
(holding.py), and of their rows none comes among others' that has another tenant's key in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxy.backup import changelog
from proxy.backup.advancing import advanced, set_on, too_far
from proxy.backup.holding import held
from proxy.backup.journal import Move, begun
from proxy.backup.passages import Passage, homes_of
from proxy.backup.pieces import beginning, field_of
from proxy.backup.progress import Progress
from proxy.backup.refusal import Refused
from proxy.backup.registered import put_back, registered
from proxy.backup.selection import Kept, Reference, text
from proxy.backup.surveying import drawn, own_alone, place_of
from proxy.backup.tying import tie
from proxy.catalog.finding import identifier
from proxy.catalog.watch import FAILURES
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

REPLICATING = "SET LOCAL session_replication_role = replica"
# Few rows, each by its key; or where there is none, all rows once, and not once for each that was written.
NEAR = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_nestloop = on"
WHOLE = "SET LOCAL enable_hashjoin = on; SET LOCAL enable_nestloop = off"
EITHER = "SET LOCAL enable_hashjoin = on; SET LOCAL enable_nestloop = on"
SHOWN = 3  # values of a problem that are told
Tell = Callable[[Progress], None]


@dataclass(slots=True)
class Mirror:
    """Of one move. source and target: connections of their own; here, there: what the rules say of the tenant."""

    move: Move
    source: CatalogConnection
    target: CatalogConnection
    here: Grant
    there: Grant
    passages: tuple[Passage, ...]
    links: tuple[Reference, ...]  # of the target's tables
    tell: Tell = lambda _: None

    def cut(self) -> None:
        """Both connections end at once. A server that answers nothing does not answer a ROLLBACK either."""
        self.source.terminate()
        self.target.terminate()

    async def copy(self, arrival: Move) -> int:
        """All rows, where the target has none; how many. Refused where it has, but for rows that register the
        tenant."""
        count = size = 0
        async with self._reading(), self.target.transaction():
            await self._held_there()
            await self.target.execute(REPLICATING)
            before = await registered(self.target, self.passages, self.there)
            await begun(self.target, replace(arrival, plan=before))
            await self._empty()
            for one in self.passages:
                more, bytes_ = await self._piped(changelog.rows(one, self.here), one)
                count, size = count + more, size + bytes_
                self.tell(Progress("copy", count, size, 0, one.title))
            await self._check_references(None)
        for one in self.passages:
            with suppress(*FAILURES):  # statistics of ranges do not hold every value
                async with self.target.transaction():  # to analyze evaluates indexes, if as the table's owner
                    await held(self.target, self.there, [one.target.relation], written=True)
                    await self.target.execute(f"ANALYZE {one.target.full}")
        return count

    async def follow(self, compare: bool = False) -> tuple[int, list[str]]:
        """What was logged since, and where the rows of the two then differ, of those that were written or, with
        `compare`, of all; how many keys were written."""
        source: list[tuple[int, object]] = []
        target: list[tuple[int, object]] = []
        async with self._reading():
            ids = await self.source.fetch("SELECT id, place FROM partywall.changes WHERE move = $1", self.move.id)
            written = {row["place"] for row in ids}
            touched = [one for one in self.passages if one.place in written]
            async with self.target.transaction():
                await self._held_there()
                await self.target.execute(REPLICATING)
                for one in touched:
                    await self._joined(NEAR if one.key else WHOLE)
                    await self.target.execute(changelog.staging(one))
                    await self._piped(changelog.logged(self.move.id, one), one, keys=True)
                    await self.target.execute(f"ANALYZE {one.touched}")
                    await self.target.execute(changelog.delete(one, self.there, one.touched))
                for one in touched:
                    await self._joined(NEAR if one.key else WHOLE)
                    keys = f"({changelog.logged(self.move.id, one)})"
                    await self._piped(changelog.rows(one, self.here, keys), one)
                    if not compare:
                        source.append(await self._digest(self.source, one, one.source, self.here, keys))
                        target.append(await self._digest(self.target, one, one.target, self.there, one.touched))
                await self._check_references({one.place: one.touched for one in touched})
            if compare:
                await self.source.execute(EITHER)
                shared = self.there.policy.shares_tables  # of which nothing is held, and no lock is kept
                async with nullcontext() if shared else self.target.transaction():  # the one above ended with its locks
                    await held(self.target, self.there, [one.target.relation for one in self.passages], written=True)
                    for one in self.passages:
                        async with asyncio.TaskGroup() as both:
                            here = both.create_task(self._digest(self.source, one, one.source, self.here, None))
                            there = both.create_task(self._digest(self.target, one, one.target, self.there, None))
                        source.append(here.result())
                        target.append(there.result())
                        self.tell(Progress("compare", here.result()[0], 0, 0, one.title))
        await self.source.execute(
            "DELETE FROM partywall.changes WHERE id = ANY ($1::pg_catalog.int8[])", [row["id"] for row in ids]
        )
        compared = self.passages if compare else touched
        different = [
            f"{one.title} has {left[0]} rows here and {right[0]} at the target"
            if left[0] != right[0]
            else f"{one.title} has other rows at the target"
            for one, left, right in zip(compared, source, target, strict=True)
            if left != right
        ]
        return len(ids), different

    async def passed(self) -> None:
        """The target's sequences give no number that the source's have given."""
        kept = tuple(one.source for one in self.passages)
        for form in await drawn(self.source, self.here, kept):
            place = place_of(form, self.there, homes_of(self.here, self.there))
            least = form.value if form.called else form.value - 1
            if not self.there.policy.shares_tables:
                await set_on(self.target, place, least)
                continue
            if own_alone(form, self.here, self.there) and (problem := await too_far(self.target, place, form)):
                raise Refused([problem])
            await advanced(self.target, place, least)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        """One moment of the source."""
        shared = self.here.policy.shares_tables
        async with self.source.transaction(isolation="repeatable_read", readonly=shared):
            await held(self.source, self.here, [one.source.relation for one in self.passages])
            yield

    async def _joined(self, way: str) -> None:
        """How rows are found by the keys that were written, at both ends."""
        await self.source.execute(way)
        await self.target.execute(way)

    async def _held_there(self) -> None:
        relations = [one.target.relation for one in self.passages] + [one.target for one in self.links]
        await held(self.target, self.there, relations, written=True)

    async def _empty(self) -> None:
        found = []
        for one in self.passages:
            condition = f"{one.target.only} l WHERE {one.target.owned(self.there, 'l')}"
            if one.registers:
                await self.target.execute(f"DELETE FROM {condition}")
            elif await self.target.fetchval(f"SELECT EXISTS (SELECT FROM {condition})"):
                found.append(f"{self.there.tenant} has rows already in {one.title} at the target")
        if found:
            raise Refused(found)

    async def _piped(self, query: str, one: Passage, keys: bool = False) -> tuple[int, int]:
        """What the query gives at the source goes into the table at the target, or into that of keys; rows, bytes."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(8)
        size, strange = 0, False
        claim = await self._claim(one) if one.claimed and not keys else None

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal size
            while (data := await queue.get()) is not None:
                size += len(data)
                yield data

        async def take(rows: bytes) -> None:
            nonlocal strange
            strange = strange or (claim is not None and bool(rows) and beginning(rows) != claim)
            if not strange:
                await queue.put(rows)

        async def read() -> None:
            await self.source.copy_from_query(query, output=take)
            await queue.put(None)

        table = f"touched_{one.place}" if keys else one.target.relation.name
        schema = "pg_temp" if keys else one.target.relation.schema
        columns = [f"k{number}" for number in range(1, one.width + 1)] if keys else list(one.columns)
        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            done = await self.target.copy_to_table(table, schema_name=schema, columns=columns, source=chunks())
        if strange:
            raise Refused([f"{one.title} has a row here with another key than {self.there.tenant}'s"])
        return int(done.split()[-1]), size

    async def _claim(self, one: Passage) -> bytes:
        """The tenant's key as COPY has it."""
        key = text(self.there.keys[one.target.key or ""])
        return field_of(await self.target.fetchval(f"SELECT pg_catalog.format('%s', CAST({key} AS {one.claimed}))"))

    async def _digest(
        self, connection: CatalogConnection, one: Passage, kept: Kept, grant: Grant, keys: str | None
    ) -> tuple[int, object]:
        row = await connection.fetchrow(changelog.digest(one, kept, grant, keys))
        assert row is not None
        return row["rows"], row["sum"]

    async def _check_references(self, keys: Mapping[int, str] | None) -> None:
        """Refused where a row at the target references one that is not there. keys: of what has these; None: of all."""
        problems: list[str] = []
        for link in self.links:
            if link.child is None or link.partial:
                continue
            one = self.passages[link.child]
            if keys is None:
                problems += await self._missing(one, link, None)
            elif one.place in keys:
                await self.target.execute(NEAR if one.key else EITHER)  # what is referenced has a key
                problems += await self._missing(one, link, keys[one.place])
        if problems:
            raise Refused(problems)

    async def _missing(self, one: Passage, link: Reference, keys: str | None) -> Sequence[str]:
        names = [identifier(left) for left, _ in link.columns]
        filled = " AND ".join(f"l.{name} IS NOT NULL" for name in names)
        same = await tie(self.target, link, "l", "t")
        target = f"{identifier(link.target.schema)}.{identifier(link.target.name)}"
        values = f"ROW({', '.join(f'l.{name}' for name in names)})::pg_catalog.text"
        rows = await self.target.fetch(
            f"SELECT DISTINCT {values} AS row {changelog.at_target(one, self.there, keys)} AND {filled}"
            f" AND NOT EXISTS (SELECT FROM {target} t WHERE {same}) ORDER BY 1 LIMIT {SHOWN}"
        )
        if not rows:
            return ()
        told = ", ".join(row["row"] for row in rows)
        return [f"{one.title} needs rows of {link.target.name} that are not at the target: {told}"]


async def removed(connection: CatalogConnection, kept: Sequence[Kept], grant: Grant, before: str = "") -> int:
    """The tenant's rows of these tables are gone, without their triggers and foreign keys; how many. In a transaction
    of its own, or in the one that is there. before: those that are there again (registered.py)."""
    count = 0
    async with connection.transaction():
        await held(connection, grant, [one.relation for one in kept])
        await connection.execute(REPLICATING)
        for one in kept:
            done = await connection.execute(f"DELETE FROM {one.only} l WHERE {one.owned(grant, 'l')}")
            count += int(done.split()[-1])
        await put_back(connection, kept, before)
    return count
