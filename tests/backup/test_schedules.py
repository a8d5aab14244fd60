"""Who is backed up when: told by a clock of the test's own, and by hands that only pretend."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.backup.labels import Label
from proxy.backup.readback import Readback
from proxy.backup.schedules import BackupFailedError, Done, Found, Hands, Key, Schedules
from proxy.tenancy.policy import BackupRule

NIGHT = BackupRule("0 2 * * *", "/b")
HOURLY = BackupRule("0 * * * *", "/b")
ACME, GLOBEX = ("acme", "shop"), ("globex", "shop")
NINE = datetime(2026, 11, 26, 9, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0


def readback(key: Key, begun: float) -> Readback:
    label = Label(*key, int(begun), sealed=False)
    return Readback("partywall 1", label.name, *key, int(begun), begun + 1.0, begun + 9.0, 9.0, 77, "ab")


class World:
    """A clock, what is at the places, and what was asked."""

    def __init__(self) -> None:
        self.now = NINE
        self.there: dict[Key, Found] = {}
        self.fails: set[Key] = set()
        self.crashes = False
        self.problem = ""
        self.turn = True
        self.held: asyncio.Event | None = None
        self.runs: list[tuple[Key, int, frozenset[int]]] = []
        self.ended: list[Key] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        hands = Hands(look=self._look, run=self._make, turn=lambda: self.turn, told=self._tell, clock=lambda: self.now)
        self.schedules = Schedules(hands, 2, 0.0)

    async def _look(self, places: Sequence[tuple[Key, BackupRule]]) -> Sequence[Found]:
        return [self.there.get(key) for key, _ in places]

    async def _make(self, key: Key, _rule: BackupRule, begun: int, crashed: frozenset[int]) -> Done:
        self.runs.append((key, begun, crashed))
        try:
            if self.held is not None:
                await self.held.wait()
        finally:
            self.ended.append(key)
        if key in self.fails:
            raise BackupFailedError(["the server is away"], self.crashes)
        return Done(f"/b/{key[0]}", readback(key, begun), 5, ("/b/old",), self.problem)

    def _tell(self, event: str, **fields: Any) -> None:
        self.told.append((event, fields))

    async def at(self, seconds: float) -> list[Key]:
        """Whose backups are begun when it is so much later than nine."""
        self.now = NINE + seconds
        before = len(self.runs)
        self.schedules.step()
        await self.settle()
        return [key for key, _, _ in self.runs[before:]]

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    def events(self) -> list[str]:
        return [event for event, _ in self.told]


@pytest.fixture
def world() -> World:
    return World()


async def test_who_has_none_is_backed_up_at_once_and_then_by_the_schedule(world: World) -> None:
    world.schedules.follow({ACME: NIGHT})
    assert await world.at(0) == [ACME]
    assert await world.at(16 * HOUR) == []
    assert await world.at(17 * HOUR) == [ACME]
    assert await world.at(17 * HOUR + 5) == []
    assert world.events() == ["made", "removed"] * 2
    assert world.told[0][1] == {
        "tenant": "acme",
        "database": "shop",
        "archive": "/b/acme",
        "moment": NINE + 1.0,
        "rows": 5,
        "size": 77,
        "sha256": "ab",
        "seconds": 9.0,
    }
    await world.schedules.close()


async def test_what_was_good_last_survives_a_restart_and_what_was_missed_is_made_once(world: World) -> None:
    world.there = {ACME: readback(ACME, NINE - 6 * HOUR), GLOBEX: readback(GLOBEX, NINE - 24 * 9 * HOUR)}
    world.schedules.follow({ACME: NIGHT, GLOBEX: NIGHT})
    assert await world.at(0) == [GLOBEX]
    assert await world.at(HOUR) == []
    ages = {one.tenant: one.age for one in world.schedules.each()}
    assert ages == {"acme": 7 * HOUR, "globex": HOUR}
    await world.schedules.close()


async def test_a_failure_is_tried_again_later_and_later_told_and_counted(world: World) -> None:
    world.there, world.fails = {ACME: readback(ACME, NINE - 24 * HOUR)}, {ACME}
    world.schedules.follow({ACME: NIGHT})
    begun = [second for second in range(0, 500, 5) if await world.at(second)]
    assert begun == [0, 60, 180, 420]
    (one,) = world.schedules.each()
    assert (one.failures, one.age) == (4, 24 * HOUR + 495)
    assert world.told[1] == (
        "failed",
        {"tenant": "acme", "database": "shop", "problems": ["the server is away"], "in_a_row": 2, "again_in": 120.0},
    )
    world.fails = set()
    assert await world.at(HOUR) == [ACME]
    assert await world.at(2 * HOUR) == []
    assert next(iter(world.schedules.each())).failures == 4
    await world.schedules.close()


async def test_a_process_that_crashed_is_told_to_the_next(world: World) -> None:
    world.fails, world.crashes = {ACME}, True
    world.schedules.follow({ACME: NIGHT})
    await world.at(0)
    await world.at(60)
    world.fails = set()
    await world.at(180)
    await world.at(24 * HOUR)
    assert [crashed for _, _, crashed in world.runs] == [
        frozenset(),
        {int(NINE)},
        {int(NINE), int(NINE) + 60},
        frozenset(),
    ]
    await world.schedules.close()


async def test_a_place_that_cannot_be_looked_at_is_a_failure_and_no_backup(world: World) -> None:
    world.there = {ACME: "the disk is not there"}
    world.schedules.follow({ACME: NIGHT})
    assert list(world.schedules.each()) == []
    assert await world.at(0) == []
    (one,) = world.schedules.each()
    assert (one.age, one.failures, one.size) == (math.inf, 1, None)
    world.there = {ACME: readback(ACME, NINE - HOUR)}
    assert await world.at(50) == []
    assert next(iter(world.schedules.each())).age == math.inf
    await world.at(60)
    assert next(iter(world.schedules.each())).age == HOUR + 60
    await world.schedules.close()


async def test_no_more_are_made_at_a_time_than_may_be_and_who_waits_longest_is_first(world: World) -> None:
    keys = [(f"t{number}", "shop") for number in range(5)]
    world.there = {key: readback(key, NINE - 30 * HOUR - number) for number, key in enumerate(keys)}
    world.held = asyncio.Event()
    world.schedules.follow(dict.fromkeys(keys, HOURLY))
    assert len(await world.at(0)) == 2
    assert await world.at(10) == []
    assert world.schedules.running == 2
    world.held.set()
    await world.settle()
    assert {key for key, _, _ in world.runs} == set(keys)
    assert len(world.runs) == 5
    await world.schedules.close()


async def test_new_rules_change_schedules_and_a_tenant_that_leaves_takes_its_along(world: World) -> None:
    world.there = {ACME: readback(ACME, NINE - 7 * HOUR)}
    world.schedules.follow({ACME: NIGHT})
    await world.at(0)
    world.runs.clear()
    world.schedules.follow({ACME: HOURLY})
    assert await world.at(1) == [ACME]
    world.held = asyncio.Event()
    assert await world.at(HOUR) == [ACME]
    world.schedules.follow({})
    await world.settle()
    assert world.ended == [ACME, ACME]
    assert world.schedules.running == 0
    assert list(world.schedules.each()) == []
    assert await world.at(9 * HOUR) == []
    await world.schedules.close()


async def test_another_place_is_looked_at_anew(world: World) -> None:
    world.there = {ACME: readback(ACME, NINE - 6 * HOUR)}
    world.schedules.follow({ACME: NIGHT})
    assert await world.at(0) == []
    world.there = {}
    world.schedules.follow({ACME: BackupRule("0 2 * * *", "/c")})
    assert await world.at(5) == [ACME]
    await world.schedules.close()


async def test_a_clock_that_was_wrong_keeps_nobody_from_being_backed_up(world: World) -> None:
    world.there = {ACME: readback(ACME, NINE - 6 * HOUR)}
    world.schedules.follow({ACME: NIGHT})
    assert await world.at(24 * 365 * HOUR) == [ACME]
    assert await world.at(60) == []
    assert await world.at(17 * HOUR) == [ACME]
    await world.schedules.close()


async def test_the_age_is_by_this_hosts_clock_whatever_the_databases_says(world: World) -> None:
    """Else one that is ahead would keep the alert silent, however long there is no backup."""
    ahead = readback(ACME, NINE - 6 * HOUR)
    world.there = {ACME: replace(ahead, moment=NINE + 24 * 365 * HOUR)}
    world.schedules.follow({ACME: NIGHT})
    await world.at(0)
    assert next(iter(world.schedules.each())).age == 6 * HOUR
    world.now = NINE - 7 * HOUR
    assert next(iter(world.schedules.each())).age == math.inf
    await world.schedules.close()


async def test_old_ones_that_stay_are_told_and_counted_as_a_failure(world: World) -> None:
    world.problem = "the database's clock is 99 s behind this host's"
    world.schedules.follow({ACME: NIGHT})
    await world.at(0)
    assert world.told[-1] == ("stays", {"tenant": "acme", "database": "shop", "problem": world.problem})
    assert next(iter(world.schedules.each())).failures == 1
    assert await world.at(60) == []
    await world.schedules.close()


async def test_whose_turn_it_is_not_does_nothing(world: World) -> None:
    world.turn = False
    world.schedules.follow({ACME: NIGHT})
    assert await world.at(0) == []
    world.turn = True
    assert await world.at(5) == [ACME]
    await world.schedules.close()


async def test_the_end_ends_what_is_being_made(world: World) -> None:
    world.held = asyncio.Event()
    world.schedules.follow({ACME: NIGHT})
    assert await world.at(0) == [ACME]
    await world.schedules.close()
    assert world.ended == [ACME]
    assert world.events() == []
