"""`remake`: an archive with definitions becomes a tenant's schema or database, in one transaction, all or nothing.

Definitions come first, then rows, then what needs the rows to be there: so no order is needed, and no trigger fires. In
place of a schema that is there the new one is made before that goes, and nothing outside it may go along. A schema that
gets another name is refused where a function's text still has the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING, Any

from proxy.backup.chain import Source
from proxy.backup.definitions import SECTIONS
from proxy.backup.loading import slices, unchanged
from proxy.backup.manifest import Manifest, RelationForm
from proxy.backup.progress import Progress
from proxy.backup.reading import counted
from proxy.backup.refusal import Refused
from proxy.backup.restoring import Quiet, Restored
from proxy.backup.selection import Kept, text
from proxy.backup.snapshot import READING, WRITING, opened
from proxy.backup.writing import Difference, Mode
from proxy.catalog.finding import identifier
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.tenancy.policy import PROXY_SCHEMA, Grant
from proxy.tenancy.servers import Place

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

OLD, ASIDE = "partywall old", "partywall aside"  # what schemas are called while the new one is made

EMPTY = """
SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {where} AND {free}
UNION ALL
SELECT c.oid::pg_catalog.regprocedure::pg_catalog.text
  FROM pg_catalog.pg_proc c JOIN pg_catalog.pg_namespace n ON n.oid = c.pronamespace WHERE {where} AND {free}
 LIMIT 5
"""
FREE = "NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
USERS = f"n.nspname NOT IN ('pg_catalog', 'information_schema', '{PROXY_SCHEMA}') AND n.nspname !~ '^pg_'"

# Everything outside a schema that could depend on what is in it; indexes and rules go with their tables.
OUTSIDE = """
WITH r AS (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname <> $1 AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)')
SELECT 'relation ' || r.oid::pg_catalog.regclass AS name FROM r
UNION ALL SELECT 'column ' || a.attrelid::pg_catalog.regclass || '.' || a.attname FROM pg_catalog.pg_attribute a JOIN r
    ON r.oid = a.attrelid WHERE NOT a.attisdropped
UNION ALL SELECT 'default of ' || d.adrelid::pg_catalog.regclass || ' ' || d.adnum FROM pg_catalog.pg_attrdef d JOIN r
    ON r.oid = d.adrelid
UNION ALL SELECT 'constraint ' || k.conname || ' of ' || k.conrelid::pg_catalog.regclass FROM pg_catalog.pg_constraint k
    JOIN r ON r.oid = k.conrelid
UNION ALL SELECT 'trigger ' || t.tgname || ' of ' || t.tgrelid::pg_catalog.regclass FROM pg_catalog.pg_trigger t JOIN r
    ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL SELECT 'policy ' || p.polname || ' of ' || p.polrelid::pg_catalog.regclass FROM pg_catalog.pg_policy p JOIN r
    ON r.oid = p.polrelid
UNION ALL SELECT 'function ' || p.oid::pg_catalog.regprocedure FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n
    ON n.oid = p.pronamespace WHERE n.nspname <> $1
UNION ALL SELECT 'type ' || t.oid::pg_catalog.regtype FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n
    ON n.oid = t.typnamespace WHERE n.nspname <> $1 AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
"""
NAMED = """
SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS name
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = $1 AND (pg_catalog.strpos(p.prosrc, $2) > 0
    OR pg_catalog.strpos(COALESCE(p.proconfig::pg_catalog.text, ''), $2) > 0)
 ORDER BY 1 LIMIT 5
"""


async def remake(
    place: Place,
    grant: Grant,
    manifest: Manifest,
    archive: Source,
    secrets: Sequence[Any] = (),
    mode: Mode = "into-empty",
    dry_run: bool = False,
    provision: str = "",
    quiet: Quiet = nullcontext,
    told: Callable[[Progress], None] = lambda _: None,
) -> Restored:
    """As restoring.restore, of a schema or database of the tenant's own. provision: SQL that gives a schema to the
    tenant's role.
    """
    schema = grant.policy.schema
    if mode == "merge" or (mode == "replace" and not schema):
        raise Refused(
            [
                f"what is in a {'schema' if schema else 'database'} of one's own is not merged"
                if mode == "merge"
                else "a database of one's own is restored into an empty one: make one, and name it in the rules"
            ]
        )
    connection = await opened(place, READING if dry_run else WRITING)
    try:
        if mode == "into-empty":
            await _check_empty(connection, schema)
        if dry_run:
            catalog = await introspect(connection, 1)
            found = {one.title: await _exchange(connection, grant, catalog, one) for one in manifest.relations}
            return Restored(found, {})
        async with quiet():
            transaction = connection.transaction()
            await transaction.start()
            try:
                before = await _aside(connection, schema, manifest)
                await _written(connection, schema, manifest, archive, secrets, told)
                await _named(connection, schema, manifest)
                await _cleared(connection, schema, before)
                if provision:
                    await connection.execute(provision)
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()
        return Restored({one.title: Difference(insert=one.rows) for one in manifest.relations}, {})
    finally:
        await connection.close()


async def _check_empty(connection: CatalogConnection, schema: str) -> None:
    where = f"n.nspname = {text(schema)}" if schema else USERS
    rows = await connection.fetch(EMPTY.format(where=where, free=FREE))
    if rows:
        raise Refused(
            [f"the {'schema' if schema else 'database'} is not empty: {', '.join(row['name'] for row in rows)}"]
        )


async def _exchange(connection: CatalogConnection, grant: Grant, catalog: Catalog, form: RelationForm) -> Difference:
    """What comes, and what goes."""
    there = catalog.relations.get((grant.policy.schema or form.schema_name, form.name))
    if there is None or there.kind not in "rp":  # a view has no rows, and would run its code
        return Difference(insert=form.rows)
    kept = Kept(there, tuple(one for one in there.columns if not one.generated))
    return Difference(insert=form.rows, delete=await counted(connection, grant, catalog, kept))


async def _exists(connection: CatalogConnection, schema: str) -> bool:
    query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)"
    return bool(await connection.fetchval(query, schema))


async def _aside(connection: CatalogConnection, schema: str, manifest: Manifest) -> set[str] | None:
    """Makes room for the archive's schema under its own name; what was outside the tenant's before it goes."""
    if not schema:
        return None
    source = manifest.schema_name or schema
    before = None
    if await _exists(connection, schema):
        await connection.execute(f"ALTER SCHEMA {identifier(schema)} RENAME TO {identifier(OLD)}")
        before = {row["name"] for row in await connection.fetch(OUTSIDE, OLD)}
    if source != schema and await _exists(connection, source):
        await connection.execute(f"ALTER SCHEMA {identifier(source)} RENAME TO {identifier(ASIDE)}")
    return before


async def _written(
    connection: CatalogConnection,
    schema: str,
    manifest: Manifest,
    archive: Source,
    secrets: Sequence[Any],
    told: Callable[[Progress], None],
) -> None:
    """Definitions, rows, and what follows them, in this order though they stand in another."""
    texts: dict[str, str] = {}
    homes = {one.name: form for form in manifest.relations for one in form.members}
    rows = size = 0
    async with aclosing(unchanged(archive, secrets, manifest.members)) as found:
        async for member, plain in found:
            if member.name not in homes:
                texts[member.name] = plain.decode()
                if len(texts) == len(manifest.definitions):
                    await connection.execute(texts[_member(SECTIONS[0])])
                continue
            form = homes[member.name]
            await connection.copy_to_table(
                form.name,
                schema_name=form.schema_name,
                columns=[one.name for one in form.columns],
                source=slices(plain),
            )
            rows, size = rows + member.rows, size + member.bytes
            told(Progress("write", rows, size, manifest.rows, form.title))
    await _positioned(connection, manifest)
    await connection.execute(texts[_member(SECTIONS[1])])


def _member(section: str) -> str:
    return f"definitions/{section}.sql.zst"


async def _positioned(connection: CatalogConnection, manifest: Manifest) -> None:
    """Sequences go where they were, and beyond the numbers that came."""
    for form in manifest.sequences:
        place = f"{identifier(form.schema_name)}.{identifier(form.name)}"
        value, called = form.value, form.called
        if form.column is not None:
            schema, table, column = form.column
            query = f"SELECT pg_catalog.max({identifier(column)}) FROM {identifier(schema)}.{identifier(table)}"
            most = await connection.fetchval(query)
            if isinstance(most, int) and (most > value or (most == value and not called)):
                value, called = most, True
        await connection.execute(
            "SELECT pg_catalog.setval($1::pg_catalog.text::pg_catalog.regclass, $2, $3)", place, value, called
        )


async def _named(connection: CatalogConnection, schema: str, manifest: Manifest) -> None:
    """Gives schemas their names again. Refused where a text still has the old one."""
    source = manifest.schema_name or schema
    if not schema or source == schema:
        return
    await connection.execute(f"ALTER SCHEMA {identifier(source)} RENAME TO {identifier(schema)}")
    if await _exists(connection, ASIDE):
        await connection.execute(f"ALTER SCHEMA {identifier(ASIDE)} RENAME TO {identifier(source)}")
    rows = await connection.fetch(NAMED, schema, source)
    if rows:
        names = ", ".join(row["name"] for row in rows)
        raise Refused([f"functions name the schema {source} in their text, which is {schema} there: {names}"])


async def _cleared(connection: CatalogConnection, schema: str, before: set[str] | None) -> None:
    """Drops the tenant's old schema. Refused where anything outside it would go along."""
    if before is None:
        return
    await connection.execute(f"DROP SCHEMA {identifier(OLD)} CASCADE")
    after = {row["name"] for row in await connection.fetch(OUTSIDE, OLD)}
    if lost := sorted(before - after):
        raise Refused([f"outside the schema {schema} there depends on what is in it: {', '.join(lost[:5])}"])
