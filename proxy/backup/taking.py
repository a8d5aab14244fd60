"""`back_up`: a tenant's rows out of one snapshot into an archive, several tables at a time, in constant memory.

Promises: nothing is read through the proxy; what is read is what the snapshot has; the sequences are read last. An
error ends all of it, and the archive is not there then. What is packed waits for nothing but the disk.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from proxy import __version__
from proxy.backup.archive import Sink, finish, packed
from proxy.backup.definitions import definitions
from proxy.backup.manifest import (
    ColumnForm,
    Manifest,
    Member,
    RelationForm,
    RulesForm,
    SnapshotForm,
)
from proxy.backup.pieces import PIECE, Pieces, altered
from proxy.backup.progress import Progress
from proxy.backup.selection import Kept, ordered, selected
from proxy.backup.sequences import positions
from proxy.backup.snapshot import Snapshot, check_same, lock, seen, taken
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

HELD = 32 << 20  # bytes of rows on their way, about, of all jobs together: a piece that is packed, and one that comes

Changes = Sequence[tuple[int, Callable[[bytes], bytes]]]  # of a table: fields by their place, and what becomes of them
Masks = Callable[["Snapshot"], Awaitable[Sequence[Changes]]]  # of each table of a snapshot

TYPES = """
SELECT pg_catalog.format_type(t.type, t.typmod) AS name
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int4[]))
       WITH ORDINALITY t(type, typmod, place)
 ORDER BY t.place
"""


async def back_up(
    place: Place,
    grant: Grant,
    rules: RulesForm,
    sink: Sink,
    jobs: int = 2,
    told: Callable[[Progress], None] = lambda _: None,
    piece: int | None = None,
    pg_dump: str = "pg_dump",
    masks: Masks | None = None,
) -> Manifest:
    """Puts the tenant's rows into `sink`; what it has afterwards.

    jobs: connections that read at a time. piece: bytes of a member, about; by default fewer the more jobs there are, so
    that all together hold as much. pg_dump: the program, for tenants that have definitions of their own.

    Errors: those of proxy.catalog.watch.FAILURES; Refused.
    """
    async with taken(place, lambda catalog, members: ordered(catalog, selected(catalog, grant, members))) as snapshot:
        kept = snapshot.kept
        changes = [()] * len(kept) if masks is None else await masks(snapshot)
        taking = _Taking(grant, sink, told, piece or min(PIECE, HELD // (2 * jobs)), changes)
        written = await definitions(place, grant, snapshot, sink, pg_dump)
        await taking.estimate(snapshot.connection, kept)
        waiting = iter(sorted(range(len(kept)), key=lambda number: -taking.expected[number]))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(jobs, len(kept))):
                group.create_task(_reader(snapshot, taking, waiting))
        forms = [await _form(snapshot.connection, one, taking.members[number]) for number, one in enumerate(kept)]
        manifest = Manifest(
            format=1,
            program=f"partywall {__version__}",
            tenant=grant.tenant,
            database=grant.database,
            isolation=grant.policy.isolation,
            schema=grant.policy.schema or None,
            keys={name: value for name, value in grant.keys.items() if not name.startswith("$")},
            server_version=snapshot.catalog.server_version,
            snapshot=SnapshotForm(time=snapshot.time, lsn=snapshot.lsn),
            rules=rules,
            relations=tuple(forms),
            sequences=await positions(snapshot.connection, grant, kept),
            definitions=written,
        )
    await asyncio.to_thread(finish, sink, manifest)
    return manifest


async def _reader(snapshot: Snapshot, taking: _Taking, waiting: Iterator[int]) -> None:
    async with seen(snapshot) as connection:
        for number in waiting:  # all readers share it
            await taking.read(connection, number, snapshot.kept[number])


async def _form(connection: CatalogConnection, kept: Kept, members: list[Member]) -> RelationForm:
    columns = kept.columns
    rows = await connection.fetch(TYPES, [one.type for one in columns], [one.typmod for one in columns])
    return RelationForm(
        schema=kept.relation.schema,
        name=kept.relation.name,
        tenant_column=None if kept.column is None else kept.column.name,
        key=kept.key,
        columns=tuple(
            ColumnForm(name=one.name, type=row["name"], identity=bool(one.identity))
            for one, row in zip(columns, rows, strict=True)
        ),
        members=tuple(members),
    )


class _Taking:
    """The rows on their way, of all tables together."""

    def __init__(
        self, grant: Grant, sink: Sink, told: Callable[[Progress], None], piece: int, changes: Sequence[Changes]
    ) -> None:
        self._grant = grant
        self._sink = sink
        self._told = told
        self._piece = piece
        self._changes = changes
        self._one_writer = asyncio.Lock()
        self._rows = self._bytes = 0
        self.expected = [0] * len(changes)
        self.members: list[list[Member]] = [[] for _ in changes]

    async def estimate(self, connection: CatalogConnection, kept: tuple[Kept, ...]) -> None:
        """What the server's planner guesses of each table."""
        for number, one in enumerate(kept):
            plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {one.rows(self._grant)}"))
            self.expected[number] = int(plan[0]["Plan"]["Plan Rows"])

    async def read(self, connection: CatalogConnection, number: int, kept: Kept) -> None:
        """One table. While a piece is packed the next one comes."""
        pieces = Pieces(self._piece)
        packing: asyncio.Task[None] | None = None

        async def put(full: bytes | None) -> None:
            nonlocal packing
            if full is not None:
                if packing is not None:
                    await packing
                packing = group.create_task(self._put(number, kept, full))

        async def take(rows: bytes) -> None:
            await put(pieces.add(rows))

        await lock(connection, [kept], nowait=True)  # waiting for one who waits for us would never end
        await check_same(connection, kept)
        async with asyncio.TaskGroup() as group:
            if kept.column is None and kept.relation.kind == "r":  # all of it, which the server has a shorter way for
                schema, columns = kept.relation.schema, [one.name for one in kept.columns]
                await connection.copy_from_table(kept.relation.name, schema_name=schema, columns=columns, output=take)
            else:
                await connection.copy_from_query(kept.rows(self._grant), output=take)
            await put(pieces.rest())

    async def _put(self, number: int, kept: Kept, plain: bytes) -> None:
        members = self.members[number]
        name = f"data/{number + 1:04}/{len(members) + 1:06}.copy.zst"
        changes = self._changes[number]
        member, stored = await asyncio.to_thread(
            lambda: packed(name, altered(plain, changes, len(kept.columns)) if changes else plain)
        )
        async with self._one_writer:
            await asyncio.to_thread(self._sink.add, name, stored)
        members.append(member)
        self._rows += member.rows
        self._bytes += member.bytes
        self._told(Progress("read", self._rows, self._bytes, sum(self.expected), kept.relation.name))
