"""`back_up`: a tenant's rows out of one snapshot into an archive, several tables at a time, in constant memory.

Promises: nothing is read through the proxy; what is read is what the snapshot has; the sequences are read last. An
error ends all of it, and the archive is not there then. What is packed waits for nothing but the disk. Since another
archive, rows are read twice at most: to be compared with it (since.py), and where something is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Literal

from proxy import __version__
from proxy.backup.archive import Sink, finish, packed
from proxy.backup.definitions import definitions
from proxy.backup.manifest import (
    ColumnForm,
    Manifest,
    Member,
    RelationForm,
    RemovedForm,
    RulesForm,
    SnapshotForm,
)
from proxy.backup.pieces import PIECE, Pieces, altered, rows_of
from proxy.backup.progress import Progress
from proxy.backup.reading import Take, copied, expected
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept, ordered, selected
from proxy.backup.sequences import positions
from proxy.backup.since import Since
from proxy.backup.snapshot import Snapshot, check_same, lock, seen, taken
from proxy.catalog.model import Catalog
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
    since: Since | None = None,
) -> Manifest:
    """Puts the tenant's rows into `sink`; what it has afterwards.

    jobs: connections that read at a time. piece: bytes of a member, about; by default fewer the more jobs there are, so
    that all together hold as much. pg_dump: the program, for tenants that have definitions of their own. since: only
    what changed since these archives, without masks; the caller closes it.

    Errors: those of proxy.catalog.watch.FAILURES; Refused.
    """
    assert masks is None or since is None  # rows are compared as they are
    keys = {name: value for name, value in grant.keys.items() if not name.startswith("$")}
    schema = grant.policy.schema or None
    if since is not None:
        if since.whose != (grant.tenant, grant.database, grant.policy.isolation, schema, keys):
            raise Refused([f"the archive before is not of {grant.tenant} in {grant.database} as the rules have it"])
        await asyncio.to_thread(since.remember)
    async with taken(
        place, grant, lambda catalog, around: ordered(catalog, selected(catalog, grant, around))
    ) as snapshot:
        kept = snapshot.kept
        forms = [await _form(snapshot.connection, one) for one in kept]
        changes = [()] * len(kept) if masks is None else await masks(snapshot)
        size = piece or min(PIECE, HELD // (2 * jobs))
        taking = _Taking(grant, snapshot.catalog, sink, told, size, forms, changes, since)
        written = await definitions(place, grant, snapshot, sink, pg_dump)
        await taking.estimate(snapshot.connection, kept)
        if since is not None:
            await _read(snapshot, jobs, taking, taking.compare, since.begin(forms))
            await asyncio.to_thread(since.compare)
        await _read(snapshot, jobs, taking, taking.read, taking.wanted())
        manifest = Manifest(
            format=1 if since is None else 2,
            program=f"partywall {__version__}",
            tenant=grant.tenant,
            database=grant.database,
            isolation=grant.policy.isolation,
            schema=schema,
            keys=keys,
            server_version=snapshot.catalog.server_version,
            snapshot=SnapshotForm(time=snapshot.time, lsn=snapshot.lsn),
            rules=rules,
            relations=tuple([await taking.form(number) for number in range(len(kept))]),
            sequences=await positions(snapshot.connection, grant, kept),
            definitions=written,
            bases=() if since is None else since.bases,
        )
    await asyncio.to_thread(finish, sink, manifest)
    return manifest


async def _read(
    snapshot: Snapshot,
    jobs: int,
    taking: _Taking,
    read: Callable[[CatalogConnection, int, Kept], Awaitable[None]],
    tables: Sequence[int],
) -> None:
    """These tables, the largest first."""
    waiting = iter(sorted(tables, key=lambda number: -taking.expected[number]))

    async def reader() -> None:
        async with seen(snapshot) as connection:
            for number in waiting:  # all readers share it
                await read(connection, number, snapshot.kept[number])

    async with asyncio.TaskGroup() as group:
        for _ in range(min(jobs, len(tables))):
            group.create_task(reader())


async def _form(connection: CatalogConnection, kept: Kept) -> RelationForm:
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
    )


class _Taking:
    """The rows on their way, of all tables together."""

    def __init__(
        self,
        grant: Grant,
        catalog: Catalog,
        sink: Sink,
        told: Callable[[Progress], None],
        piece: int,
        forms: Sequence[RelationForm],
        changes: Sequence[Changes],
        since: Since | None,
    ) -> None:
        self._grant = grant
        self._catalog = catalog
        self._sink = sink
        self._told = told
        self._piece = piece
        self._forms = forms
        self._changes = changes
        self._one_writer = asyncio.Lock()
        self._seen: dict[str, tuple[int, int]] = {}  # rows and bytes, by phase
        self.since = since
        self.expected = [0] * len(forms)
        self.members: list[list[Member]] = [[] for _ in forms]

    async def estimate(self, connection: CatalogConnection, kept: tuple[Kept, ...]) -> None:
        """What the server guesses of each table."""
        for number, one in enumerate(kept):
            self.expected[number] = await expected(connection, self._grant, self._catalog, one)

    def wanted(self) -> Sequence[int]:
        """The tables that have something to be read."""
        return [number for number in range(len(self._forms)) if self.since is None or self.since.wants(number)]

    async def compare(self, connection: CatalogConnection, number: int, kept: Kept) -> None:
        """Shows the rows of a table to `since`."""
        assert self.since is not None
        see = self.since.see

        async def take(rows: bytes) -> None:
            see(number, rows)
            self._tell("hash", rows_of(rows), len(rows), kept)

        await self._copied(connection, kept, take)

    async def _copied(self, connection: CatalogConnection, kept: Kept, take: Take) -> None:
        await lock(connection, [kept], nowait=True)  # waiting for one who waits for us would never end
        await check_same(connection, kept)
        await copied(connection, self._grant, self._catalog, kept, take)

    async def read(self, connection: CatalogConnection, number: int, kept: Kept) -> None:
        """One table. While a piece is packed the next one comes."""
        pieces = Pieces(self._piece)
        fresh = None if self.since is None else self.since.fresh.get(number)
        packing: asyncio.Task[None] | None = None

        async def put(full: bytes | None) -> None:
            nonlocal packing
            if full:
                if packing is not None:
                    await packing
                packing = group.create_task(self._put(number, kept, full))

        async def take(rows: bytes) -> None:
            await put(pieces.add(rows if fresh is None else fresh.of(rows)))

        async with asyncio.TaskGroup() as group:
            await self._copied(connection, kept, take)
            await put(pieces.rest())
        if fresh is not None:
            fresh.check_found(self._forms[number].title)

    async def form(self, number: int) -> RelationForm:
        """What the archive has of a table."""
        form = self._forms[number].model_copy(update={"members": tuple(self.members[number])})
        if self.since is None or not self.since.builds(number):
            return form
        removed = []
        for base, gone in self.since.gone(number):
            members = []
            for count, text in enumerate(gone.texts(), 1):
                member, stored = packed(f"removed/{number + 1:04}/{base + 1:04}/{count:06}.zst", text)
                await asyncio.to_thread(self._sink.add, member.name, stored)
                members.append(member)
            removed.append(RemovedForm(base=base, members=tuple(members)))
        total = self.since.total(number)
        return form.model_copy(update={"builds": True, "removed": tuple(removed), "total": total})

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
        self._tell("read", member.rows, member.bytes, kept)

    def _tell(self, phase: Literal["hash", "read"], rows: int, size: int, kept: Kept) -> None:
        before, more = self._seen.get(phase, (0, 0))
        done = self._seen[phase] = before + rows, more + size
        self._told(Progress(phase, *done, sum(self.expected), kept.relation.name))
