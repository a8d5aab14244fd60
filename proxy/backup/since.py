"""What changed since an archive: the rows of its chain are known by their hashes, and live rows are compared with them.

Promises: each row of the one matches one of the other, however often the same row is there; memory is bounded, because
hashes wait in temporary files without a name, and a table with too much that is new is taken whole. Nothing is asked of
the server but to read, so a standby will do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from proxy.backup.chain import At, Chain, shape, whose
from proxy.backup.gone import Gone
from proxy.backup.manifest import BaseForm, RelationForm
from proxy.backup.places import name_of
from proxy.backup.refusal import Refused
from proxy.backup.rowhash import hashed

ROWS = 100_000  # of a bucket, about, which are in memory at a time
BUCKETS = 250  # at most: two files for each
HELD = 32 << 10  # bytes of each file that wait for being written
MOST = 400_000  # hashes of new rows that are kept, at some 120 bytes
HASH, TABLE, PLACE = 32, 4, 8  # bytes of a record: the row, whose, and where it stands in the chain
KEY = HASH + TABLE


class Since:
    """A chain of archives that rows are compared with. To be closed."""

    def __init__(self, chain: Chain, most: int = MOST) -> None:
        """most: hashes of new rows that are kept."""
        self._chain = chain
        self._most = most
        self._forms: dict[At, RelationForm] = {(one.schema_name, one.name): one for one in chain.manifest.relations}
        self._numbers = {at: number for number, at in enumerate(self._forms)}
        count = min(BUCKETS, 1 + chain.manifest.rows // ROWS)
        self._before, self._now = Buckets(count, KEY + PLACE), Buckets(count, KEY)
        self._gone: dict[tuple[int, int], Gone] = {}  # by table of the chain, and archive in it
        self._tables: dict[int, int] = {}  # those that are compared: the table of the chain by its number now
        self._totals: dict[int, int] = {}  # rows now
        self._kept = 0  # hashes in `fresh`
        self.fresh: dict[int, Fresh] = {}  # of those that are compared
        self.whose = whose(chain.manifest)

    @property
    def bases(self) -> tuple[BaseForm, ...]:
        """For a manifest."""
        return tuple(
            BaseForm(manifest=one.identity, name=name_of(one.archive), time=one.manifest.snapshot.time)
            for one in self._chain.links
        )

    def remember(self) -> None:
        """Reads the chain. Blocking."""
        for link, piece, plain in self._chain.pieces():
            table = self._numbers[piece.at]
            self._gone.setdefault((table, link), Gone(piece.gone.rows))
            owner, some = table.to_bytes(TABLE), bool(len(piece.gone))
            *rows, _ = plain.split(b"\n")
            for number, row in enumerate(rows, piece.first):
                if not (some and number in piece.gone):
                    self._before.add(hashed(row) + owner + (link << 48 | number).to_bytes(PLACE))

    def begin(self, forms: Sequence[RelationForm]) -> Sequence[int]:
        """The tables there now; those of them that can be compared, by number. Others are taken whole."""
        for number, form in enumerate(forms):
            base = self._forms.get((form.schema_name, form.name))
            if base is not None and base.rows and shape(base) == shape(form):
                self._tables[number] = self._numbers[base.schema_name, base.name]
        self._totals = dict.fromkeys(self._tables, 0)
        return list(self._tables)

    def see(self, number: int, rows: bytes) -> None:
        """Whole rows of a table that are there now."""
        owner = self._tables[number].to_bytes(TABLE)
        *found, _ = rows.split(b"\n")
        for row in found:
            self._now.add(hashed(row) + owner)
        self._totals[number] += len(found)

    def compare(self) -> None:
        """To be called when all rows that are there were seen. Blocking."""
        self.fresh = {number: Fresh() for number in self._tables}
        fresh = {table: self.fresh[number] for number, table in self._tables.items()}
        for bucket in range(self._before.count):
            self._match(bucket, fresh)

    def _match(self, bucket: int, fresh: Mapping[int, Fresh]) -> None:
        before: dict[bytes, bytes] = {}
        more: dict[bytes, list[bytes]] = {}  # of rows that are there several times
        for record in self._before.read(bucket):
            key, place = record[:KEY], record[KEY:]
            if before.setdefault(key, place) is not place:
                more.setdefault(key, []).append(place)
        for key in self._now.read(bucket):
            if key not in before:
                self._come(fresh[int.from_bytes(key[HASH:])], key[:HASH])
            elif key in more:
                more[key].pop()
                if not more[key]:
                    del more[key]
            else:
                del before[key]
        for key, place in before.items():
            for one in (place, *more.get(key, ())):
                self._lost(int.from_bytes(key[HASH:]), int.from_bytes(one))

    def _come(self, fresh: Fresh, row: bytes) -> None:
        self._kept += fresh.expect(row)
        if self._kept > self._most:
            self._kept -= max(self.fresh.values(), key=len).take_all()

    def _lost(self, table: int, place: int) -> None:
        self._gone[table, place >> 48].add(place & (1 << 48) - 1)

    def wants(self, number: int) -> bool:
        """Must a table be read again, because something in it is new?"""
        fresh = self.fresh.get(number)
        return fresh is None or fresh.all or bool(len(fresh))

    def builds(self, number: int) -> bool:
        """Do rows of the chain count for it?"""
        return number in self.fresh and not self.fresh[number].all

    def gone(self, number: int) -> Sequence[tuple[int, Gone]]:
        """Rows of a table that are no more, by the archive's place in the chain."""
        table = self._tables[number]
        return sorted((link, one) for (of, link), one in self._gone.items() if of == table and len(one))

    def total(self, number: int) -> int:
        """How many rows a table has now."""
        return self._totals[number]

    def close(self) -> None:
        """Frees the files."""
        self._before.close()
        self._now.close()


class Fresh:
    """The rows of a table that are new, by their hashes; or all of it, when they are too many."""

    def __init__(self) -> None:
        self.all = False
        self._expected: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._expected)

    def expect(self, row: bytes) -> int:
        """One more that has this hash; how many hashes are kept for that."""
        if self.all:
            return 0
        count = self._expected.get(row, 0)
        self._expected[row] = count + 1
        return int(not count)

    def take_all(self) -> int:
        """The table is taken whole; how many hashes are not kept any more."""
        count = len(self._expected)
        self.all, self._expected = True, {}
        return count

    def of(self, rows: bytes) -> bytes:
        """Those of whole rows that are new, each as often as it is expected."""
        if self.all:
            return rows
        *found, _ = rows.split(b"\n")
        return b"".join(one + b"\n" for one in found if self._take(hashed(one)))

    def _take(self, row: bytes) -> bool:
        left = self._expected.get(row)
        if left is None:
            return False
        if left > 1:
            self._expected[row] = left - 1
        else:
            del self._expected[row]
        return True

    def check_found(self, title: str) -> None:
        """Refused when a row that was seen was not seen again."""
        if self._expected:
            raise Refused([f"{title} was not the same when it was read again; try again"])


class Buckets:
    """Records of one size in temporary files that have no name, by how they begin."""

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self._size = size
        self._held = [bytearray() for _ in range(count)]
        self._files: list[BinaryIO | None] = [None] * count

    def add(self, record: bytes) -> None:
        """One more."""
        bucket = int.from_bytes(record[:4]) % self.count
        held = self._held[bucket]
        held += record
        if len(held) >= HELD:
            self._flush(bucket)

    def read(self, bucket: int) -> Iterator[bytes]:
        """All records of a bucket."""
        file = self._files[bucket]
        data = bytes(self._held[bucket])
        if file is not None:
            file.seek(0)
            data = file.read() + data
        return (data[at : at + self._size] for at in range(0, len(data), self._size))

    def _flush(self, bucket: int) -> None:
        file = self._files[bucket]
        if file is None:
            file = self._files[bucket] = tempfile.TemporaryFile()  # noqa: SIM115  close() closes it
        file.write(self._held[bucket])
        self._held[bucket] = bytearray()

    def close(self) -> None:
        """Frees the files."""
        for one in self._files:
            if one is not None:
                one.close()
