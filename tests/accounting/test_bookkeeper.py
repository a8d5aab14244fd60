"""The bookkeeper: what is counted comes into the journal whatever the disk does, and the service never waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.accounting.bookkeeper import SLICE, Bookkeeper, Keeping
from proxy.accounting.hours import SECONDS
from proxy.accounting.journal import Journal
from proxy.accounting.pending import Batch
from proxy.session.traffic import Traffic
from tests.accounting.conftest import Failing, lines, statements
from tests.kit.books import eventually
from tests.kit.builders import Recorder

HOUR = 495_000  # in 2026


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Desk:
    """A bookkeeper with everything around it."""

    def __init__(self, path: Path, failing: Failing, **keeping: Any) -> None:
        self.open = True
        self.traffic = Traffic()
        self.log = Recorder()
        self.wall, self.steady = Clock(HOUR * SECONDS + 1.0), Clock(50.0)
        self.journal = Journal(path, 1, failing.connect)
        kept = Keeping(**{"interval": 0.01, "retention": 10.0 * SECONDS, **keeping})
        self.keeper = Bookkeeper(self.journal, self.traffic.every, kept, self.log, self.wall, self.steady)

    def use(self, statements: int = 1, login: str = "app") -> None:
        counters = self.traffic.of("acme", login)
        counters.forwarded["select"] = counters.forwarded.get("select", 0) + statements
        counters.bytes_in += 10

    async def close(self) -> None:
        keeper, self.open = self.keeper, False
        await keeper.close()

    def later(self, seconds: float) -> None:
        self.wall.now += seconds
        self.steady.now += seconds

    @property
    def told(self) -> list[str]:
        return [event for _, event, _ in self.log.events]


Make = Callable[..., Desk]


@pytest.fixture
async def make(path: Path, failing: Failing) -> AsyncIterator[Make]:
    desks: list[Desk] = []

    def one(**keeping: Any) -> Desk:
        desks.append(Desk(path, failing, **keeping))
        return desks[-1]

    yield one
    failing.words = ""
    for desk in desks:
        if desk.open:
            await desk.close()


async def test_what_was_counted_is_in_the_journal_after_a_flush(make: Make, path: Path) -> None:
    desk = make()
    desk.use(3)
    desk.use(4, "report")
    assert await desk.keeper.flush()
    desk.use(1)
    assert await desk.keeper.flush()
    assert {(line.tenant, line.login): line.usage.statements for line in lines(path)} == {
        ("acme", "app"): 4,
        ("acme", "report"): 4,
    }


async def test_it_writes_by_itself(make: Make, path: Path) -> None:
    desk = make()
    desk.keeper.start()
    desk.use(3)
    assert await asyncio.to_thread(eventually, lambda: statements(path) == 3, 20)


async def test_a_journal_is_there_before_anything_is_used(make: Make, path: Path) -> None:
    make().keeper.start()
    assert await asyncio.to_thread(eventually, lambda: path.is_file() and lines(path) == [], 20)


async def test_a_journal_that_cannot_be_made_is_told_before_anything_is_used(make: Make, failing: Failing) -> None:
    desk = make(interval=1000.0)
    failing.words = "PRAGMA"
    desk.keeper.start()
    assert await asyncio.to_thread(eventually, lambda: desk.told, 20) == ["usage is not kept"]


async def test_the_last_of_it_is_written_at_the_end(make: Make, path: Path) -> None:
    desk = make(interval=1000.0)
    desk.keeper.start()
    desk.use(3)
    await desk.close()
    assert statements(path) == 3


async def test_many_logins_are_read_in_turns_and_none_is_left_out(make: Make, path: Path) -> None:
    desk = make()
    for number in range(2 * SLICE + 1):
        desk.use(1, f"login{number}")
    turns = 0
    flush = asyncio.ensure_future(desk.keeper.flush())
    while not flush.done():
        await asyncio.sleep(0)
        turns += 1
    assert await flush
    assert turns > 2
    assert statements(path) == 2 * SLICE + 1


async def test_what_is_in_the_journal_may_be_forgotten_and_what_is_counted_meanwhile_may_not(
    make: Make, path: Path, failing: Failing
) -> None:
    desk = make()
    even: list[bool] = []
    counters = desk.traffic.of("acme", "app")
    desk.keeper.on_even = lambda: even.append(desk.keeper.has(counters))
    desk.use(3)
    failing.words = "INSERT"
    assert not await desk.keeper.flush()
    assert even == []
    failing.words = ""
    assert await desk.keeper.flush()
    assert even == [True]
    desk.use(2)
    assert not desk.keeper.has(counters)
    assert await desk.keeper.flush()
    desk.keeper.forget("acme", "app", counters)
    desk.traffic.forget("acme")
    desk.use(4)  # of another tenant by that name
    assert await desk.keeper.flush()
    assert statements(path) == 9


async def test_nothing_is_written_while_nothing_is_used(make: Make, path: Path) -> None:
    desk = make()
    await desk.keeper.flush()
    assert await asyncio.to_thread(path.exists) is False


async def test_a_journal_that_fails_is_told_once_and_written_when_it_can_be(
    make: Make, path: Path, failing: Failing
) -> None:
    desk = make()
    failing.words = "COMMIT"
    for _ in range(3):
        desk.use()
        desk.later(5)
        assert not await desk.keeper.flush()
    statistics = desk.keeper.statistics()
    assert (statistics.failures, statistics.behind) == (3, 15)
    assert desk.told == ["usage is not kept"]
    failing.words = ""
    assert await desk.keeper.flush()
    assert statements(path) == 3
    assert desk.told == ["usage is not kept", "usage is kept again"]
    assert desk.keeper.statistics().behind == 0


async def test_an_end_in_the_middle_of_a_write_counts_nothing_twice(make: Make, path: Path) -> None:
    desk = make()
    reached, go_on = threading.Event(), threading.Event()
    write = desk.journal.write

    def slow(batch: Batch) -> None:
        reached.set()
        go_on.wait(20)
        write(batch)

    desk.journal.write = slow  # type: ignore[method-assign]  # the thread is to be met in the middle
    desk.use(3)
    desk.keeper.start()
    await asyncio.to_thread(reached.wait, 20)
    desk.use(4)
    go_on.set()
    await desk.close()
    assert statements(path) == 7


async def test_what_cannot_be_written_at_the_end_is_in_the_log(make: Make, failing: Failing) -> None:
    desk = make()
    desk.use(3)
    failing.words = "BEGIN"
    await desk.close()
    ((_, _, fields),) = [one for one in desk.log.events if one[1] == "usage lost"]
    assert (fields["hour"], fields["tenant"], fields["login"], fields["statements"]) == (HOUR, "acme", "app", 3)


async def test_a_disk_that_hangs_holds_up_nobody(make: Make) -> None:
    desk = make()
    go_on = threading.Event()

    def hang(_: Batch) -> None:
        go_on.wait(20)

    desk.journal.write = hang  # type: ignore[assignment,method-assign]  # a disk that hangs
    desk.use()
    flush = asyncio.ensure_future(desk.keeper.flush())
    await asyncio.sleep(0)
    assert not flush.done()
    go_on.set()
    assert await flush


async def test_whole_hours_become_files_a_little_after_their_end(make: Make, tmp_path: Path) -> None:
    desk = make(folder=tmp_path / "bill")
    desk.use(3)
    await desk.keeper.flush()
    await desk.keeper.look()
    assert desk.keeper.statistics().exported == 0
    desk.later(SECONDS)
    await desk.keeper.look()
    assert desk.keeper.statistics().exported == 0  # others may still bring theirs
    desk.later(10)
    await desk.keeper.look()
    assert desk.keeper.statistics().exported == 1
    assert [one.name for one in (tmp_path / "bill").iterdir()] == ["usage-2026-06-21T00Z.csv"]


async def test_a_folder_that_takes_no_file_is_told_and_tried_again(make: Make, tmp_path: Path) -> None:
    desk = make(folder=tmp_path / "bill")
    (tmp_path / "bill").write_text("no folder")
    desk.use(3)
    await desk.keeper.flush()
    desk.later(SECONDS + 10)
    for _ in range(2):
        await desk.keeper.look()
    assert desk.keeper.statistics().export_failures == 2
    assert desk.told == ["usage is not kept"]
    (tmp_path / "bill").unlink()
    await desk.keeper.look()
    assert desk.keeper.statistics().exported == 1
    assert desk.told[1:] == ["usage is kept again"]


async def test_usage_is_dropped_when_it_is_older_than_its_retention(make: Make, path: Path) -> None:
    desk = make()
    desk.use(3)
    await desk.keeper.flush()
    desk.later(10 * SECONDS)
    await desk.keeper.look()
    assert statements(path) == 3
    desk.later(SECONDS)
    await desk.keeper.look()
    assert statements(path) == 0


@pytest.mark.parametrize("jump", [-1000, 1000])
async def test_by_a_clock_that_jumped_nothing_is_dropped_for_a_day(make: Make, path: Path, jump: int) -> None:
    desk = make()
    desk.use(3)
    await desk.keeper.flush()
    desk.later(2 * SECONDS)
    desk.wall.now += jump * SECONDS
    await desk.keeper.look()
    assert desk.told == ["the clock jumped"]
    desk.later(23 * SECONDS)
    await desk.keeper.look()
    assert statements(path) == 3
    desk.later(SECONDS)
    await desk.keeper.look()
    assert statements(path) == (0 if jump > 0 else 3)


async def test_usage_after_a_jump_of_the_clock_is_in_the_hour_that_it_says(make: Make, path: Path) -> None:
    desk = make()
    for jump in (0, 5, -7):
        desk.wall.now += jump * SECONDS
        desk.use()
        await desk.keeper.flush()
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT hour, statements FROM usage ORDER BY 1").fetchall()
    assert found == [(HOUR - 2, 1), (HOUR, 1), (HOUR + 5, 1)]
