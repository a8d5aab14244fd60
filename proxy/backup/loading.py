"""An archive's rows in temporary tables beside the tenant's, which nobody else can see.

Each member is compared with the manifest once more while it is loaded, because the file may have changed since it was
verified.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from proxy.backup import statements
from proxy.backup.archive import members, unpacked
from proxy.backup.manifest import Manifest
from proxy.backup.progress import Progress
from proxy.backup.refusal import Damaged
from proxy.backup.target import Table

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection


SLICE = 256 << 10  # bytes that are sent at a time


async def slices(plain: bytes) -> AsyncIterator[bytes]:
    """For asyncpg, which keeps a file that it is given until the garbage is collected."""
    for at in range(0, len(plain), SLICE):
        yield plain[at : at + SLICE]


async def staged(connection: CatalogConnection, tables: Sequence[Table]) -> None:
    """Makes the temporary tables."""
    for table in tables:
        await connection.execute(statements.staging(table))


async def loaded(
    connection: CatalogConnection,
    manifest: Manifest,
    tables: Sequence[Table],
    archive: str,
    keys: Sequence[Any],
    told: Callable[[Progress], None],
) -> None:
    """Loads every member. Damaged when one is not the manifest's."""
    by_member = {one.name: (table, one) for table in tables for one in table.form.members}
    rows = size = 0
    source = members(archive, keys)
    try:
        while (found := await asyncio.to_thread(next, source, None)) is not None:
            name, stored = found
            if name not in by_member:
                continue
            table, member = by_member.pop(name)
            if hashlib.sha256(stored).hexdigest() != member.sha256:
                raise Damaged(f"{name} has changed since it was verified")
            plain = await asyncio.to_thread(unpacked, name, stored)
            await connection.copy_to_table(
                f"stage_{table.number}",
                schema_name="pg_temp",
                columns=[one.name for one in table.columns],
                source=slices(plain),
            )
            rows, size = rows + member.rows, size + member.bytes
            told(Progress("load", rows, size, manifest.rows, table.title))
    finally:
        source.close()
    if by_member:
        raise Damaged(f"{min(by_member)} is gone since it was verified")
    for table in tables:
        await connection.execute(f"ANALYZE {table.stage}")
