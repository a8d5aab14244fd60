"""Database: one database as clients' connections use it: its picture, its planner, and the processes behind it.

A long text is planned in one process only, however many clients send it (single flight). Who waits for that always gets
an answer, also when the place is closed meanwhile. Decides nothing about SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from proxy.catalog.flight import landed
from proxy.catalog.model import Catalog
from proxy.catalog.parts import PartWatch
from proxy.catalog.watch import CatalogWatch, WatchStatistics
from proxy.errors import CannotConnectNow
from proxy.fleet.planning import PlannerProcesses
from proxy.sql.cache import CacheStatistics
from proxy.sql.plan import PlanContext, Planned
from proxy.sql.planner import Planner


@dataclass(frozen=True, slots=True)
class DatabaseStatistics:
    """One database: what its plan cache and its catalog watch count. tenants: whose own pictures are in memory, where
    there are such.
    """

    name: str
    plans: CacheStatistics
    catalog: WatchStatistics
    tenants: int | None = None


@dataclass(slots=True, eq=False, weakref_slot=True)
class Database:
    """One database as clients' connections use it (server.services.Planning)."""

    name: str
    watch: CatalogWatch | PartWatch
    planner: Planner
    processes: PlannerProcesses
    flights: dict[object, asyncio.Task[Planned]] = field(default_factory=dict)

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
        low: bool = False,
    ) -> Planned:
        """Plans in a planner process. Refusal when it takes too long or the process fails or is closed. spent: told
        once how many seconds it took; of those who wait for the same, the first is told, and the others that it took
        none. low: in the one of low priority; who asks otherwise does not wait for that.
        """
        types = tuple(parameter_types)
        key = (text, context.identity, context.catalog_version, types, extended, low)
        flight = self.flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._plan_elsewhere(text, context, types, extended, spent, low), name="plan")
            self.flights[key] = flight
            flight.add_done_callback(lambda done: self._planned(key, done))
        elif spent is not None:
            spent(0.0)
        if not await landed(flight):  # the processes are closed
            raise CannotConnectNow("the database system is shutting down")
        return flight.result()

    def _planned(self, key: object, done: asyncio.Task[Planned]) -> None:
        self.flights.pop(key, None)
        if not done.cancelled():
            done.exception()  # nobody may be left who waits for it

    async def _plan_elsewhere(
        self,
        text: bytes,
        context: PlanContext,
        types: tuple[int, ...],
        extended: bool,
        spent: Callable[[float], None] | None,
        low: bool,
    ) -> Planned:
        planned = await self.processes.plan(self.name, self.catalog, text, context, types, extended, spent, low)
        self.planner.remember(text, context, types, extended, planned)
        return planned

    async def refresh(self, seen: int) -> bool:
        """Looks at the database again; True when its catalog is another than that of version `seen`, whoever found it
        changed and when.
        """
        return (await self.watch.refresh()).version != seen

    def statistics(self) -> DatabaseStatistics:
        """A snapshot."""
        return DatabaseStatistics(self.name, self.planner.statistics(), self.watch.statistics())

    async def close(self) -> None:
        """Ends the watch. What is being planned ends by itself: sessions may still be in a transaction there."""
        await self.watch.close()
