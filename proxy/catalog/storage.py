"""Storage: how many bytes the rows of each tenant take, counted at the server. Reads, and waits for no lock.

Counted is what a row's values take as they are stored, with the row's header; no index, no room that is free. A large
relation is sampled. So the figure is one to bill and to limit by, not that of a file. All tenants of a relation are
counted in one go. Source: PostgreSQL documentation, pg_column_size, TABLESAMPLE SYSTEM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.catalog.connect import ServerAddress, ServerCredentials, connect
from proxy.catalog.model import Relation

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

SAMPLED = 256 << 20  # bytes of a relation; of a larger one about so many are looked at
ROW_HEADER = 28  # bytes of a row besides its values: its header and its place on the page
LOCK_TIMEOUT = "100ms"
PATIENCE = 60.0  # seconds for one relation

SIZE = """SELECT pg_table_size(c.oid) + COALESCE((SELECT sum(pg_table_size(relid)) FROM pg_partition_tree(c.oid)
 WHERE relid <> c.oid), 0) FROM pg_class c WHERE c.oid = $1"""

TABLES = """SELECT n.nspname, sum(pg_table_size(c.oid))::int8
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ($1::name[]) AND c.relkind IN ('r', 'm') GROUP BY n.nspname"""


@dataclass(frozen=True, slots=True)
class Counted:
    """A relation whose rows belong to tenants by a column: which of their keys stands there."""

    relation: Relation
    column: str
    key: str = "default"


async def rows_of(
    server: ServerAddress, credentials: ServerCredentials, relations: Sequence[Counted]
) -> Mapping[tuple[str, str], int]:
    """Bytes by (name of the key, its value as text). Errors: catalog.watch.FAILURES."""
    connection = await connect(server, credentials)
    try:
        await connection.execute(f"SET lock_timeout TO '{LOCK_TIMEOUT}'")
        found: dict[tuple[str, str], int] = {}
        for one in relations:
            for value, size in await _counted(connection, one):
                found[one.key, value] = found.get((one.key, value), 0) + size
        return found
    finally:
        connection.terminate()


async def database_of(server: ServerAddress, credentials: ServerCredentials) -> int:
    """Bytes of the whole database, with indexes and what is free. Errors: as above."""
    connection = await connect(server, credentials)
    try:
        return int(await connection.fetchval("SELECT pg_database_size(current_database())"))
    finally:
        connection.terminate()


async def schemas_of(
    server: ServerAddress, credentials: ServerCredentials, schemas: Sequence[str]
) -> Mapping[str, int]:
    """Bytes of the tables in each of these schemas, without indexes, with what is free; whoever logs in may ask. One
    without tables is not among them. Errors: as above.
    """
    connection = await connect(server, credentials)
    try:
        rows = await connection.fetch(TABLES, list(schemas), timeout=PATIENCE)
        return {str(schema): int(size or 0) for schema, size in rows}
    finally:
        connection.terminate()


async def _counted(connection: CatalogConnection, one: Counted) -> list[tuple[str, int]]:
    size = int(await connection.fetchval(SIZE, one.relation.oid) or 0)
    part = min(100.0, 100.0 * SAMPLED / max(size, 1))
    rows = await connection.fetch(statement(one, part), timeout=PATIENCE)
    return [(value, round(float(total) * 100.0 / part)) for value, total in rows if value is not None]


def statement(one: Counted, part: float) -> str:
    """The query that counts; part: percent of the pages that it looks at."""
    relation = one.relation
    stored = [column for column in relation.columns if column.generated != "v"]
    sizes = " + ".join(f"COALESCE(pg_column_size({quoted(column.name)}), 0)" for column in stored)
    only = "" if relation.kind == "p" else "ONLY "
    name = f"{quoted(relation.schema)}.{quoted(relation.name)}"
    sample = "" if part >= 100.0 else f" TABLESAMPLE SYSTEM ({part:.6f})"
    column = quoted(one.column)
    what = f"{column}::text, sum({ROW_HEADER} + {sizes})"
    return f"SELECT {what} FROM {only}{name}{sample} GROUP BY {column}"  # noqa: S608 every name is quoted


def quoted(name: str) -> str:
    """As an identifier."""
    return '"' + name.replace('"', '""') + '"'
