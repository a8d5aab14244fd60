"""Neighbours: tenants with a schema and a role each in one database. What they share is read and watched once for all.

A tenant is opened by its first session: the facts about its role are checked and what is in its schema is read, over
the one connection that watches the database for all. Any tenant's login will do for that, as the catalogs are
everybody's to read. A tenant that no session has used for IDLE seconds is forgotten, picture and plans. Each has a
planner and a picture of its own; no picture holds a name of another's schema. Decision 0082.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

from proxy.catalog.connect import connect
from proxy.catalog.facts import role_facts
from proxy.catalog.finding import Finding
from proxy.catalog.flight import landed
from proxy.catalog.introspect import part_fingerprints, read_parts
from proxy.catalog.layers import Part
from proxy.catalog.model import Catalog
from proxy.catalog.parts import PartWatch
from proxy.catalog.watch import FAILURES, CatalogWatch
from proxy.errors import CannotConnectNow, ConfigurationError
from proxy.fleet.database import Database, DatabaseStatistics
from proxy.fleet.planning import PlannerProcesses
from proxy.sql.cache import PlanCache
from proxy.sql.planner import Planner
from proxy.tenancy.policy import Credentials, Grant, Server

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

IDLE = 600.0  # seconds
TOGETHER = 20  # tenants that are looked at in one go
RETRY = 1.0  # seconds between two attempts to open one
LENDERS = 3  # logins that are tried for the connection that watches
SYSTEM = ("pg_catalog",)
STARTING = "the database system is starting up"

Key = tuple[Server, Credentials, tuple[str, ...]]
"""A tenant: whose login, and the schemas that it sees, its own first."""
Place = tuple[object, ...]
"""A database, and the schemas that its tenants share."""


def place_of(grant: Grant) -> Place:
    """Whose grants are neighbours."""
    server = grant.server
    return server.addresses, server.target, server.database, grant.policy.shared_schemas


def key_of(grant: Grant) -> Key:
    """What a tenant's picture is found by."""
    return grant.server, grant.credentials, grant.policy.path


class _Seen(NamedTuple):
    """What was asked about a tenant. mark: the fingerprint of its schema, before that was read."""

    findings: tuple[Finding, ...]
    shared: Catalog
    mark: str
    part: Part


class Neighbours:
    """Of one database. report: told why a tenant stays closed. interval: seconds between two looks."""

    def __init__(
        self,
        grant: Grant,
        cache_bytes: int,
        interval: float,
        processes: PlannerProcesses,
        report: Callable[[list[str]], None],
    ) -> None:
        server = grant.server
        self.name = f"{server.host}:{server.port}/{server.database}"
        self._processes = processes
        self._report = report
        self._stale = asyncio.Event()
        schemas = grant.policy.shared_schemas or SYSTEM
        self._watch = CatalogWatch(
            server, grant.credentials, schemas=schemas, interval=interval, connector=self._connect
        )
        self._watch.subscribe(lambda catalog: self._stale.set())
        self._watch.on_look = self._stale.set
        self._cache = PlanCache(cache_bytes)
        self._grants: Mapping[Key, Grant] = {}
        self._lender: Grant | None = None  # whose login watches
        self._open: WeakValueDictionary[Key, Database] = WeakValueDictionary()  # as long as a session has it
        self._used: dict[Key, tuple[Database, float]] = {}  # and a while longer: since when
        self._opening: dict[Key, asyncio.Task[Database]] = {}
        self._failed: dict[Key, float] = {}
        self._asking: dict[Key, Grant] = {}  # who waits to be looked at
        self._answers: dict[Key, _Seen] = {}
        self._turn = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._started = False
        self._rounds: asyncio.Task[None] | None = None

    # -- for sessions

    def of(self, grant: Grant) -> Database:
        """The tenant's. CannotConnectNow (57P03) while it is not open."""
        key = key_of(grant)
        found = self._open.get(key)
        if found is None:
            raise CannotConnectNow(STARTING)
        self._used[key] = (found, asyncio.get_running_loop().time())
        return found

    async def wait_open(self, grant: Grant) -> None:
        """Opens the tenant unless it is. CannotConnectNow when it cannot be, for a reason that is reported."""
        key = key_of(grant)
        if key in self._open:
            return
        flight = self._opening.get(key)
        if flight is None:
            if asyncio.get_running_loop().time() - self._failed.get(key, float("-inf")) < RETRY:
                raise CannotConnectNow(STARTING)
            flight = self._opening[key] = asyncio.create_task(self._begin(key, grant), name=f"open {grant.tenant}")
            flight.add_done_callback(lambda done: self._begun(key, done))
        if not await landed(flight):  # it was closed
            raise CannotConnectNow(STARTING)

    def _begun(self, key: Key, done: asyncio.Task[Database]) -> None:
        self._opening.pop(key, None)
        if not done.cancelled() and done.exception() is not None:  # it was reported
            self._failed[key] = asyncio.get_running_loop().time()

    async def _begin(self, key: Key, grant: Grant) -> Database:
        try:
            await self._ready()
            seen = await self._seen(grant)
        except FAILURES as error:
            problems = error.problems if isinstance(error, ConfigurationError) else [str(error) or repr(error)]
            self._report([f"database {grant.database}, tenant {grant.tenant}: {one}" for one in problems])
            raise CannotConnectNow(STARTING) from error
        part = PartWatch(self._watch, grant.policy.schema)
        planner = Planner(part.begin(seen.shared, seen.mark, seen.part), self._cache)
        part.subscribe(planner.replace_catalog)
        database = Database(f"{grant.server.role}@{self.name}", part, planner, self._processes)
        self._open[key] = database
        self._used[key] = (database, asyncio.get_running_loop().time())
        return database

    async def _seen(self, grant: Grant) -> _Seen:
        """What is asked about a tenant, together with those who wait meanwhile; when that fails, each is asked about
        alone, as it may be another's doing. FAILURES; among them ConfigurationError, with everything for which its
        role is not fit to serve it.
        """
        key = key_of(grant)
        self._answers.pop(key, None)
        self._asking[key] = grant
        try:
            async with self._turn:
                if key in self._asking:
                    some = {one.server.role: one for one in [*list(self._asking.values())[:TOGETHER], grant]}
                    for one in some.values():  # in nobody's company again
                        self._asking.pop(key_of(one), None)
                    if len(some) > 1:
                        with suppress(*FAILURES):
                            await self._answer(some)
                if key not in self._answers:
                    await self._answer({grant.server.role: grant})
            seen = self._answers[key]
        finally:
            self._asking.pop(key, None)
            self._answers.pop(key, None)
        problems = [f"{one.text}. Remedy: {one.remedy}" for one in seen.findings if one.severity == "critical"]
        if problems:
            raise ConfigurationError(problems)
        return seen

    async def _answer(self, some: Mapping[str, Grant]) -> None:
        """By role."""
        roles = {role: one.policy.schema for role, one in some.items()}
        shared = next(iter(some.values())).policy.shared_schemas  # neighbours share the same
        found = await self._watch.ask(lambda connection: self._look_at(connection, roles, shared))
        self._answers.update({key_of(one): found[role] for role, one in some.items()})

    async def _look_at(
        self, connection: CatalogConnection, roles: Mapping[str, str], shared: Sequence[str]
    ) -> dict[str, _Seen]:
        findings = await role_facts(connection, roles, "schema", shared)
        schemas, catalog = sorted(set(roles.values())), self._watch.current
        marks = await part_fingerprints(connection, schemas)  # before the reading, as CatalogWatch
        parts = await read_parts(connection, schemas, catalog)
        return {
            role: _Seen(findings[role], catalog, marks.get(schema, ""), parts[schema]) for role, schema in roles.items()
        }

    # -- for the rules

    async def start(self, grants: Iterable[Grant]) -> None:
        """Reads what these share. What is wrong is reported, and tried again when somebody comes."""
        self._grants = {key_of(one): one for one in grants}
        self._rounds = asyncio.create_task(self._go_on(), name=f"watch {self.name}")
        try:
            await self._ready()
        except FAILURES as error:
            self._report([f"database {self.name}: {str(error) or repr(error)}"])

    async def follow(self, grants: Iterable[Grant]) -> None:
        """These are in force from now on. Tenants in use whose login or schema is another are opened anew at once."""
        wanted = {key_of(one): one for one in grants}
        busy = {self._grants[key].tenant for key in list(self._open) if key in self._grants and key not in wanted}
        self._grants = wanted
        self._used = {key: used for key, used in self._used.items() if key in wanted}
        self._failed = {key: when for key, when in self._failed.items() if key in wanted}
        if self._lender is not None and key_of(self._lender) not in wanted:
            await self._watch.reconnect()
        for key, grant in wanted.items():
            if grant.tenant in busy and key not in self._open:
                with suppress(CannotConnectNow):
                    await self.wait_open(grant)

    def statistics(self) -> DatabaseStatistics:
        """A snapshot."""
        return DatabaseStatistics(self.name, self._cache.statistics(), self._watch.statistics(), len(self._open))

    async def close(self) -> None:
        """Ends everything."""
        tasks: list[asyncio.Task[Any]] = [*self._opening.values()]
        if self._rounds is not None:
            tasks.append(self._rounds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        every = list(self._open.values())
        self._used.clear()
        await asyncio.gather(*(one.close() for one in every))
        await self._watch.close()

    # -- the connection that watches, and time

    async def _ready(self) -> None:
        async with self._starting:
            if not self._started:
                await self._watch.start()
                self._started = True

    async def _connect(self) -> CatalogConnection:
        """By the login that did last, or another's."""
        failure: Exception = ConnectionError("no tenant's login can be used")
        tried = [] if self._lender is None else [self._lender]
        tried += [one for one in self._grants.values() if one is not self._lender]
        for grant in tried[:LENDERS]:
            if key_of(grant) not in self._grants:
                continue
            try:
                connection = await connect(grant.server, grant.credentials)
            except FAILURES as error:
                failure = error
            else:
                self._lender = grant
                return connection
        self._lender = None
        raise failure

    async def _go_on(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self.round()

    async def round(self) -> None:
        """Forgets who is idle, and looks whether the others' schemas have changed."""
        latest = asyncio.get_running_loop().time() - IDLE
        for key in [key for key, (_, since) in self._used.items() if since < latest]:
            del self._used[key]
            if key not in self._open and key in self._grants:  # no session has it either
                self._cache.drop(self._grants[key].tenant)
        await self._look()

    async def _look(self) -> None:
        """All schemas are asked about in one go; those that have changed are read one by one."""
        schemas = sorted({one.schema for one in self._parts()})
        if not schemas:
            return
        with suppress(*FAILURES):  # the next round asks again, over another connection
            marks = await self._watch.ask(lambda connection: part_fingerprints(connection, schemas))
            for part in self._parts():
                await part.catch_up(marks.get(part.schema, ""))

    def _parts(self) -> list[PartWatch]:
        return [one.watch for one in list(self._open.values()) if isinstance(one.watch, PartWatch)]
