"""What an operator lends a tenant's role for a restore: to reference the shared tables that foreign keys lead to.

Promises: no other tables than shared ones, and no longer than the role's transaction lasts, for then it could keep
others from deleting there. Nothing that the role's session says is believed: it may have run whatever an archive holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from proxy.backup.refusal import Refused
from proxy.backup.snapshot import WRITING, opened
from proxy.catalog.finding import identifier
from proxy.catalog.watch import FAILURES
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# $1: schemas, $2: their tables, $3: the role.
WANTING = """
SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE (n.nspname, c.relname) IN (SELECT * FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.name[]),
                                                           pg_catalog.unnest($2::pg_catalog.name[])) t(schema, name))
   AND NOT pg_catalog.has_table_privilege($3::pg_catalog.name, c.oid, 'REFERENCES')
 ORDER BY 1, 2
"""


@asynccontextmanager
async def lent(place: Place, grant: Grant, beyond: Sequence[tuple[str, str]]) -> AsyncIterator[None]:
    """The tenant's role may reference those of these tables (schema and name) that are shared, in the block. place: the
    operator's. Refused where the operator may not give that, or not take it back.
    """
    shared = [one for one in beyond if one[0] in grant.policy.shared_schemas]
    if not shared:
        yield
        return
    connection = await opened(place, WRITING)
    try:
        given = [schema for schema, _ in shared], [name for _, name in shared], grant.server.role
        wanting = await connection.fetch(WANTING, *given)
        names = ", ".join(f"{identifier(row['schema'])}.{identifier(row['name'])}" for row in wanting)
        if not wanting:
            yield
            return
        give = f"GRANT REFERENCES ON TABLE {names} TO {identifier(grant.server.role)}"
        take = f"REVOKE REFERENCES ON TABLE {names} FROM {identifier(grant.server.role)}"
        try:
            async with connection.transaction():
                await connection.execute(give)
                if await connection.fetch(WANTING, *given):  # who may not give it is only warned
                    raise Refused(["no privileges were granted"])
        except FAILURES as error:
            remedy = f"set operator_role, or name another with --server, that may say: {give}"
            raise Refused([f"foreign keys lead to {names}: {error}", remedy]) from error
        try:
            yield
        finally:
            await _taken(connection, take)
    finally:
        await connection.close()


async def _taken(connection: CatalogConnection, take: str) -> None:
    try:
        await connection.execute(take)
    except FAILURES as error:
        raise Refused(
            [f"the restore has ended, but what was lent for it is still to be taken back: {error}", take]
        ) from error
