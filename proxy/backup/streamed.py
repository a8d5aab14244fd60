"""Live rows as comparing.py wants them, of tables that the tenant defines: the server copies, and they are hashed here.

Promises: the same sums and rows as `comparing.Live` has, by nothing but COPY of tables (reading.py); memory does not
grow: what is to be sorted lies on disk, 64 bytes a row.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxy.backup.archived import Sorted, add
from proxy.backup.comparing import Row, Sums, bucket_of
from proxy.backup.reading import Take, copied
from proxy.backup.rowhash import hashed
from proxy.backup.selection import Kept
from proxy.catalog.model import Catalog, Column
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection


@dataclass(frozen=True, slots=True)
class Streamed:
    """As `comparing.Live`. catalog: of the snapshot."""

    connection: CatalogConnection
    kept: Kept
    grant: Grant
    columns: tuple[Column, ...]
    key: tuple[Column, ...]
    catalog: Catalog

    async def sums(self, salt: bytes) -> Sums:
        """What there is."""
        found: dict[int, tuple[int, int, int]] = {}

        async def take(text: bytes) -> None:
            for row in self._read(text):
                add(found, row, salt)

        await self._copied(take)
        return found

    async def rows(self, buckets: Collection[int]) -> AsyncGenerator[Row]:
        """The rows of these buckets, by place and hash."""
        with Sorted() as spool:

            async def take(text: bytes) -> None:
                for row in self._read(text):
                    if bucket_of(row.place) in buckets:
                        spool.add(0, row)

            await self._copied(take)
            spool.end()
            for one in spool.rows(0):
                yield one

    async def _copied(self, take: Take) -> None:
        await copied(self.connection, self.grant, self.catalog, replace(self.kept, columns=self.columns), take)

    def _read(self, text: bytes) -> Iterator[Row]:
        key = [self.columns.index(one) for one in self.key]
        for written in text.split(b"\n")[:-1]:
            line = written if self.columns else b""  # COPY of no columns is of all
            digest = hashed(line)
            fields = line.split(b"\t") if key else ()
            yield Row(hashed(b"\t".join([fields[one] for one in key])) if key else digest, digest)
