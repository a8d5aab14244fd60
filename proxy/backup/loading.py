"""An archive's rows in temporary tables beside the tenant's, which nobody else can see.

Each member is compared with the manifest once more while it is loaded, because the file may have changed since it was
verified.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from proxy.backup import statements
from proxy.backup.ahead import ahead
from proxy.backup.chain import Source, read_back
from proxy.backup.manifest import Manifest, Member
from proxy.backup.progress import Progress
from proxy.backup.target import Table

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection


SLICE = 256 << 10  # bytes that are sent at a time


async def slices(plain: bytes) -> AsyncIterator[bytes]:
    """For asyncpg, which keeps a file that it is given until the garbage is collected."""
    for at in range(0, len(plain), SLICE):
        yield plain[at : at + SLICE]


def unchanged(archive: Source, keys: Sequence[Any], wanted: Iterable[Member]) -> AsyncGenerator[tuple[Member, bytes]]:
    """Each of these members, and what it unpacks to; the next one is read meanwhile. Damaged when one is not what was
    verified, or is gone.
    """
    return ahead(read_back(archive, keys, wanted))


async def staged(connection: CatalogConnection, tables: Sequence[Table]) -> None:
    """Makes the temporary tables."""
    for table in tables:
        await connection.execute(statements.staging(table))


async def loaded(
    connection: CatalogConnection,
    manifest: Manifest,
    tables: Sequence[Table],
    archive: Source,
    keys: Sequence[Any],
    told: Callable[[Progress], None],
) -> None:
    """Loads every member. Damaged when one is not the manifest's."""
    by_member = {one.name: table for table in tables for one in table.form.members}
    rows = size = 0
    async with aclosing(unchanged(archive, keys, (one for table in tables for one in table.form.members))) as found:
        async for member, plain in found:
            table = by_member[member.name]
            await connection.copy_to_table(
                f"stage_{table.number}",
                schema_name="pg_temp",
                columns=[one.name for one in table.columns],
                source=slices(plain),
            )
            rows, size = rows + member.rows, size + member.bytes
            told(Progress("load", rows, size, manifest.rows, table.title))
    for table in tables:
        await connection.execute(f"ANALYZE {table.stage}")
