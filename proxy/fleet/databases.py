"""Databases: for each server and database that the rules name, its catalog, its planner and the processes behind it.

`reconcile` follows the rules: what is new is opened and checked before anything is given up, so that a reload that
fails changes nothing. Tenants with a schema each in one database are neighbours (neighbours.py), and opened when they
come. Decides nothing about SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from proxy.catalog.examination import Examination
from proxy.catalog.finding import Finding
from proxy.catalog.model import Catalog
from proxy.catalog.watch import FAILURES, CatalogWatch
from proxy.errors import CannotConnectNow, ConfigurationError
from proxy.fleet import neighbours
from proxy.fleet.database import Database, DatabaseStatistics
from proxy.fleet.neighbours import Neighbours
from proxy.fleet.planning import PlannerProcesses
from proxy.sql.planner import Planner
from proxy.tenancy.policy import Credentials, Grant, Server

RETRY = 1.0  # seconds between two attempts to open what is closed
SCHEMA = "schema"
Place = tuple[Server, Credentials, str, tuple[tuple[str, str], ...]]


async def _nothing() -> None: ...


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
        self._neighbours: dict[neighbours.Place, Neighbours] = {}

    def of(self, grant: Grant) -> Database:
        """The database of a grant. CannotConnectNow (57P03) when it is not open."""
        if grant.policy.isolation == SCHEMA:
            return self._beside(grant).of(grant)
        place = _place_of(grant)
        found = self._open.get(place)
        if found is None:
            if place in self._closed and self._opening is None:
                self._opening = asyncio.create_task(self._try_again(), name="open databases")
            raise CannotConnectNow("the database system is starting up")
        return found

    def is_open(self, grant: Grant) -> bool:
        """Has of() it?"""
        try:
            self.of(grant)
        except CannotConnectNow:
            return False
        return True

    async def unopened(self, old: Iterable[Grant], new: Iterable[Grant]) -> list[Grant]:
        """Those of the new at other places than any of the old, which reconcile() has been told of, that cannot be
        opened now. Tenants among neighbours are, although they did not come yet.
        """
        known = {(grant.credentials, grant.place) for grant in _distinct(old)}
        there = {(grant.credentials, grant.place): grant for grant in _distinct(new)}
        closed = []
        for grant in [grant for place, grant in there.items() if place not in known]:
            try:
                await self.wait_open(grant)
                self.of(grant)  # and stays so for a while
            except CannotConnectNow:
                closed.append(grant)
        return closed

    async def wait_open(self, grant: Grant) -> None:
        """Returns when of() has it; a tenant among neighbours is opened when it comes. CannotConnectNow when not."""
        if grant.policy.isolation == SCHEMA:
            await self._beside(grant).wait_open(grant)
        else:
            self.of(grant)

    def _beside(self, grant: Grant) -> Neighbours:
        found = self._neighbours.get(neighbours.place_of(grant))
        if found is None:
            raise CannotConnectNow("the database system is starting up")
        return found

    async def reconcile(self, grants: Iterable[Grant], then: Callable[[], Awaitable[None]] = _nothing) -> None:
        """Opens what `grants` name, does what is to be done `then`, and closes what they do not name: so nobody who
        comes meanwhile finds a place closed. ConfigurationError with every problem; then nothing has changed. A
        database or schema of a tenant's own that cannot be opened is that tenant's trouble, and so is a server that
        only tenants' own documents name: it is reported, stays closed, and is tried again when somebody asks for it.
        """
        every = _distinct(grants)
        distinct = [grant for grant in every if grant.policy.isolation != SCHEMA]
        wanted = {_place_of(grant): grant for grant in distinct}
        missing = [place for place in wanted if place not in self._open]
        opened = await asyncio.gather(*(self._start(wanted[place]) for place in missing), return_exceptions=True)
        results = dict(zip(missing, opened, strict=True))
        needed = {_place_of(one) for one in distinct if not _of_tenants(one)}
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
        beside = [grant for grant in every if grant.policy.isolation == SCHEMA]
        await self._settle(beside)
        self._open |= new
        self._closed = {place: wanted[place] for place in trouble}
        for problems in trouble.values():
            self._report(problems)
        await then()
        left = [one for place, one in self._open.items() if place not in wanted]
        self._open = {place: one for place, one in self._open.items() if place in wanted}
        await asyncio.gather(*(one.close() for one in left))
        kept = {neighbours.place_of(grant) for grant in beside}
        for place in [one for one in self._neighbours if one not in kept]:
            await self._neighbours.pop(place).close()

    async def _settle(self, grants: Sequence[Grant]) -> None:
        """The tenants with schemas of their own: by what database they share."""
        places: dict[neighbours.Place, list[Grant]] = {}
        for grant in grants:
            places.setdefault(neighbours.place_of(grant), []).append(grant)
        for place, some in places.items():
            found = self._neighbours.get(place)
            if found is not None:
                await found.follow(some)
                continue
            made = Neighbours(some[0], self._cache_bytes, self._interval, self._processes, self._report)
            self._neighbours[place] = made
            await made.start(some)

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
        watch = CatalogWatch(server, grant.credentials, own=own, keys=grant.wall_keys, interval=self._interval)
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
        every: list[Database | Neighbours] = [*self._open.values(), *self._neighbours.values()]
        return {one.name: one.statistics() for one in every}

    async def close(self) -> None:
        """Closes all of them and the planner processes."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        every: list[Database | Neighbours] = [*self._open.values(), *self._neighbours.values()]
        self._open, self._neighbours = {}, {}
        await asyncio.gather(*(one.close() for one in every))
        await self._processes.close()


def _distinct(grants: Iterable[Grant]) -> Collection[Grant]:
    """One of each place. Ten thousand tenants share few: most are told apart before any is hashed."""
    return {(id(grant.server), id(grant.credentials), id(grant.policy)): grant for grant in grants}.values()


def _place_of(grant: Grant) -> Place:
    """Where, as whom, by which mode, and with which keys behind policies: with others it is opened and checked anew."""
    keys = grant.wall_keys
    return grant.server, grant.credentials, grant.policy.mode, () if keys is None else tuple(sorted(keys.items()))


def _of_tenants(grant: Grant) -> bool:
    """Is it the tenant's trouble alone when its place cannot be opened?"""
    return grant.routed or grant.policy.own_role


def _problems(error: BaseException) -> list[str]:
    if isinstance(error, ConfigurationError):
        return error.problems
    raise error
