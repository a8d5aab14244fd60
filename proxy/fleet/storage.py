"""Storages: what each tenant has stored, counted again and again where a rule limits it.

A database is counted when any of its tenants has the quota `storage`; then all of them are, in one go, over a
connection of its own and one database after the other. A count that fails leaves the last one standing, and is told
and counted. Of several workers one counts, and the others ask it. Decision 0057.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from proxy.catalog.model import Catalog
from proxy.catalog.storage import Counted, database_of, rows_of, schemas_of
from proxy.catalog.watch import FAILURES
from proxy.errors import CannotConnectNow
from proxy.quota.storage import NAME, Storage
from proxy.sql.world import World
from proxy.tenancy.policy import Grant, Policy

INTEGER = re.compile(r"[-+]?[0-9]+")
DIGITS = re.compile(r"[0-9a-f]{32}")  # of a UUID
LENDERS = 3  # logins that are tried, where any tenant's will do
OWN, SCHEMA = "database", "schema"
SOON = 5.0  # seconds until another worker is asked again that has not counted yet
Told = Callable[[], Awaitable[Mapping[str, int] | None]]
"""Bytes by tenant, as another worker has counted them; None: it has not yet. Errors: OSError."""


@dataclass(frozen=True, slots=True)
class StorageStatistics:
    """Bytes by tenant, as of the last count; counts since the start, and those that failed."""

    used: Mapping[str, int]
    counts: int = 0
    failures: int = 0


class Storages:
    """Of the rule book in force. interval: seconds between two counts."""

    def __init__(
        self,
        interval: float,
        catalog: Callable[[Grant], Catalog],
        report: Callable[[str, str], None],
        told: Told | None = None,
    ) -> None:
        """catalog: of a grant's database; CannotConnectNow when it is not open. report: database, and why not. told:
        who counts instead.
        """
        self._interval = interval
        self._catalog = catalog
        self._report = report
        self._told = told
        self._tenants: dict[str, Storage] = {}
        self._places: dict[Hashable, list[Grant]] = {}  # where to count, and whose
        self._task: asyncio.Task[None] | None = None
        self._counts = self._failures = 0
        self.counted = False  # every place at least once, by this process

    def of(self, grant: Grant) -> Storage:
        """What the tenant has stored; the same object for all its sessions."""
        found = self._tenants.get(grant.tenant)
        if found is None:
            found = self._tenants[grant.tenant] = Storage()
        limits = grant.limits
        if found.limit != limits.storage or found.warns is not (NAME in limits.warn):
            found.hold_to(limits.storage, NAME in limits.warn)
        return found

    def follow(self, grants: Iterable[Grant]) -> None:
        """These grants hold from now on; the first count begins at once."""
        near: dict[tuple[int, int], list[Grant]] = {}  # ten thousand tenants share few places, which are slow to hash
        for grant in grants:
            near.setdefault((id(grant.server), id(grant.credentials)), []).append(grant)
        places: dict[Hashable, list[Grant]] = {}
        for many in near.values():
            places.setdefault(_place(many[0]), []).extend(many)
        limited = {place for place, many in places.items() if any(one.limits.storage is not None for one in many)}
        self._places = {place: many for place, many in places.items() if place in limited}
        counted = {grant.tenant for many in self._places.values() for grant in many}
        for tenant in [one for one in self._tenants if one not in counted]:
            self._tenants[tenant].keep({})
        if self._places and self._task is None:
            self._task = asyncio.create_task(self._run(), name="count storage")

    def forget(self, tenant: str) -> None:
        """No rules name it."""
        self._tenants.pop(tenant, None)

    def statistics(self) -> StorageStatistics:
        """A snapshot."""
        tenants = {grant.tenant for many in self._places.values() for grant in many}
        used = {one: self._tenants[one].used for one in sorted(tenants) if one in self._tenants}
        return StorageStatistics(used, self._counts, self._failures)

    async def close(self) -> None:
        """Ends the counting."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            counted = await self.count()
            await asyncio.sleep(self._interval if counted else min(self._interval, SOON))

    async def count(self) -> bool:
        """Every place once. False: the worker that counts could not be asked, or has not counted yet."""
        if self._told is not None:
            return await self._listen(self._told)
        for place, grants in list(self._places.items()):
            self._counts += 1
            try:
                await self._count(place, grants)
            except (*FAILURES, CannotConnectNow) as problem:
                self._failures += 1
                self._report(grants[0].database, str(problem) or type(problem).__name__)
        self.counted = True
        return True

    async def _listen(self, told: Told) -> bool:
        try:
            found = await told()
        except OSError as problem:
            self._failures += 1
            self._report("", str(problem) or type(problem).__name__)
            return False
        if found is None:
            return False
        for grant in {grant.tenant: grant for grants in self._places.values() for grant in grants}.values():
            self.of(grant).keep({})
            self.of(grant).counted("", found.get(grant.tenant, 0))
        return True

    async def _count(self, place: Hashable, grants: list[Grant]) -> None:
        server, credentials = grants[0].server, grants[0].credentials
        if grants[0].policy.isolation == OWN:
            self.of(grants[0]).counted(place, await database_of(server, credentials))
            return
        if grants[0].policy.isolation == SCHEMA:
            sizes = await _schemas(grants)
            for grant in {grant.tenant: grant for grant in grants}.values():
                self.of(grant).counted(place, sizes.get(grant.policy.schema, 0))
            return
        relations = relations_of(grants[0].policy, self._catalog(grants[0]))
        found = await rows_of(server, credentials, relations)
        for grant in {grant.tenant: grant for grant in grants}.values():
            size = sum(found.get((key, spelt(value)), 0) for key, value in grant.keys.items())
            self.of(grant).counted(place, size)


def _place(grant: Grant) -> Hashable:
    """What is counted in one go: of tenants with a schema each in one database, whatever their logins, that one."""
    server = grant.server
    if grant.policy.isolation == SCHEMA:
        return server.addresses, server.target, server.database
    return server, grant.credentials


async def _schemas(grants: list[Grant]) -> Mapping[str, int]:
    """Bytes by schema, by the login of whoever can be logged in as. FAILURES."""
    schemas = sorted({grant.policy.schema for grant in grants})
    logins = list({grant.server: grant for grant in grants}.values())[:LENDERS]
    for grant in logins[:-1]:
        with suppress(*FAILURES):
            return await schemas_of(grant.server, grant.credentials, schemas)
    return await schemas_of(logins[-1].server, logins[-1].credentials, schemas)


def spelt(value: str) -> str:
    """A key as the server writes it: numbers and UUIDs in one way only."""
    text = value.strip()
    if INTEGER.fullmatch(text):
        return str(int(text))
    digits = re.sub(r"[-{}]", "", text).lower()
    return str(UUID(digits)) if DIGITS.fullmatch(digits) else value


def relations_of(policy: Policy, catalog: Catalog) -> list[Counted]:
    """The relations of a database that hold tenants' rows; a partition is counted with what it is part of."""
    world = World(policy, catalog)
    found = []
    for relation in catalog.relations.values():
        if relation.kind not in "rp" or relation.is_partition:
            continue
        seen = world.relation(relation.schema, relation.name)
        if seen is not None and seen.access == "tenant" and seen.column is not None:
            found.append(Counted(relation, seen.column.name, seen.key))
    return found
