"""`remake`: an archive with definitions becomes a tenant's schema or database, in one transaction, all or nothing.

Promises: what is in the archive runs as the tenant's own role and as nobody else, in a session that began as that role,
which is no more than a tenant may be: whatever definitions, and the code that rows, indexes and constraints call, put
back or set, they stay who they were. Nothing is given to it or lent: foreign keys to shared tables are only told.
Definitions come first, then rows, then what needs the rows to be there: so no order is needed, and no trigger fires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from proxy.backup.briefly import briefly
from proxy.backup.chain import Source
from proxy.backup.clearing import check_empty, cleared, finished
from proxy.backup.definitions import SECTIONS
from proxy.backup.hanging import hanging
from proxy.backup.loading import slices, unchanged
from proxy.backup.manifest import Manifest, RelationForm
from proxy.backup.progress import Progress
from proxy.backup.proposed import proposed
from proxy.backup.reading import counted
from proxy.backup.refusal import Refused
from proxy.backup.restoring import Quiet, Restored
from proxy.backup.selection import Kept
from proxy.backup.snapshot import READING, WRITING, opened
from proxy.backup.writing import Difference, Mode
from proxy.catalog.facts import check_facts
from proxy.catalog.finding import identifier
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.catalog.watch import FAILURES
from proxy.sql.dumped import Key, Unfit, fitted
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

SCHEMAS = "SELECT n.nspname::pg_catalog.text AS name FROM pg_catalog.pg_namespace n"
NAMED = """
SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS name
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = $1 AND (pg_catalog.strpos(p.prosrc, $2) > 0
    OR pg_catalog.strpos(COALESCE(p.proconfig::pg_catalog.text, ''), $2) > 0)
 ORDER BY 1 LIMIT 5
"""
# What the archive's code put off runs before others have to wait; and what it set is no reason to lose what is told as
# done, or to find other functions and operators than the server's own.
AT_LAST = (
    "SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp"
)


async def remake(
    place: Place,
    grant: Grant,
    manifest: Manifest,
    archive: Source,
    secrets: Sequence[Any] = (),
    mode: Mode = "into-empty",
    dry_run: bool = False,
    quiet: Quiet = nullcontext,
    told: Callable[[Progress], None] = lambda _: None,
) -> Restored:
    """As restoring.restore, of a schema or database of the tenant's own. place: the operator's, where that
    logs in.
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
    connection = await opened(tenants_place(place, grant), READING if dry_run else WRITING)
    try:
        await _check_role(connection, grant)
        if mode == "into-empty":
            await check_empty(connection, schema)
        if dry_run:
            catalog = await introspect(connection, 1)
            found = {one.title: await _exchange(connection, grant, catalog, one) for one in manifest.relations}
            return Restored(found, {}, grants=await hanging(connection, schema) if mode == "replace" else ())
        async with quiet():
            transaction = connection.transaction()
            await transaction.start()
            try:
                grants = await hanging(connection, schema) if mode == "replace" else ()
                with _denied(grant):
                    left = await cleared(connection, schema) if mode == "replace" else None
                    keys = await _written(connection, grant, manifest, archive, secrets, told)
                    await connection.execute(AT_LAST)
                    away, apart = await proposed(connection, schema, keys)
                    if left is not None:
                        await briefly(connection, partial(finished, connection, schema, left))
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()
        found = {one.title: Difference(insert=one.rows) for one in manifest.relations}
        return Restored(found, {}, away, apart, grants)
    finally:
        await connection.close()


def tenants_place(place: Place, grant: Grant) -> Place:
    """Where `place` is, as the role that serves the tenant, by what the rules say of its login."""
    server, way = place
    if server.role == grant.server.role:
        return place
    own = grant.credentials
    login = replace(way, password=own.password, certificate=own.certificate, key=own.key)
    return replace(server, role=grant.server.role), login


def enclosed(text: str) -> str:
    """One statement that runs all of a text, and in which none can end the transaction that it is in: PL/pgSQL refuses
    that. The tags are drawn anew, so that no text knows them, and no setting changes how they are read.
    """
    tag = f"partywall_{token_hex(16)}"
    return f"DO ${tag}$BEGIN EXECUTE ${tag}_text${text}${tag}_text$; END${tag}$"


@contextmanager
def _denied(grant: Grant) -> Iterator[None]:
    """What the role may not do is a reason to refuse."""
    try:
        yield
    except FAILURES as error:
        if getattr(error, "sqlstate", None) != "42501":
            raise
        problems = [f"it runs as the tenant's role {identifier(grant.server.role)}, which may not do this: {error}"]
        if grant.policy.schema:
            problems.append("`partywall provision` makes the role's what is in its schema, but for foreign tables")
        raise Refused(problems) from error


async def _check_role(connection: CatalogConnection, grant: Grant) -> None:
    """Refused unless the connection is the tenant's role, and that is one that would be served: no more than a tenant,
    nothing in reach that acts as another or that others run, and a schema if it is to have one. That it owns another
    database is no wonder when this one is to replace that, and who only sees a schema does nothing there.
    """
    schemas = grant.policy.path if grant.policy.schema else ()
    found = await check_facts(connection, grant.server, own=not schemas, schemas=schemas)
    problems = [
        f"{one.text}; {one.remedy}"
        for one in found
        if one.severity == "critical"
        and one.name != "role.databases"
        and not (one.name == "schema.reach" and one.remedy.startswith("REVOKE USAGE"))
    ]
    if problems:
        raise Refused(problems)


async def _exchange(connection: CatalogConnection, grant: Grant, catalog: Catalog, form: RelationForm) -> Difference:
    """What comes, and what goes."""
    there = catalog.relations.get((grant.policy.schema or form.schema_name, form.name))
    if there is None or there.kind not in "rp":  # a view has no rows, and would run its code
        return Difference(insert=form.rows)
    kept = Kept(there, tuple(one for one in there.columns if not one.generated))
    return Difference(insert=form.rows, delete=await counted(connection, grant, catalog, kept))


async def _written(
    connection: CatalogConnection,
    grant: Grant,
    manifest: Manifest,
    archive: Source,
    secrets: Sequence[Any],
    told: Callable[[Progress], None],
) -> tuple[Key, ...]:
    """Definitions, rows, and what follows them, in this order though they stand in another; the foreign keys to shared
    tables that are left to the operator.
    """
    texts: dict[str, str] = {}
    homes = {one.name: form for form in manifest.relations for one in form.members}
    schema, shared = grant.policy.schema, grant.policy.shared_schemas
    source = manifest.schema_name or schema if schema else ""
    there = {source} if schema else {row["name"] for row in await connection.fetch(SCHEMAS)}
    away: list[Key] = []
    rows = size = 0

    async def run(section: str) -> None:
        try:
            found = fitted(texts[f"definitions/{section}.sql.zst"], there, source, schema, shared)
        except Unfit as error:
            raise Refused([f"{error}"]) from None
        away.extend(found.away)
        await connection.execute(enclosed(found.text))

    async with aclosing(unchanged(archive, secrets, manifest.members)) as found:
        async for member, plain in found:
            if member.name not in homes:
                texts[member.name] = plain.decode()
                if len(texts) == len(manifest.definitions):
                    await run(SECTIONS[0])
                    await _check_names(connection, schema, source)
                continue
            form = homes[member.name]
            await connection.copy_to_table(
                form.name,
                schema_name=schema if form.schema_name == source else form.schema_name,
                columns=[one.name for one in form.columns],
                source=slices(plain),
            )
            rows, size = rows + member.rows, size + member.bytes
            told(Progress("write", rows, size, manifest.rows, form.title))
    await _positioned(connection, manifest, {source: schema})
    await run(SECTIONS[1])
    return tuple(away)


async def _positioned(connection: CatalogConnection, manifest: Manifest, named: dict[str, str]) -> None:
    """Sequences go where they were, and beyond the numbers that came."""
    for form in manifest.sequences:
        place = f"{identifier(named.get(form.schema_name, form.schema_name))}.{identifier(form.name)}"
        value, called = form.value, form.called
        if form.column is not None:
            schema, table, column = form.column
            full = f"{identifier(named.get(schema, schema))}.{identifier(table)}"
            most = await connection.fetchval(f"SELECT pg_catalog.max({identifier(column)}) FROM {full}")
            if isinstance(most, int) and (most > value or (most == value and not called)):
                value, called = most, True
        await connection.execute(
            "SELECT pg_catalog.setval($1::pg_catalog.text::pg_catalog.regclass, $2, $3)", place, value, called
        )


async def _check_names(connection: CatalogConnection, schema: str, source: str) -> None:
    """Refused where the text of a function has the schema's old name."""
    if source == schema:
        return
    rows = await connection.fetch(NAMED, schema, source)
    if rows:
        names = ", ".join(row["name"] for row in rows)
        raise Refused([f"functions name the schema {source} in their text, which is {schema} there: {names}"])
