"""One database as clients use it: what is planned elsewhere is kept, and a look says whether anything changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from proxy.catalog.watch import WatchStatistics
from proxy.errors import CannotConnectNow
from proxy.fleet.database import Database
from proxy.fleet.planning import PlannerProcesses
from proxy.sql.planner import Planner
from proxy.sql.world import World
from tests.sql.test_planner import context_of


class Watch:
    """A watch whose picture changes when a test says so."""

    def __init__(self, catalog: Any) -> None:
        self.current = catalog
        self.closed = False

    async def refresh(self) -> Any:
        return self.current

    def statistics(self) -> WatchStatistics:
        return WatchStatistics(1, 0, 0, 0, "")

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def database(world: World) -> Database:
    watch = cast("Any", Watch(world.catalog))
    return Database("d", watch, Planner(world.catalog, 1 << 20), PlannerProcesses(1, 30))


async def test_what_a_process_planned_is_found_at_once_afterwards(database: Database, world: World) -> None:
    text, context = b"SELECT count(*) FROM orders", context_of(world)
    assert database.lookup(text, context) is None
    planned = await database.wait_plan(text, context)
    found = database.lookup(text, context)
    assert found is not None
    assert found.plans == planned.plans
    assert database.statistics().plans.entries == 1
    await database.processes.close()


async def test_a_look_says_whether_the_picture_is_another(database: Database, world: World) -> None:
    assert not await database.refresh(world.catalog.version)
    database.planner.replace_catalog(world.catalog)
    cast("Any", database.watch).current = type("Newer", (), {"version": world.catalog.version + 1})()
    assert await database.refresh(world.catalog.version)


async def test_a_picture_that_came_between_the_plan_and_the_look_is_another_too(
    database: Database, world: World
) -> None:
    """A migration told by NOTIFY: a statement was refused by the old picture in the same turn of the loop."""
    newer = replace(world.catalog, version=world.catalog.version + 1)
    database.planner.replace_catalog(newer)
    cast("Any", database.watch).current = newer
    assert await database.refresh(world.catalog.version)
    assert not await database.refresh(newer.version)


async def test_what_is_being_planned_when_it_is_closed_is_planned_to_the_end(database: Database, world: World) -> None:
    """A transaction goes on at a place that the rules in force do not name any more."""
    waiting = asyncio.create_task(database.wait_plan(b"SELECT 1", context_of(world)))
    await asyncio.sleep(0)
    await database.close()
    assert cast("Any", database.watch).closed
    async with asyncio.timeout(20):
        planned = await waiting
    assert planned.rejection is None
    await database.processes.close()


@pytest.mark.parametrize("asked", [False, True])  # a process, by then
async def test_who_waits_for_a_plan_when_the_processes_are_closed_is_told_so(
    database: Database, world: World, asked: bool
) -> None:
    waiting = [asyncio.create_task(database.wait_plan(b"SELECT 1", context_of(world))) for _ in range(3)]
    await asyncio.sleep(0)
    if asked:
        await asyncio.sleep(0)
    assert bool(database.processes._asked) == asked
    waiting[0].cancel()
    await database.close()
    await database.processes.close()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in answers] == [asyncio.CancelledError, CannotConnectNow, CannotConnectNow]
    assert database.flights == {}
