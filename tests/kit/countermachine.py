"""The machine that proves the shared limits over any store: no limit is ever passed, and what was lost comes back."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.kit.counters import LIMIT, PROCESSES, RATE, Driver, Process, World

which = st.integers(0, PROCESSES - 1)


class SharedLimits(RuleBasedStateMachine):
    """Processes share a bucket and a gauge."""

    driver: Callable[[], Driver]  # the store under test; each machine has its own

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.driver())

    def teardown(self) -> None:
        self.world.driver.close()

    @initialize()
    def begin(self) -> None:
        for _ in range(3):
            self.world.start()
        self.world.recover()

    def process(self, which: int) -> Process:
        return self.world.processes[which % len(self.world.processes)]

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.1, 0.3, 0.6, 1.1, 2.0, 3.3, 4.5]))
    def time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(which=which)
    def ask(self, which: int) -> None:
        self.world.ask(self.process(which))

    @rule(which=which)
    def deliver(self, which: int) -> None:
        self.world.deliver(self.process(which))

    @rule(which=which)
    def finish(self, which: int) -> None:
        self.world.finish(self.process(which))

    @rule(which=which)
    def lose(self, which: int) -> None:
        self.world.give_up(self.process(which))

    @rule(beats=st.integers(1, 12), gap=st.sampled_from([0.05, 0.1, 0.4]))
    def beat(self, beats: int, gap: float) -> None:
        for _ in range(beats):
            for process in self.world.processes:
                self.world.whole(process)
            self.world.pass_time(gap)

    @rule(which=which, beats=st.integers(1, 12), gap=st.sampled_from([0.1, 0.4]))
    def beat_alone(self, which: int, beats: int, gap: float) -> None:
        for _ in range(beats):
            self.world.whole(self.process(which))
            self.world.pass_time(gap)

    @rule(data=st.data())
    def arrive_late(self, data: st.DataObject) -> None:
        if self.world.up and self.world.late:
            request = self.world.late.pop(data.draw(st.integers(0, len(self.world.late) - 1)))
            self.world.driver.exchange(request, self.world.now)

    @rule(which=which, cut=st.booleans())
    def network(self, which: int, cut: bool) -> None:
        self.process(which).cut = cut

    @rule()
    def store_dies(self) -> None:
        self.world.kill()

    @rule()
    def store_returns(self) -> None:
        self.world.up = True

    @precondition(lambda self: len(self.world.processes) > 1)
    @rule(which=which)
    def crash(self, which: int) -> None:
        self.world.crash(self.process(which))

    @precondition(lambda self: len(self.world.processes) < PROCESSES)
    @rule()
    def start(self) -> None:
        self.world.start()

    @rule(which=which, count=st.integers(1, LIMIT))
    def leave(self, which: int, count: int) -> None:
        gauge = self.process(which).gauge
        for _ in range(min(count, gauge.held)):
            gauge.leave()

    @rule(which=which)
    def all_comes_back(self, which: int) -> None:
        """What dead processes had is to be had again."""
        self.world.recover()
        assert self.world.gather(self.process(which)) == LIMIT
        before = len(self.world.admitted)
        self.world.pass_time(2 / RATE)
        self.world.whole(self.process(which))
        assert len(self.world.admitted) > before
