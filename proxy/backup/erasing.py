"""`erase`: a tenant's rows are gone from the live tables, in one transaction; afterwards that is looked at once more.

Promises: no row of another tenant or table goes along, and none that references the tenant's rows is left without them:
that is a refusal. Shared tables lose the tenant's rows, those that reference others first and a ring in one statement;
a schema of its own is dropped; in a database of its own every table is emptied. Nothing is done where anything remains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from proxy.backup.clearing import OUTSIDE
from proxy.backup.neighbours import Around, around
from proxy.backup.ordering import rings
from proxy.backup.progress import Progress
from proxy.backup.reading import counted, defined
from proxy.backup.refusal import Refused
from proxy.backup.remains import Remain, remaining
from proxy.backup.rowhash import found_by
from proxy.backup.selection import Kept, Reference, ordered, references, selected, title
from proxy.backup.snapshot import WRITING, lock, opened, taken
from proxy.backup.triggers import silenced
from proxy.backup.tying import check_ties, tie
from proxy.catalog.finding import identifier
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

PASSES = 4  # a trigger may write into a table that is empty already; it ends or it is refused
BEGUN = """
SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text AS transaction,
       pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS time
"""
SERVER = """
SELECT s.system_identifier::pg_catalog.text AS system, pg_catalog.current_database()::pg_catalog.text AS database,
       current_user::pg_catalog.text AS role, pg_catalog.inet_server_port() AS port,
       pg_catalog.host(pg_catalog.inet_server_addr()) AS host
  FROM pg_catalog.pg_control_system() s
"""

Quiet = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done, or in a dry run would be. tables: rows that went, by table. registered: tables whose one row, the
    registration, was left. transaction, time, lsn: of the erasure, the position where its WAL ends, "" in a dry run.
    seen: when it was looked at once more, likewise. system, role, database, version: of the server; host and port as it
    knows them itself, None at a socket.
    """

    tables: Mapping[str, int]
    registered: tuple[str, ...]
    remains: tuple[Remain, ...]
    transaction: str = ""
    time: str = ""
    lsn: str = ""
    seen: str = ""
    system: str = ""
    role: str = ""
    database: str = ""
    version: int = 0
    host: str | None = None
    port: int | None = None


async def erase(
    place: Place,
    grant: Grant,
    dry_run: bool = False,
    keep_registration: bool = False,
    triggers: bool = True,
    quiet: Quiet = nullcontext,
    told: Callable[[Progress], None] = lambda _: None,
) -> Erased:
    """quiet: nothing of the tenant runs in its block, or is begun before the second look. triggers: whether they fire.

    Errors: those of proxy.catalog.watch.FAILURES; Refused, which says so when it was found after the erasure.
    """
    connection = await opened(place, WRITING)
    gone = ""  # the transaction that did it
    try:
        async with nullcontext() if dry_run else quiet():
            expected = await _found(connection, grant, keep_registration)
            if not expected and grant.policy.isolation in ("row", "rls"):
                raise Refused([f"no table has rows of {grant.tenant} by the rules, so that nothing could be erased"])
            transaction = connection.transaction(isolation="repeatable_read")
            await transaction.start()
            try:
                # It takes no snapshot yet, so that what is looked at after it is not older.
                # TRUNCATE takes the whole lock; at once, so that no table comes with a trigger that nobody silences.
                whole = grant.policy.isolation == "database"
                mode = "ACCESS SHARE" if dry_run else "ACCESS EXCLUSIVE" if whole else "ROW EXCLUSIVE"
                await lock(connection, expected, mode=mode)
                erasing = await _Erasing.begun(connection, grant, keep_registration, expected)
                await erasing.check_others()
                found = await erasing.counts()
                begun = await connection.fetchrow(BEGUN)
                assert begun is not None
                if not dry_run:
                    # In a database of its own triggers are the tenant's, and would run as the operator.
                    async with nullcontext() if triggers and not whole else silenced(connection, erasing.kept):
                        await erasing.erase(found, told)
            except BaseException:
                await transaction.rollback()
                raise
            if dry_run:
                await transaction.rollback()
                _, remains = await _looked(place, erasing, keep_registration, None, None)
                return Erased(found, erasing.registered, remains)
            await transaction.commit()
            gone = begun["transaction"]
            lsn = await connection.fetchval("SELECT pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text")
            server = await connection.fetchrow(SERVER)
            assert server is not None
            seen, remains = await _looked(place, erasing, keep_registration, lsn, dict(server))
            version = erasing.catalog.server_version
            return Erased(
                found, erasing.registered, remains, gone, begun["time"], lsn, seen, version=version, **dict(server)
            )
    except Exception as error:
        if gone:
            why = error.problems[0] if isinstance(error, Refused) else str(error)
            raise Refused([f"transaction {gone} erased it, and then: {why}; erase once more, for a receipt"]) from error
        raise
    finally:
        await connection.close()


def _picked(grant: Grant, keep: bool, catalog: Catalog, near: Around) -> tuple[Kept, ...]:
    """Without the table of registrations, where that is kept."""
    kept = ordered(catalog, selected(catalog, grant, near))
    return tuple(one for one in kept if not (keep and _registry(one)))


async def _found(connection: CatalogConnection, grant: Grant, keep: bool) -> tuple[Kept, ...]:
    return _picked(grant, keep, await introspect(connection, 1), await around(connection, grant))


def _registry(kept: Kept) -> bool:
    """Does it have one row of each tenant, by its key alone?"""
    return kept.column is not None and found_by(kept.relation, kept.columns) == (kept.column,)


async def _looked(
    place: Place, erasing: _Erasing, keep: bool, lsn: str | None, server: Mapping[str, object] | None
) -> tuple[str, tuple[Remain, ...]]:
    """The second look, by another connection: when it was, and what remains. Refused where it finds a row, or another
    server than that of the erasure. lsn: where its WAL ends; server: what SERVER told; None: there was none.
    """
    grant = erasing.grant
    async with taken(place, grant, partial(_picked, grant, keep)) as snapshot:
        there = await snapshot.connection.fetchrow(SERVER)
        if server is not None and (there is None or there["system"] != server["system"]):
            raise Refused(["the second look would be at another server"])
        left = await _left(snapshot.connection, grant, snapshot.catalog, snapshot.kept)
        if left and lsn is not None:
            raise Refused([f"there are rows again, in {', '.join(left)}"])
        near = await around(snapshot.connection, grant)
        told = await remaining(snapshot.connection, grant, erasing.kept, snapshot.catalog, lsn, near)
        return snapshot.time, told


async def _left(connection: CatalogConnection, grant: Grant, catalog: Catalog, kept: Sequence[Kept]) -> list[str]:
    """The tables that have rows of the tenant."""
    return [title(one.relation) for one in kept if await _any(connection, grant, catalog, one)]


async def _any(connection: CatalogConnection, grant: Grant, catalog: Catalog, kept: Kept) -> bool:
    if defined(kept):
        return await counted(connection, grant, catalog, kept) > 0
    return bool(await connection.fetchval(f"SELECT EXISTS ({kept.rows(grant)})"))


@dataclass(frozen=True, slots=True)
class _Erasing:
    """In its transaction."""

    connection: CatalogConnection
    grant: Grant
    catalog: Catalog
    near: Around
    kept: tuple[Kept, ...]
    links: tuple[Reference, ...]
    registered: tuple[str, ...]

    @classmethod
    async def begun(
        cls, connection: CatalogConnection, grant: Grant, keep: bool, expected: tuple[Kept, ...]
    ) -> _Erasing:
        """Refused where the tables that were locked are not those any more."""
        catalog, near = await introspect(connection, 1), await around(connection, grant)
        kept = _picked(grant, keep, catalog, near)
        if kept != expected:
            raise Refused(["the tables were altered meanwhile; try again"])
        registered = tuple(title(one.relation) for one in selected(catalog, grant, near) if keep and _registry(one))
        return cls(connection, grant, catalog, near, kept, tuple(references(catalog, kept)), registered)

    @property
    def shared(self) -> bool:
        return self.grant.policy.isolation in ("row", "rls")

    async def counts(self) -> dict[str, int]:
        """Rows by table."""
        found = {}
        for one in self.kept:
            found[title(one.relation)] = await counted(self.connection, self.grant, self.catalog, one)
        return found

    async def check_others(self) -> None:
        """Refused where a row that is not the tenant's references one that is."""
        if not self.shared:
            return
        check_ties(self.links, self.grant, self.near, self.catalog)
        problems = []
        for link in self.links:
            if link.parent is None:
                continue
            parent, source = self.kept[link.parent], f"{identifier(link.holder.schema)}.{identifier(link.holder.name)}"
            same = await tie(self.connection, link, "l", "p")
            others = "" if link.child is None else f" AND NOT ({self.kept[link.child].owned(self.grant, 'l')})"
            only = "" if link.holder.kind == "p" else "ONLY "
            count = await self.connection.fetchval(
                f"SELECT pg_catalog.count(*) FROM {only}{source} l JOIN {parent.only} p ON {same}"
                f" WHERE {parent.owned(self.grant, 'p')}{others}"
            )
            if count:
                problems.append(
                    f"{count} rows of {title(link.holder)} that the rules do not give to"
                    f" {self.grant.tenant} reference its rows of {title(parent.relation)}"
                )
        if problems:
            raise Refused(problems)

    async def erase(self, found: Mapping[str, int], told: Callable[[Progress], None]) -> None:
        """Does it. Refused where something is left, or something else would go along."""
        if self.grant.policy.isolation == "schema":
            await self._drop()
        elif self.grant.policy.isolation == "database":
            if self.kept:
                await self.connection.execute(f"TRUNCATE {', '.join(one.only for one in self.kept)}")
            if left := await _left(self.connection, self.grant, self.catalog, self.kept):
                raise Refused([f"there are rows yet, in {', '.join(left)}"])
        else:
            await self._delete(sum(found.values()), told)

    async def _drop(self) -> None:
        schema = self.grant.policy.schema
        before = {row["name"] for row in await self.connection.fetch(OUTSIDE, schema)}
        await self.connection.execute(f"DROP SCHEMA {identifier(schema)} CASCADE")
        lost = before - {row["name"] for row in await self.connection.fetch(OUTSIDE, schema)}
        if lost:
            names = ", ".join(sorted(lost)[:5])
            raise Refused([f"outside the schema {schema} there depends on what is in it: {names}"])

    async def _delete(self, expected: int, told: Callable[[Progress], None]) -> None:
        edges: dict[int, list[int]] = {number: [] for number in range(len(self.kept))}
        for link in self.links:
            if link.child is not None and link.parent is not None:
                edges[link.child].append(link.parent)
        done, left = 0, list[str]()
        for _ in range(PASSES):
            for group in reversed(rings(edges)):
                # A ring is one statement: the server looks at foreign keys at its end, even at those of RESTRICT.
                parts = ", ".join(
                    f"d{number} AS (DELETE FROM {self.kept[number].only} WHERE {self.kept[number].owned(self.grant)}"
                    " RETURNING 1)"
                    for number in group
                )
                counted = " UNION ALL ".join(f"SELECT pg_catalog.count(*) AS n FROM d{number}" for number in group)
                count = await self.connection.fetchval(f"WITH {parts} SELECT pg_catalog.sum(q.n) FROM ({counted}) q")
                done += int(count)
                told(Progress("erase", min(done, expected), 0, expected, self.kept[group[0]].relation.name))
            await self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            left = await _left(self.connection, self.grant, self.catalog, self.kept)
            if not left:
                return
        raise Refused([f"triggers keep or write rows of {', '.join(left)}; try --triggers off"])
