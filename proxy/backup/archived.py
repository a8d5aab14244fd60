"""An archive's rows as comparing.py wants them: summed by bucket, and those of some buckets in order.

The archive is read as often as that is asked for, member by member, each compared with the manifest once more. Rows are
sorted on disk, 64 bytes each, in a file that has no name. Blocking: call it from a thread.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from proxy.backup.chain import Source, read_back
from proxy.backup.comparing import Row, Sums, bucket_of, halves_of
from proxy.backup.manifest import Member, RelationForm
from proxy.backup.rowhash import hashed

RUN = 1 << 18  # rows that are sorted in memory
WIDTH = 64  # bytes of a row on disk: place and hash
AHEAD = 64 << 10  # bytes that are read of each run at a time


@dataclass(frozen=True, slots=True)
class Compared:
    """A table of the archive. columns, key: the places in a line of what is compared, and of what finds a row again."""

    form: RelationForm
    columns: tuple[int, ...]
    key: tuple[int, ...]

    def row(self, written: bytes) -> Row:
        """Of a line without its newline."""
        whole = self.columns == tuple(range(len(self.form.columns)))
        if whole and not self.key:
            digest = hashed(written)
            return Row(digest, digest)
        fields = written.split(b"\t")
        digest = hashed(written if whole else b"\t".join([fields[one] for one in self.columns]))
        return Row(hashed(b"\t".join([fields[one] for one in self.key])) if self.key else digest, digest)


def summed(
    archive: Source,
    keys: Sequence[Any],
    tables: Sequence[Compared],
    salt: bytes,
    told: Callable[[Member], None] = lambda _: None,
) -> list[Sums]:
    """Of each table. keys: age identities; salt: as the server's. Damaged where a member is not the manifest's."""
    found: list[dict[int, tuple[int, int, int]]] = [{} for _ in tables]
    for number, row in _rows(archive, keys, dict(enumerate(tables)), told):
        add(found[number], row, salt)
    return [*found]


def add(found: dict[int, tuple[int, int, int]], row: Row, salt: bytes) -> None:
    """One row more."""
    bucket, (high, low) = bucket_of(row.place), halves_of(row.hash, salt)
    count, more, less = found.get(bucket, (0, 0, 0))
    found[bucket] = (count + 1, more + high, less + low)


class Sorted:
    """Rows of the tables and buckets that are wanted, sorted; a context, after which nothing is left on disk."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it is closed by __exit__
        self._size = 0
        self._runs: dict[int, list[range]] = {}
        self._waiting: dict[int, list[bytes]] = {}
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def take(
        self,
        archive: Source,
        keys: Sequence[Any],
        tables: Mapping[int, Compared],
        buckets: Mapping[int, frozenset[int]],
    ) -> None:
        """Reads them; tables and buckets by number of the table."""
        for number, row in _rows(archive, keys, tables):
            if bucket_of(row.place) in buckets[number]:
                self.add(number, row)
        self.end()

    def add(self, number: int, row: Row) -> None:
        """One row of a table."""
        self._waiting.setdefault(number, []).append(row.place + row.hash)
        self._held += 1
        if self._held == RUN:
            self._put()

    def end(self) -> None:
        """To be called when all rows were added."""
        self._put()
        self._file.flush()

    def _put(self) -> None:
        self._held = 0
        for number, some in self._waiting.items():
            if some:
                run = range(self._size, self._size + len(some) * WIDTH)
                self._file.write(b"".join(sorted(some)))
                self._size = run.stop
                self._runs.setdefault(number, []).append(run)
                some.clear()

    def rows(self, number: int) -> Iterator[Row]:
        """Of a table, by place and hash."""
        for one in heapq.merge(*(self._read(run) for run in self._runs.get(number, ()))):
            yield Row(one[:32], one[32:])

    def _read(self, run: range) -> Iterator[bytes]:
        for start in range(run.start, run.stop, AHEAD):
            some = os.pread(self._file.fileno(), min(AHEAD, run.stop - start), start)
            yield from (some[at : at + WIDTH] for at in range(0, len(some), WIDTH))


def _rows(
    archive: Source,
    keys: Sequence[Any],
    tables: Mapping[int, Compared],
    told: Callable[[Member], None] = lambda _: None,
) -> Iterator[tuple[int, Row]]:
    homes = {one.name: (number, table) for number, table in tables.items() for one in table.form.members}
    source = read_back(archive, keys, [one for table in tables.values() for one in table.form.members])
    try:
        for member, plain in source:
            number, table = homes[member.name]
            for written in plain.split(b"\n")[:-1]:
                yield number, table.row(written)
            told(member)
    finally:
        source.close()
