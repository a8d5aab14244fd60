"""StoreRationing: carries a process's shared limits to the counter store and back, about every 100 ms or when something
is wanted at once, and lets who waits for a permit in.

The hot path never waits for it. While the store is away it is looked for again and again; that, and that it is back, is
logged once. At the fence it says so to whoever must end the sessions. It decides nothing: quota/shared.py does.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from proxy.quota.exchange import CounterStore, StoreAway, StoreRefused, Terms
from proxy.quota.gauge import Gauge
from proxy.quota.leased import PermitGauge
from proxy.quota.shared import SharedRationing

BEAT = 0.1  # seconds between two exchanges when nothing is wanted at once
GAP = 0.01  # at least, whatever is wanted
LOOK = 0.25  # seconds until a store that is away is looked for again
SULK = 5.0  # the same when it can be reached, and gives no answer that counts
GUARD = 0.05  # seconds between two looks at the fence


class Log(Protocol):
    """structlog's, as far as it is used here."""

    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """up: the last exchange had an answer. age: seconds since the last one. fenced: nothing is given to anybody."""

    up: bool
    age: float
    fenced: bool
    share: float
    exchanges: int
    failures: int


class StoreRationing:
    """The loop of one process."""

    def __init__(
        self,
        member: str,
        store: CounterStore,
        terms: Terms,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rationing = SharedRationing(member, terms, clock, self._wake)
        self.on_fence: Callable[[], None] = lambda: None  # whoever holds a permit must go
        self.on_answer: Callable[[], None] = lambda: None  # and at the fence: what is allotted may be another
        self._store = store
        self._log = log
        self._clock = clock
        self._wanted = asyncio.Event()
        self._turned: asyncio.Future[None] | None = None  # when the turn that is under way is over
        self._lines: dict[PermitGauge, deque[asyncio.Future[None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._guard: asyncio.TimerHandle | None = None
        self._up = True  # as far as was logged
        self._failed = 0  # exchanges in a row
        self._exchanges = 0
        self._failures = 0
        self._since = clock()

    def start(self) -> None:
        """Begins to speak with the store."""
        self._task = asyncio.create_task(self._run(), name="counter store")
        self._watch()

    async def wait_ready(self, timeout: float) -> bool:
        """Waits until the store gives this process anything; False after `timeout` seconds without."""
        try:
            async with asyncio.timeout(timeout):
                while not self.rationing.alone:
                    await self.wait_turn()
        except TimeoutError:
            return False
        return True

    async def wait_turn(self) -> None:
        """Waits until the store has answered, or not, once more."""
        if self._turned is None:
            self._turned = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._turned)

    async def wait_enter(self, gauge: Gauge, timeout: float) -> bool:
        """A permit of this gauge, now or when one becomes free; False after `timeout` seconds without."""
        if not isinstance(gauge, PermitGauge):
            return gauge.enter()
        line = self._lines.setdefault(gauge, deque())
        if not line and gauge.enter():
            del self._lines[gauge]
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        gauge.waiting = len(line)
        self.rationing.want(gauge)
        try:
            async with asyncio.timeout(timeout):
                await turn
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                gauge.leave()  # it had just been let in
            raise
        finally:
            self._leave_line(gauge, turn)
        return True

    def _leave_line(self, gauge: PermitGauge, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(gauge)
        if line is not None and turn in line:
            line.remove(turn)
            gauge.waiting = len(line)
            if not line:
                del self._lines[gauge]

    def _let_in(self) -> None:
        for gauge, line in list(self._lines.items()):
            while line and (line[0].done() or gauge.enter()):
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(None)
            gauge.waiting = len(line)
            if not line:
                del self._lines[gauge]

    # -- the loop

    def _wake(self) -> None:
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            pause = await self._turn()
            self._let_in()
            turned, self._turned = self._turned, None
            if turned is not None:
                turned.set_result(None)
            await asyncio.sleep(min(GAP, pause))
            if pause > BEAT:  # the store is away: what is wanted makes it come no sooner
                await asyncio.sleep(pause)
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _turn(self) -> float:
        """One exchange; the seconds until the next one is due."""
        self._wanted.clear()
        try:
            await self._store.connect()
        except StoreAway as problem:
            if isinstance(problem, StoreRefused):
                self.rationing.refused(self._clock())
            self._tell_away(problem)
            return LOOK
        request = self.rationing.request(self._clock())
        try:
            answer = await self._store.exchange(request)
        except StoreAway as problem:
            self.rationing.unanswered(request)
            self._failed += 1
            self._tell_away(problem)
            return LOOK if self._failed == 1 else SULK
        self.rationing.answered(request, answer, self._clock())
        self._failed = 0
        self._exchanges += 1
        if not self._up and answer.heard:
            self._up = True
            self._log.warning("counter store back", processes=answer.peers)
        self.on_answer()
        if self.rationing.urgent or not answer.heard:
            self._wanted.set()
        return BEAT

    def _tell_away(self, problem: StoreAway) -> None:
        self._failures += 1
        if self._up:
            self._up = False
            self._log.error("counter store away", problem=str(problem))

    def _watch(self) -> None:
        if self.rationing.fence(self._clock()):
            self._log.error("counter store away too long")
            self.on_fence()
            self.on_answer()
        self._guard = asyncio.get_running_loop().call_later(GUARD, self._watch)

    # -- the rest

    def statistics(self) -> StoreStatistics:
        """A snapshot."""
        side = self.rationing
        since = self._since if side.heard_at is None else side.heard_at
        up = self._up and side.heard_at is not None
        return StoreStatistics(up, self._clock() - since, side.fenced, side.alone, self._exchanges, self._failures)

    async def close(self) -> None:
        """Gives back what the process has, if the store is there, and hangs up."""
        if self._guard is not None:
            self._guard.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            try:
                await self._store.connect()
                await self._store.exchange(self.rationing.farewell())
            except StoreAway as problem:
                self._log.warning("counter store not told of the end", problem=str(problem))
        await self._store.close()
