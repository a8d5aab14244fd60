"""What registered a tenant at the target before it moves there: kept for as long as the move can be given up.

Promises: such a row, whose place that of the source takes, is there again when the move is given up, as it was to the
last digit, for others may reference it. It is kept in the target's journal, as COPY writes it. What a journal has
instead that was written before this is known to be nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxy.backup.loading import slices
from proxy.backup.passages import Passage
from proxy.backup.selection import Kept
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection


async def registered(connection: CatalogConnection, passages: Iterable[Passage], grant: Grant) -> str:
    """The tenant's rows at the target of tables where it is what a row stands for. grant: its own there."""
    found = {}
    for one in passages:
        if one.registers:
            rows = bytearray()

            async def take(some: bytes, rows: bytearray = rows) -> None:
                rows.extend(some)

            await connection.copy_from_query(one.target.rows(grant), output=take)
            found[one.target.relation.oid] = [column.name for column in one.target.columns], rows.decode()
    return json.dumps(found)


async def put_back(connection: CatalogConnection, kept: Iterable[Kept], before: str) -> None:
    """These rows are there again, of those of the tables that are still there. In a transaction that replicates."""
    found: dict[str, tuple[list[str], str]] = json.loads(before) if before.startswith("{") else {}
    for one in kept:
        columns, rows = found.get(f"{one.relation.oid}", ([], ""))
        if rows:
            await connection.copy_to_table(
                one.relation.name, schema_name=one.relation.schema, columns=columns, source=slices(rows.encode())
            )
