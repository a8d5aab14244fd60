"""Which foreign keys to shared tables an operator may be told as statements to run.

Promises: none of a table that is not a plain one, for the server would evaluate its partition key, nor of a column
whose type the tenant has, for a cast that it made would run as the owner of the shared table. These are named only. It
asks in the restore's session when what the archive wrote has run, so `search_path` must lead to pg_catalog again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection
    from proxy.sql.dumped import Key

# Columns of a plain table whose types are neither in the tenant's schema nor the role's own.
FOREIGN = """
SELECT pg_catalog.count(*)
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r' AND a.attname = ANY ($3::pg_catalog.text[])
   AND NOT a.attisdropped AND t.typnamespace <> c.relnamespace
   AND NOT pg_catalog.pg_has_role(session_user, t.typowner, 'MEMBER')
"""


async def proposed(
    connection: CatalogConnection, schema: str, keys: Iterable[Key]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Statements for the operator, and the names of the keys that there is none for."""
    told, refused = [], []
    for key in keys:
        found = await connection.fetchval(FOREIGN, schema, key.table, list(key.columns))
        if found == len(set(key.columns)):
            told.append(key.statement)
        else:
            refused.append(f"{key.name} of {schema}.{key.table} ({', '.join(key.columns)})")
    return tuple(told), tuple(refused)
