"""`restore`: the rows of an archive that was verified become a tenant's, in one transaction, all or nothing.

The archive is loaded into temporary tables first, while the tenant works on; then the tenant is paused, by whom the
caller gives, and what differs is written. Nothing is written where anything is in the way, and the reasons are told.
Who changes the tenant's rows beside the proxy meanwhile makes it fail, not wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy.backup.advancing import passed
from proxy.backup.breaking import Order, unwound
from proxy.backup.chain import Source
from proxy.backup.keying import check_shared, rekeyed, renumbered
from proxy.backup.loading import loaded, staged
from proxy.backup.manifest import Manifest
from proxy.backup.neighbours import Around, around
from proxy.backup.progress import Progress
from proxy.backup.refusal import Refused
from proxy.backup.rekeying import Pair, Place, keys, pairs
from proxy.backup.selection import Kept, Reference, ordered, references, selected
from proxy.backup.snapshot import WRITING, lock, opened
from proxy.backup.target import Table, Types, check_kinds, tables
from proxy.backup.triggers import silenced
from proxy.backup.tying import check_ties
from proxy.backup.writing import Difference, Mode, Writing
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place as ServerPlace

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

TYPES = """
SELECT t.type, t.typmod, pg_catalog.format_type(t.type, t.typmod) AS name
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int4[])) t(type, typmod)
"""
DEFERRABLE = """
SELECT k.conrelid AS relation, k.conname::pg_catalog.text AS name
  FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.condeferrable
"""

Quiet = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done, or in a dry run would be: rows by table, and keys that were given anew by table and column. away:
    foreign keys to shared tables that were not made, as statements for an operator to decide on; apart: the names of
    those that are not for an operator to make. grants: what other roles have lost, as statements that give it again.
    """

    tables: Mapping[str, Difference]
    renumbered: Mapping[str, int]
    away: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Plan:
    tables: tuple[Table, ...]
    links: tuple[Reference, ...]
    order: Order
    linked: tuple[Pair, ...]
    held: Mapping[Place, tuple[str, str]]
    registry: frozenset[int]


async def restore(
    place: ServerPlace,
    grant: Grant,
    manifest: Manifest,
    archive: Source,
    secrets: Sequence[Any] = (),
    mode: Mode = "replace",
    dry_run: bool = False,
    triggers: bool = True,
    quiet: Quiet = nullcontext,
    told: Callable[[Progress], None] = lambda _: None,
) -> Restored:
    """Of tables that several tenants share. manifest: what `verified` gave for `archive`. secrets: age identities.
    quiet: nothing of the tenant runs in its block. triggers: whether they fire.

    Errors: those of proxy.catalog.watch.FAILURES; Refused.
    """
    check_kinds(manifest, grant)
    connection = await opened(place, WRITING)
    try:
        catalog = await introspect(connection, 1)
        near = await around(connection, grant)
        kept = ordered(catalog, selected(catalog, grant, near))
        plan = await _planned(connection, manifest, grant, catalog, kept, near)
        await staged(connection, plan.tables)
        await loaded(connection, manifest, plan.tables, archive, secrets, told)
        await rekeyed(connection, plan.tables, plan.held)
        async with nullcontext() if dry_run else quiet():
            transaction = connection.transaction(isolation="repeatable_read")
            await transaction.start()
            try:
                mode_of_lock = "ACCESS SHARE" if dry_run else "ROW EXCLUSIVE"
                await lock(connection, [one.kept for one in plan.tables], mode=mode_of_lock)
                await _unchanged(connection, grant, kept, plan)
                done = await _within(connection, grant, manifest, plan, mode, dry_run, triggers, told)
            except BaseException:
                await transaction.rollback()
                raise
            if dry_run:
                await transaction.rollback()
            else:
                await transaction.commit()
        return done
    finally:
        await connection.close()


async def _planned(
    connection: CatalogConnection,
    manifest: Manifest,
    grant: Grant,
    catalog: Catalog,
    kept: tuple[Kept, ...],
    near: Around,
) -> _Plan:
    columns = [column for one in kept for column in one.columns]
    rows = await connection.fetch(TYPES, [one.type for one in columns], [one.typmod for one in columns])
    types: Types = {(row["type"], row["typmod"]): row["name"] for row in rows}
    found = tables(manifest, catalog, kept, types)
    links = tuple(references(catalog, tuple(one.kept for one in found)))
    check_ties(links, grant, near, catalog)
    deferrable = {(row["relation"], row["name"]) for row in await connection.fetch(DEFERRABLE)}
    linked = tuple(pairs(links))
    held = keys(manifest, grant, found, linked)
    registry = frozenset(
        number
        for number, one in enumerate(found)
        if one.match and all((number, column.name) in held for column in one.match)
    )
    return _Plan(found, links, unwound(found, links, deferrable), linked, held, registry)


async def _unchanged(connection: CatalogConnection, grant: Grant, kept: tuple[Kept, ...], plan: _Plan) -> None:
    """Refused where a migration ran since the tables were looked at, and what references them."""
    now = await introspect(connection, 1)
    links = tuple(references(now, tuple(one.kept for one in plan.tables)))
    if ordered(now, selected(now, grant, await around(connection, grant))) != kept or links != plan.links:
        raise Refused(["the tables were altered meanwhile; try again"])


async def _within(
    connection: CatalogConnection,
    grant: Grant,
    manifest: Manifest,
    plan: _Plan,
    mode: Mode,
    dry_run: bool,
    triggers: bool,
    told: Callable[[Progress], None],
) -> Restored:
    writing = Writing(connection, grant, plan.tables, plan.links, plan.order, plan.registry)
    left = await writing.leave(mode)
    anew = await renumbered(connection, grant, plan.tables, plan.linked, plan.held, left, dry_run)
    await check_shared(connection, plan.tables, plan.links)
    if dry_run:
        found = await writing.differences(mode)
    else:
        async with nullcontext() if triggers else silenced(connection, [one.kept for one in plan.tables]):
            found = await writing.write(mode, told)
        await passed(connection, grant, manifest.sequences, plan.tables)
    return Restored({plan.tables[number].title: one for number, one in sorted(found.items())}, anew)
