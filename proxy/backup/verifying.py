"""A tenant's rows as they are, against an archive or against another server's: which tables differ, and in how many.

Promises: nothing is written; each server is read in one REPEATABLE READ snapshot and hashes its rows itself, but those
of tables that the tenant defines, which are hashed here; memory does not grow with them. A table that one side lacks,
or that has other columns there, differs, whatever its rows are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from proxy.backup.archived import Compared, Sorted, summed
from proxy.backup.chain import Source
from proxy.backup.comparing import Kind, Live, Row, Side, differences, merged, salted, unequal
from proxy.backup.manifest import Manifest, Member
from proxy.backup.neighbours import Around
from proxy.backup.pairing import At, Pair, Shape, paired
from proxy.backup.progress import Progress
from proxy.backup.reading import counted, defined
from proxy.backup.refusal import Refused
from proxy.backup.restoring import TYPES
from proxy.backup.rowhash import found_by
from proxy.backup.selection import Kept, selected
from proxy.backup.snapshot import Snapshot, taken
from proxy.backup.streamed import Streamed
from proxy.backup.target import check_kinds
from proxy.catalog.model import Column
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place

ARCHIVE = ("in the archive", "live")
SERVERS = ("here", "there")


@dataclass(frozen=True, slots=True)
class Unlike:
    """Rows of a table that only one side has, and that both have otherwise. columns: what is not alike about those."""

    left: int = 0
    right: int = 0
    changed: int = 0
    columns: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.left or self.right or self.changed or self.columns)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every table that one side has, by title. moments: time and WAL position of what was read of servers. True when
    anything differs."""

    tables: Mapping[str, Unlike]
    moments: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return any(self.tables.values())


async def with_archive(
    place: Place,
    grant: Grant,
    manifest: Manifest,
    archive: Source,
    secrets: Sequence[Any] = (),
    told: Callable[[Progress], None] = lambda _: None,
) -> Comparison:
    """The archive on the left, the server on the right. manifest: what `verified` gave. secrets: age identities.

    Errors: those of proxy.catalog.watch.FAILURES; Refused.
    """
    check_kinds(manifest, grant)
    if any(grant.keys.get(name) != value for name, value in manifest.keys.items()):
        raise Refused([f"{grant.tenant} has other keys in the rules than in the archive: every row would differ"])
    forms = {(one.schema_name, one.name): one for one in manifest.relations}
    async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
        kept = {one.at: one for one in snapshot.kept}
        shapes = {at: {one.name: one.type for one in form.columns} for at, form in forms.items()}
        pairs = paired(shapes, await _shapes(snapshot))
        both = [(one, *_live(snapshot, grant, kept[one.at], one.common)) for one in pairs if one.both]
        tables = []
        for pair, _, key in both:
            places = {name: number for number, name in enumerate(shapes[pair.at])}
            columns = tuple(places[name] for name in pair.common)
            tables.append(Compared(forms[pair.at], columns, tuple(places[name] for name in key)))
        count = _counting(told, manifest)
        salt = salted()
        ours = await asyncio.to_thread(summed, archive, secrets, tables, salt, count)
        buckets = {}
        for number, (pair, live, _) in enumerate(both):
            told(Progress("compare", number, 0, len(both), pair.title))
            buckets[number] = unequal(ours[number], await live.sums(salt))
        found: dict[str, Counter[Kind]] = {}
        if wanted := {number: some for number, some in buckets.items() if some}:
            with Sorted() as spool:
                await asyncio.to_thread(spool.take, archive, secrets, {one: tables[one] for one in wanted}, wanted)
                for number, some in wanted.items():
                    pair, live, _ = both[number]
                    async with aclosing(live.rows(some)) as theirs:
                        found[pair.title] = await _counted(merged(_given(spool.rows(number)), theirs))
        for pair in pairs:
            if not pair.both and pair.left is not None:
                found[pair.title] = Counter({Kind.LEFT: forms[pair.at].rows})
            elif not pair.both:
                found[pair.title] = Counter({Kind.RIGHT: await _count(snapshot, grant, kept[pair.at])})
        return Comparison(_told(pairs, found, ARCHIVE), ((snapshot.time, snapshot.lsn),))


async def with_server(
    place: Place, other: Place, grant: Grant, told: Callable[[Progress], None] = lambda _: None
) -> Comparison:
    """The tenant's rows at two servers, under the same rules; `other` is the right.

    Errors: as of `with_archive`.
    """

    def select(catalog: Any, around: Around) -> tuple[Kept, ...]:
        return selected(catalog, grant, around)

    async with taken(place, grant, select) as left, taken(other, grant, select) as right:
        ours, theirs = {one.at: one for one in left.kept}, {one.at: one for one in right.kept}
        pairs = paired(await _shapes(left), await _shapes(right))
        found: dict[str, Counter[Kind]] = {}
        for number, pair in enumerate(pairs):
            told(Progress("compare", number, 0, len(pairs), pair.title))
            if pair.both:
                here, key = _live(left, grant, ours[pair.at], pair.common)
                there = _side(right, grant, theirs[pair.at], *_named(theirs[pair.at], pair.common, key))
                found[pair.title] = await _counted(differences(here, there))
            elif pair.left is not None:
                found[pair.title] = Counter({Kind.LEFT: await _count(left, grant, ours[pair.at])})
            else:
                found[pair.title] = Counter({Kind.RIGHT: await _count(right, grant, theirs[pair.at])})
        return Comparison(_told(pairs, found, SERVERS), ((left.time, left.lsn), (right.time, right.lsn)))


def _live(snapshot: Snapshot, grant: Grant, kept: Kept, names: Sequence[str]) -> tuple[Side, tuple[str, ...]]:
    """The rows there, and the names of the key."""
    (columns,) = _named(kept, names)
    key = found_by(kept.relation, columns)
    return _side(snapshot, grant, kept, columns, key), tuple(one.name for one in key)


def _side(snapshot: Snapshot, grant: Grant, kept: Kept, columns: tuple[Column, ...], key: tuple[Column, ...]) -> Side:
    if defined(kept):
        return Streamed(snapshot.connection, kept, grant, columns, key, snapshot.catalog)
    return Live(snapshot.connection, kept, grant, columns, key)


def _named(kept: Kept, *lists: Sequence[str]) -> tuple[tuple[Column, ...], ...]:
    columns = {one.name: one for one in kept.columns}
    return tuple(tuple(columns[one] for one in names) for names in lists)


async def _shapes(snapshot: Snapshot) -> dict[At, Shape]:
    columns = [column for one in snapshot.kept for column in one.columns]
    found = await snapshot.connection.fetch(TYPES, [one.type for one in columns], [one.typmod for one in columns])
    types = {(row["type"], row["typmod"]): row["name"] for row in found}
    return {one.at: {column.name: types[column.type, column.typmod] for column in one.columns} for one in snapshot.kept}


def _counting(told: Callable[[Progress], None], manifest: Manifest) -> Callable[[Member], None]:
    done = size = 0

    def count(member: Member) -> None:
        nonlocal done, size
        done, size = done + member.rows, size + member.bytes
        told(Progress("hash", done, size, manifest.rows, member.name))

    return count


async def _given(some: Iterable[Row]) -> AsyncIterator[Row]:
    for one in some:
        yield one


async def _counted(found: AsyncIterator[tuple[Kind, Row]]) -> Counter[Kind]:
    counts: Counter[Kind] = Counter()
    async for kind, _ in found:
        counts[kind] += 1
    return counts


async def _count(snapshot: Snapshot, grant: Grant, kept: Kept) -> int:
    return await counted(snapshot.connection, grant, snapshot.catalog, kept)


def _told(pairs: Sequence[Pair], found: Mapping[str, Counter[Kind]], sides: Sequence[str]) -> dict[str, Unlike]:
    return {
        one.title: Unlike(counts[Kind.LEFT], counts[Kind.RIGHT], counts[Kind.CHANGED], one.unlike(sides))
        for one in pairs
        for counts in [found.get(one.title, Counter[Kind]())]
    }
