"""Are two tables' rows the same, wherever they stand: how many differ, and which, in memory that does not grow.

Each side sums its rows' hashes in BUCKETS by the hash of the key; a server does that itself, so equal tables cost one
scan each and some thousand numbers. Only rows of buckets that differ are looked at one by one, in the order of the
key's hash, which both sides sort by. What a hash is stands in rowhash.py.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from proxy.backup.rowhash import digest, hashed, line
from proxy.backup.selection import Kept
from proxy.catalog.finding import identifier
from proxy.catalog.model import Column
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

BUCKETS = 4096
SALT = 16  # bytes, drawn for each run
PREFETCH = 2000  # rows that are asked for at a time
_HALVES = struct.Struct(">qq")

Sums = Mapping[int, tuple[int, int, int]]  # by bucket: rows, and the sums of their hashes' first two words of 64 bits


class Kind(Enum):
    """Where a row is that is not the same on both sides."""

    LEFT = "only on the left"
    RIGHT = "only on the right"
    CHANGED = "on both, and not the same"


@dataclass(frozen=True, slots=True)
class Row:
    """place: the hash of its key, or of all of it where there is none. key: COPY's line of the key columns, where it is
    known.
    """

    place: bytes
    hash: bytes
    key: bytes = b""


class Side(Protocol):
    """Rows that are compared."""

    async def sums(self, salt: bytes) -> Sums: ...
    def rows(self, buckets: Collection[int]) -> AsyncGenerator[Row]: ...


@dataclass(frozen=True, slots=True)
class Live:
    """Rows on a server, which hashes them: of tables that the tenant does not define (reading.py). connection: with
    the settings of snapshot.READING, in a transaction. columns, key: what is compared, and what finds a row again
    (rowhash.found_by), both in the order of the other side; key is () where rows are told apart by all that is in
    them.
    """

    connection: CatalogConnection
    kept: Kept
    grant: Grant
    columns: tuple[Column, ...]
    key: tuple[Column, ...]

    async def sums(self, salt: bytes) -> Sums:
        """`sums` of it."""
        return await sums(self, salt)

    def rows(self, buckets: Collection[int]) -> AsyncGenerator[Row]:
        """`rows` of it."""
        return rows(self, buckets)

    @property
    def _source(self) -> str:
        return f"{self.kept.only} l WHERE {self.kept.owned(self.grant, 'l')}"


def bucket_of(place: bytes) -> int:
    """Where a row is counted."""
    return place[0] << 4 | place[1] >> 4


def halves_of(digest: bytes, salt: bytes) -> tuple[int, int]:
    """What is summed of a row's hash. salt: of this run, so that nobody chooses rows whose sums are those of others."""
    return _HALVES.unpack_from(hashed(salt + digest))


_BUCKET = "((pg_catalog.get_byte(q.place, 0) << 4) | (pg_catalog.get_byte(q.place, 1) >> 4))"


def salted() -> bytes:
    """A salt; both sides take the same."""
    return secrets.token_bytes(SALT)


async def sums(live: Live, salt: bytes) -> Sums:
    """What the server has, counted there."""
    whole, place = digest(live.columns, "l"), digest(live.key, "l")
    # OFFSET 0, so that a row is hashed once however often the hash is named.
    inner = f"SELECT {whole} AS hash{f', {place} AS place' if live.key else ''} FROM {live._source} OFFSET 0"
    place = "i.place" if live.key else "i.hash AS place"
    inner = f"SELECT pg_catalog.sha256($1::pg_catalog.bytea || i.hash) AS hash, {place} FROM ({inner}) i OFFSET 0"
    halves = ", ".join(
        f"pg_catalog.sum(('x' || pg_catalog.encode(pg_catalog.substr(q.hash, {at}, 8), 'hex'))::bit(64)::int8)"
        for at in (1, 9)
    )
    query = f"SELECT {_BUCKET}, pg_catalog.count(*), {halves} FROM ({inner}) q GROUP BY 1"
    return {row[0]: (row[1], int(row[2]), int(row[3])) for row in await live.connection.fetch(query, salt)}


def unequal(left: Sums, right: Sums) -> frozenset[int]:
    """The buckets that differ."""
    return frozenset(one for one in left.keys() | right.keys() if left.get(one) != right.get(one))


async def rows(live: Live, buckets: Collection[int]) -> AsyncGenerator[Row]:
    """The rows of these buckets, by place and hash."""
    place = digest(live.key or live.columns, "l")
    inner = ", ".join([place, *(f"l.{identifier(one.name)}" for one in live.columns)])
    # Named anew, because a column may be called `place`.
    columns = {one.number: replace(one, name=f"c{number}") for number, one in enumerate(live.columns)}
    names = ", ".join(["place", *(one.name for one in columns.values())])
    hashed = digest(tuple(columns.values()), "q") if live.key else "q.place"
    key = line([columns[one.number] for one in live.key], "q") if live.key else "''"
    query = (
        f"SELECT q.place, {hashed} AS hash, pg_catalog.convert_to({key}, 'UTF8') AS key"
        f" FROM (SELECT {inner} FROM {live._source} OFFSET 0) q({names}) WHERE {_BUCKET} = ANY ($1) ORDER BY 1, 2"
    )
    async for row in live.connection.cursor(query, sorted(buckets), prefetch=PREFETCH):
        yield Row(row["place"], row["hash"], row["key"])


async def merged(left: AsyncIterator[Row], right: AsyncIterator[Row]) -> AsyncGenerator[tuple[Kind, Row]]:
    """What differs between two that come by place and hash."""
    one, other = await anext(left, None), await anext(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.place < other.place):
            assert one is not None
            yield Kind.LEFT, one
            one = await anext(left, None)
        elif one is None or other.place < one.place:
            yield Kind.RIGHT, other
            other = await anext(right, None)
        else:
            if one.hash != other.hash:
                yield Kind.CHANGED, other
            one, other = await anext(left, None), await anext(right, None)


async def differences(left: Side, right: Side) -> AsyncGenerator[tuple[Kind, Row]]:
    """What differs between a table's rows on two servers, or in two places of one."""
    salt = salted()
    async with asyncio.TaskGroup() as group:
        here, there = group.create_task(left.sums(salt)), group.create_task(right.sums(salt))
    if buckets := unequal(here.result(), there.result()):
        async with aclosing(left.rows(buckets)) as ours, aclosing(right.rows(buckets)) as theirs:
            async for found in merged(ours, theirs):
                yield found
