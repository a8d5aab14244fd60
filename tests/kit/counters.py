"""Several processes, one counter store and a bad network, with invented time: the world of the shared limits' proof.

A request may be lost, come late, or lose its answer; the store may die and come back without memory; a process may be
cut off, crash, or start. What the processes admit is written down, and judged for every window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from proxy.quota.exchange import Answer, CounterStore, Request, Terms
from proxy.quota.leased import LeasedBucket, PermitGauge
from proxy.quota.shared import SharedRationing

TERMS = Terms(permit_ttl=4.0, quiet=0.5, settle=4.0, empty=4.0, timeout=1.0)  # settle: no luck is needed, only time
BUCKET = ("acme", "", "statements_per_second", "")
GAUGE = ("acme", "", "connections", "")
RATE, BURST, LIMIT = 10.0, 4.0, 5
PROCESSES = 4
WINDOW = 20.0  # seconds that are looked back
MOST = 1.0  # a block: 100 ms worth


async def asked(store: CounterStore, request: Request) -> Answer:
    """A round trip, over a connection that is made if need be."""
    await store.connect()
    return await store.exchange(request)


class Driver(Protocol):
    """A store under test; `now` is the world's."""

    def exchange(self, request: Request, now: float) -> Answer: ...

    def forget(self) -> None:
        """It died: when it is asked again, it knows nothing."""

    def close(self) -> None: ...


@dataclass(eq=False)
class Process:
    """One proxy process: its side of the limits, and what is under way."""

    name: str
    side: SharedRationing
    bucket: LeasedBucket = field(init=False)
    gauge: PermitGauge = field(init=False)
    cut: bool = False
    greedy: bool = True  # enters whatever it can
    sent: float = 0.0
    request: Request | None = None
    answer: Answer | None = None

    def __post_init__(self) -> None:
        self.bucket = self.side.bucket(BUCKET, RATE, BURST)
        self.gauge = self.side.gauge(GAUGE, LIMIT)


class World:
    """See the module."""

    def __init__(self, driver: Driver, terms: Terms = TERMS) -> None:
        self.driver = driver
        self.terms = terms
        self.now = 1000.0
        self.up = True
        self.started = 0
        self.processes: list[Process] = []
        self.late: list[Request] = []  # nobody waits for their answer
        self.admitted: list[tuple[float, str]] = []

    # -- what happens to processes

    def start(self) -> None:
        self.started += 1
        name = f"process{self.started}"
        self.processes.append(Process(name, SharedRationing(name, self.terms, lambda: self.now, lambda: None)))

    def crash(self, process: Process) -> None:
        self.processes.remove(process)
        if process.request is not None and process.answer is None:
            self.late.append(process.request)

    def pass_time(self, seconds: float) -> None:
        """In steps, since processes look at the clock every now and then."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.1)
            self.use()
            for process in self.processes:
                if process.request is not None and self.now >= process.sent + self.terms.timeout:
                    self.give_up(process)
                if process.side.fence(self.now):
                    while process.gauge.held:  # the sessions end
                        process.gauge.leave()

    # -- one exchange, in parts

    def ask(self, process: Process) -> None:
        """Connects; and if somebody is there, sends a request."""
        if process.request is None and not process.cut:
            if not self.up:
                process.side.refused(self.now)
                return
            process.sent = self.now
            process.request = process.side.request(self.now)

    def deliver(self, process: Process) -> None:
        """The request reaches the store."""
        if process.request is not None and process.answer is None and self.up and not process.cut:
            process.answer = self.driver.exchange(process.request, self.now)

    def finish(self, process: Process) -> None:
        """The answer reaches the process."""
        if process.request is not None and process.answer is not None and not process.cut:
            process.side.answered(process.request, process.answer, self.now)
            process.request = process.answer = None
            self.use()

    def give_up(self, process: Process) -> None:
        """No answer will count any more; the request may still arrive."""
        request = process.request
        if request is not None:
            if process.answer is None:
                self.late.append(request)
            process.request = process.answer = None
            process.side.unanswered(request)

    def whole(self, process: Process) -> None:
        """A round trip."""
        self.ask(process)
        self.deliver(process)
        self.finish(process)

    # -- what happens to the store

    def kill(self) -> None:
        self.up = False
        self.driver.forget()
        for process in self.processes:  # whose connections break
            self.give_up(process)
        self.late.clear()

    # -- use

    def use(self) -> None:
        """Every process admits whatever it can."""
        for process in self.processes:
            while process.bucket.take(1.0, self.now) == 0.0:
                self.admitted.append((self.now, process.name))
            while process.greedy and process.gauge.enter():
                pass
            process.gauge.waiting = LIMIT - process.gauge.held if process.greedy else 0
        self.check()

    def check(self) -> None:
        """Every promise, as of now."""
        held = sum(process.gauge.held for process in self.processes)
        assert held <= LIMIT, f"{held} permits are held"
        who: set[str] = set()
        for count, (at, name) in enumerate(reversed(self.admitted), 1):  # windows that end with the last one admitted
            who.add(name)
            window = self.admitted[-1][0] - at
            most = RATE * window + BURST + MOST * len(who)
            assert count <= most + 1e-6, f"{count} admitted in {window} s by {len(who)} processes, {most} allowed"
            if window > WINDOW:
                break

    def recover(self) -> None:
        """The network is whole again, and everybody speaks for long enough."""
        self.up = True
        for process in self.processes:
            process.cut = False
        for _ in range(int((2 * self.terms.permit_ttl + max(self.terms.settle, self.terms.empty)) / 0.25)):
            for process in self.processes:
                self.give_up(process)
                self.whole(process)
            self.pass_time(0.25)

    def gather(self, process: Process, beats: int = 10) -> int:
        """The permits that one process gets when nobody else wants any."""
        for one in self.processes:
            one.greedy = one is process
            while one is not process and one.gauge.held:
                one.gauge.leave()
        for _ in range(beats):
            for one in self.processes:
                self.whole(one)
            self.now += 0.1
        for one in self.processes:
            one.greedy = True
        return process.gauge.held
