"""Schedules: which tenant's backup is due now, and what became of the last. It starts them, at most `jobs` at a time.

Promises: what was good last is learnt from the place where archives are, so it survives this process; one that fails is
tried again later and later; a tenant that leaves the rules takes its schedule along, a running backup included. How a
backup is made is the caller's; nothing here blocks. Times are seconds since the epoch.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from proxy.backup.due import Calendar, due, part_of, retry
from proxy.backup.readback import Readback
from proxy.tenancy.policy import BackupRule, Grant
from proxy.tenancy.servers import Place

LOOK = 5.0  # seconds between two looks at what is due
TOGETHER = 500  # places that are looked at by one process
SLICE = 50  # tenants until others have their turn

Key = tuple[str, str]
"""Tenant and database."""
Found = Readback | str | None
"""What a look found: the last good one, none, or why it could not be seen."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One backup that is to be made. begun: now, in whole seconds; generation: of the rules; longest: seconds after
    which a run is surely dead; crashed: when runs were begun that are dead already.
    """

    place: Place
    grant: Grant
    rule: BackupRule
    generation: int
    begun: int
    longest: float
    crashed: frozenset[int] = frozenset()
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class Done:
    """A good backup: where it is, its readback note, what was removed, and why something could not be."""

    archive: str
    readback: Readback
    rows: int
    removed: tuple[str, ...] = ()
    problem: str = ""


class BackupFailedError(Exception):
    """No archive came of it. crashed: the process ended without cleaning up."""

    def __init__(self, problems: list[str], crashed: bool = False) -> None:
        super().__init__(problems[0])
        self.problems = problems
        self.crashed = crashed


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What does the work. turn: may this process do it now? told: an event with its fields."""

    look: Callable[[Sequence[tuple[Key, BackupRule]]], Awaitable[Sequence[Found]]]
    run: Callable[[Key, BackupRule, int, frozenset[int]], Awaitable[Done]]  # int: when it was begun
    turn: Callable[[], bool]
    told: Callable[..., None]
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class BackupStatistics:
    """Of one tenant on one database. age: since the last good one was begun, by this host's clock and no other's;
    infinite: none is known.
    """

    tenant: str
    database: str
    age: float
    failures: int
    seconds: float | None
    size: int | None


@dataclass(slots=True)
class _Entry:
    rule: BackupRule
    part: float
    seen: float
    due: float = 0.0  # the first is a look
    known: bool = False  # was its place looked at, with success
    looked: bool = False  # at all
    last: Readback | None = None
    row: int = 0  # failures without a success between
    failures: int = 0
    crashed: set[int] = field(default_factory=set)


class Schedules:
    """Of the rule book in force. spread: seconds over which those of the same schedule begin."""

    def __init__(self, hands: Hands, jobs: int, spread: float) -> None:
        self._hands = hands
        self._jobs = jobs
        self._spread = spread
        self._calendar = Calendar()
        self._entries: dict[Key, _Entry] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, rules: Mapping[Key, BackupRule]) -> None:
        """These hold from now on."""
        now = self._hands.clock()
        self._calendar = Calendar()
        for key in [one for one in self._entries if one not in rules]:
            del self._entries[key]
            if key in self._running:
                self._running[key].cancel()
        for key, rule in rules.items():
            entry = self._entries.get(key)
            if entry is None or entry.rule.to != rule.to:
                self._entries[key] = _Entry(rule, part_of(*key), now)
            elif entry.rule != rule:
                entry.rule, entry.row = rule, 0
                self._plan(entry)
        if self._entries and self._task is None:
            self._task = asyncio.create_task(self._run(), name="backups")
        elif self._entries:
            self.step()  # who reloads is looking

    @property
    def running(self) -> int:
        """Backups that are being made."""
        return len(self._running)

    def each(self) -> Iterator[BackupStatistics]:
        """Every tenant whose place was looked at, as of when its turn comes."""
        for (tenant, database), one in list(self._entries.items()):
            if not one.looked:
                continue
            last = one.last
            since = math.inf if last is None or not one.known else self._hands.clock() - last.begun
            age = since if since >= 0 else math.inf  # of a time to come: the clock was wrong, and it is looked at again
            seconds, size = (None, None) if last is None else (last.seconds, last.size)
            yield BackupStatistics(tenant, database, age, one.failures, seconds, size)

    async def close(self) -> None:
        """Ends all of it."""
        tasks = [one for one in (self._task, self._looking, *self._running.values()) if one is not None]
        self._task = self._looking = None
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self.step()
            await asyncio.sleep(LOOK)

    def step(self) -> None:
        """Starts what is due."""
        if not self._hands.turn():
            return
        now = self._hands.clock()
        wanted = []
        for key, one in self._entries.items():
            if one.last is not None and one.last.begun > now:
                one.known, one.due = False, min(one.due, now)  # the clock was wrong: look again
            if one.due <= now and key not in self._running:
                wanted.append((one.due, key, one))
        wanted.sort(key=lambda item: item[0])
        unknown = [(key, one) for _, key, one in wanted if not one.known][:TOGETHER]
        if unknown and self._looking is None:
            self._looking = asyncio.create_task(self._look(unknown), name="look at backups")
        for _, key, one in wanted:
            if one.known and len(self._running) < self._jobs:
                self._running[key] = asyncio.create_task(self._make(key, one), name=f"backup of {key[0]}")

    async def _look(self, unknown: list[tuple[Key, _Entry]]) -> None:
        try:
            try:
                found = await self._hands.look([(key, one.rule) for key, one in unknown])
            except BackupFailedError as error:
                found = [str(error)] * len(unknown)
            for number, ((key, one), result) in enumerate(zip(unknown, found, strict=True)):
                one.looked = True
                if isinstance(result, str):
                    self._failed(key, one, [result])
                else:
                    one.known, one.last, one.row = True, result, 0
                    self._plan(one)
                if number % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
        finally:
            self._looking = None
        self.step()

    async def _make(self, key: Key, one: _Entry) -> None:
        begun = int(self._hands.clock())
        try:
            done = await self._hands.run(key, one.rule, begun, frozenset(one.crashed))
        except BackupFailedError as error:
            if error.crashed:
                one.crashed.add(begun)
            self._failed(key, one, error.problems)
        except Exception as error:  # a bug must not end the schedule of this tenant, or of others
            self._failed(key, one, [repr(error)])
        else:
            one.last, one.row = done.readback, 0
            one.failures += bool(done.problem)
            one.crashed.clear()
            self._plan(one)
            self._tell_done(key, done)
        finally:
            with suppress(KeyError):
                del self._running[key]
        self.step()

    def _plan(self, one: _Entry) -> None:
        if one.known and not one.row:
            since = None if one.last is None else float(one.last.begun)
            one.due = due(self._calendar, one.rule.schedule, since, one.seen, one.part, self._spread)

    def _failed(self, key: Key, one: _Entry, problems: list[str]) -> None:
        one.row += 1
        one.failures += 1
        again = retry(one.row)
        one.due = self._hands.clock() + again
        self._told("failed", key, problems=problems, in_a_row=one.row, again_in=again)

    def _tell_done(self, key: Key, done: Done) -> None:
        readback = done.readback
        self._told(
            "made",
            key,
            archive=done.archive,
            moment=readback.moment,
            rows=done.rows,
            size=readback.size,
            sha256=readback.sha256,
            seconds=readback.seconds,
        )
        if done.removed:
            self._told("removed", key, archives=list(done.removed))
        if done.problem:
            self._told("stays", key, problem=done.problem)

    def _told(self, event: str, key: Key, **fields: Any) -> None:
        self._hands.told(event, tenant=key[0], database=key[1], **fields)
