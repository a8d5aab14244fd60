"""Bookkeeper: brings what sessions counted into the journal, over and over, and whole hours into files.

Totals are read on the event loop, some at a time; everything that touches the disk runs in one thread, so that a slow
disk holds up nobody. Twice in `interval` a batch goes out: a process that is killed loses what it counted in that time,
no more. When the journal cannot be written the service goes on: it is said in the log, counted, and tried again with
the next batch; what was counted waits in memory. A batch under way when the process is told to end is tried again: the
journal takes it once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from proxy.accounting.export import Format, export
from proxy.accounting.hours import SECONDS, hour_of
from proxy.accounting.journal import Journal
from proxy.accounting.pending import Pending
from proxy.quota.usage import Usage

GRACE = 10.0  # seconds after an hour's end in which other processes bring theirs
LOOK = 60.0  # seconds between looks whether an hour is whole or too old
SLICE = 250  # logins that are read before others have their turn
LAST_TRIES = 2
TOLD = 1000  # rows that the log is given at the end, when the journal cannot have them
FAILURES = (sqlite3.Error, OSError)


class Counted(Protocol):
    """Counters of one login (session.counters.Counters)."""

    def mark(self) -> object:
        """Equal as long as nothing is used."""

    def usage(self) -> Usage:
        """Totals."""


class Log(Protocol):
    """structlog's bound logger, as far as it is used here."""

    def info(self, event: str, **fields: Any) -> Any: ...

    def error(self, event: str, **fields: Any) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What is kept, and where. Times in seconds."""

    interval: float  # what a crash may lose
    retention: float
    folder: Path | None = None  # of the files of whole hours
    form: Format = "csv"


@dataclass(frozen=True, slots=True)
class UsageStatistics:
    """A snapshot."""

    failures: int = 0  # times that the journal could not be written
    export_failures: int = 0
    exported: int = 0  # files
    behind: float = 0.0  # seconds since all that was counted until then was in the journal


class Bookkeeper:
    """Of one process. clock: seconds since the epoch; steady: seconds that do not jump."""

    def __init__(
        self,
        journal: Journal,
        counters: Callable[[], Sequence[tuple[str, str, Counted]]],
        keeping: Keeping,
        log: Log,
        clock: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._counters = counters
        self._keeping = keeping
        self._log = log
        self._clock = clock
        self._steady = steady
        self._pending = Pending()
        self._marks: dict[Counted, object] = {}
        self._thread = ThreadPoolExecutor(1, "usage")
        self._task: asyncio.Task[None] | None = None
        self.on_even: Callable[[], None] = lambda: None  # called when the journal has what was counted
        self._told: dict[str, str] = {}  # what went wrong last, by what it kept from being done
        self._failures = self._export_failures = self._exported = 0
        self._even = steady()
        self._offset = clock() - steady()
        self._trusted = steady() + SECONDS  # before that nothing is dropped for its age

    def start(self) -> None:
        """From now on by itself."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="usage")

    async def close(self) -> None:
        """The last of it. Whoever counts must have ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._marks.clear()
        for _ in range(LAST_TRIES):
            if await self.flush():
                break
        for (hour, tenant, login), usage in sorted(self._pending.rest().items())[:TOLD]:
            self._log.error("usage lost", hour=hour, tenant=tenant, login=login, **usage._asdict())
        await self._in_thread(self._journal.close)
        self._thread.shutdown(wait=False)

    def statistics(self) -> UsageStatistics:
        """A snapshot."""
        behind = self._steady() - self._even
        return UsageStatistics(self._failures, self._export_failures, self._exported, behind)

    async def flush(self) -> bool:
        """All that was counted until now into the journal; False when that failed."""
        now, steady = self._clock(), self._steady()
        every = self._counters()
        for begin in range(0, len(every), SLICE):
            self._pending.take(self._totals(every[begin : begin + SLICE]), hour_of(now), now)
            if begin + SLICE < len(every):
                await asyncio.sleep(0)
        while (batch := self._pending.batch()) is not None:
            try:
                await self._in_thread(self._journal.write, batch)
            except FAILURES as problem:
                self._fail(problem)
                return False
            self._pending.written()
        self._tell("journal", "")
        self._even = steady
        self.on_even()
        return True

    def has(self, counters: Counted) -> bool:
        """Is all that these have counted in the journal? For `on_even`."""
        return self._marks.get(counters) == counters.mark()

    def forget(self, tenant: str, login: str, counters: Counted) -> None:
        """They count no more; who has these names later begins at nothing. For `on_even`, of those that it has."""
        self._marks.pop(counters, None)
        self._pending.forget(tenant, login)

    async def look(self) -> None:
        """Files of the hours that are whole now; and what is too old goes."""
        now, folder = self._clock(), self._keeping.folder
        self._judge_clock()
        if folder is not None:
            try:
                arguments = (self._journal, hour_of(now - GRACE), folder, self._keeping.form)
                self._exported += await self._in_thread(export, *arguments)
                self._tell("export", "")
            except FAILURES as problem:
                self._export_failures += 1
                self._tell("export", str(problem))
        if self._steady() >= self._trusted:
            try:
                before = hour_of(now - self._keeping.retention)
                await self._in_thread(self._journal.forget, before, folder is not None)
            except FAILURES as problem:
                self._failures += 1
                self._tell("retention", str(problem))

    async def _run(self) -> None:
        looked = -LOOK
        try:
            await self._in_thread(self._journal.begin)
        except FAILURES as problem:  # said before there is anything to lose
            self._fail(problem)
        while True:
            await asyncio.sleep(self._keeping.interval / 2)
            if await self.flush() and self._steady() - looked >= LOOK:
                looked = self._steady()
                await self.look()

    def _totals(self, those: Sequence[tuple[str, str, Counted]]) -> Iterator[tuple[str, str, Usage]]:
        marks = self._marks
        for tenant, login, counters in those:
            mark = counters.mark()
            if marks.get(counters) != mark:
                marks[counters] = mark
                yield tenant, login, counters.usage()

    def _judge_clock(self) -> None:
        """A clock that jumped may be wrong: nothing is dropped by it for a day."""
        offset = self._clock() - self._steady()
        if abs(offset - self._offset) > SECONDS:
            self._trusted = self._steady() + 24 * SECONDS
            self._log.error("the clock jumped", seconds=round(offset - self._offset))
        self._offset = offset

    def _fail(self, problem: Exception) -> None:
        self._failures += 1
        self._tell("journal", str(problem))

    def _tell(self, what: str, problem: str) -> None:
        """Once for each problem, and when it is over."""
        before = self._told.get(what, "")
        if problem != before:
            self._told[what] = problem
            if problem:
                self._log.error("usage is not kept", what=what, problem=problem)
            else:
                self._log.info("usage is kept again", what=what)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
