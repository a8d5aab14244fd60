"""Databases: for each server and database that the rules name, its catalog, its planner and the processes behind it.

`reconcile` follows the rules: what is new is opened and checked before anything is given up, so that a reload that
fails changes
nothing. A long text is planned in one process only, however many clients send it (single flight). Decides nothing
about SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from proxy.catalog.examination import Examination
from proxy.catalog.finding import Finding
from proxy.catalog.model import Catalog
from proxy.catalog.watch import FAILURES, CatalogWatch, WatchStatistics
from proxy.errors import CannotConnectNow, ConfigurationError
from proxy.fleet.planning import PlannerProcesses
from proxy.sql.cache import CacheStatistics
from proxy.sql.plan import PlanContext, Planned
from proxy.sql.planner import Planner
from proxy.tenancy.policy import Credentials, Grant, Server

RETRY = 1.0  # seconds between two attempts to open what is closed
Place = tuple[Server, Credentials]


@dataclass(frozen=True, slots=True)
class DatabaseStatistics:
    """One database: what its plan cache and its catalog watch count."""

    name: str
    plans: CacheStatistics
    catalog: WatchStatistics


@dataclass(slots=True, eq=False)
class Database:
    """One database as clients' connections use it (server.services.Planning)."""

    name: str
    watch: CatalogWatch
    planner: Planner
    processes: PlannerProcesses
    flights: dict[object, asyncio.Future[Planned]] = field(default_factory=dict)

    @property
    def catalog(self) -> Catalog:
        """The present picture."""
        return self.planner.catalog

    def lookup(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned | None:
        """The plans of a text that was planned before."""
        return self.planner.lookup(text, context, parameter_types, extended)

    def plan(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned:
        """Plans at once."""
        return self.planner.plan(text, context, parameter_types, extended)

    async def wait_plan(
        self,
        text: bytes,
        context: PlanContext,
        parameter_types: Sequence[int] = (),
        extended: bool = False,
        spent: Callable[[float], None] | None = None,
    ) -> Planned:
        """Plans in a planner process. Refusal when it takes too long or the process fails. spent: told once how many
        seconds it took; of those who wait for the same, the first is told, and the others that it took none.
        """
        types = tuple(parameter_types)
        key = (text, context.identity, context.catalog_version, types, extended)
        flight = self.flights.get(key)
        if flight is None:
            flight = asyncio.ensure_future(self._plan_elsewhere(text, context, types, extended, spent))
            self.flights[key] = flight
            flight.add_done_callback(lambda _: self.flights.pop(key, None))
        elif spent is not None:
            spent(0.0)
        return await asyncio.shield(flight)  # who stops waiting does not stop the others' planning

    async def _plan_elsewhere(
        self,
        text: bytes,
        context: PlanContext,
        types: tuple[int, ...],
        extended: bool,
        spent: Callable[[float], None] | None,
    ) -> Planned:
        planned = await self.processes.plan(self.name, self.catalog, text, context, types, extended, spent)
        self.planner.remember(text, context, types, extended, planned)
        return planned

    async def refresh(self) -> bool:
        """Looks at the database again; True when its catalog changed."""
        before = self.catalog.version
        return (await self.watch.refresh()).version != before

    def statistics(self) -> DatabaseStatistics:
        """A snapshot."""
        return DatabaseStatistics(self.name, self.planner.statistics(), self.watch.statistics())

    async def close(self) -> None:
        """Ends the watch and what is being planned."""
        flights = list(self.flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await self.watch.close()


class Databases:
    """Every database of the rule book in force. Sizes in bytes, times in seconds."""

    def __init__(
        self,
        cache_bytes: int,
        refresh_interval: float,
        processes: PlannerProcesses,
        report: Callable[[list[str]], None] = lambda problems: None,
        judge: Callable[[Grant, Catalog, Examination], Sequence[Finding]] = lambda *examined: (),
    ) -> None:
        """report: told why a tenant's own database stays closed. judge: what is wrong with a shared one's schema."""
        self._cache_bytes = cache_bytes
        self._interval = refresh_interval
        self._processes = processes
        self._report = report
        self._judge = judge
        self._open: dict[Place, Database] = {}
        self._closed: dict[Place, Grant] = {}  # of tenants alone, and could not be opened yet
        self._opening: asyncio.Task[None] | None = None

    def of(self, grant: Grant) -> Database:
        """The database of a grant. CannotConnectNow (57P03) when it is not open."""
        place = (grant.server, grant.credentials)
        found = self._open.get(place)
        if found is None:
            if place in self._closed and self._opening is None:
                self._opening = asyncio.create_task(self._try_again(), name="open databases")
            raise CannotConnectNow("the database system is starting up")
        return found

    async def reconcile(self, grants: Iterable[Grant]) -> None:
        """Opens what `grants` name and closes what they do not. ConfigurationError with every problem; then nothing
        has changed. A database or schema of a tenant's own that cannot be opened is that tenant's trouble, and so is a
        server that only tenants' own documents name: it is reported, stays closed, and is tried again when somebody
        asks for it.
        """
        # Ten thousand tenants share few places: most are told apart before any is hashed.
        distinct = {(id(grant.server), id(grant.credentials)): grant for grant in grants}.values()
        wanted = {(grant.server, grant.credentials): grant for grant in distinct}
        missing = [place for place in wanted if place not in self._open]
        opened = await asyncio.gather(*(self._start(wanted[place]) for place in missing), return_exceptions=True)
        results = dict(zip(missing, opened, strict=True))
        needed = {(one.server, one.credentials) for one in distinct if not _of_tenants(one)}
        trouble = {
            place: one.problems
            for place, one in results.items()
            if isinstance(one, ConfigurationError) and place not in needed
        }
        failed = [one for place, one in results.items() if isinstance(one, BaseException) and place not in trouble]
        if failed:
            await asyncio.gather(*(one.close() for one in opened if isinstance(one, Database)))
            problems = [line for one in failed for line in _problems(one)]
            raise ConfigurationError(problems)
        new = {place: one for place, one in results.items() if isinstance(one, Database)}
        left = [one for place, one in self._open.items() if place not in wanted]
        self._open = {**{place: one for place, one in self._open.items() if place in wanted}, **new}
        self._closed = {place: wanted[place] for place in trouble}
        await asyncio.gather(*(one.close() for one in left))
        for problems in trouble.values():
            self._report(problems)

    async def _try_again(self) -> None:
        """Opens what is closed, if it can be; at most one round at a time, and RETRY seconds apart."""
        try:
            for place, grant in list(self._closed.items()):
                try:
                    database = await self._start(grant)
                except ConfigurationError as error:
                    self._report(error.problems)
                    continue
                if self._closed.get(place) is grant:
                    del self._closed[place]
                    self._open[place] = database
                else:  # the rules have changed meanwhile
                    await database.close()
            if self._closed:
                await asyncio.sleep(RETRY)
        finally:
            self._opening = None

    async def _start(self, grant: Grant) -> Database:
        server, name = grant.server, grant.database
        own = grant.policy.isolation == "database"
        schemas = grant.policy.path if grant.policy.isolation == "schema" else ()
        watch = CatalogWatch(
            server, grant.credentials, own=own, schemas=schemas, keys=grant.wall_keys, interval=self._interval
        )
        try:
            catalog = await watch.start()
        except FAILURES as error:
            raise ConfigurationError([f"database {name}: {error}"]) from error
        problems = [f"{one.text}. Remedy: {one.remedy}" for one in watch.findings if one.severity == "critical"]
        if watch.examination is not None:
            judged = self._judge(grant, catalog, watch.examination)
            problems += [
                f"{one.text}. Remedy{f', or else accept {one.name}' if one.acceptable else ''}: {one.remedy}"
                for one in judged
            ]
        if problems:
            await watch.close()
            raise ConfigurationError([f"database {name}: {one}" for one in problems])
        planner = Planner(catalog, self._cache_bytes)
        watch.subscribe(planner.replace_catalog)
        return Database(f"{server.role}@{server.host}:{server.port}/{server.database}", watch, planner, self._processes)

    def statistics(self) -> Mapping[str, DatabaseStatistics]:
        """Snapshots by name."""
        return {one.name: one.statistics() for one in self._open.values()}

    async def close(self) -> None:
        """Closes all of them and the planner processes."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        every, self._open = list(self._open.values()), {}
        await asyncio.gather(*(one.close() for one in every))
        await self._processes.close()


def _of_tenants(grant: Grant) -> bool:
    """Is it the tenant's trouble alone when its place cannot be opened?"""
    return grant.routed or grant.policy.own_role


def _problems(error: BaseException) -> list[str]:
    if isinstance(error, ConfigurationError):
        return error.problems
    raise error
