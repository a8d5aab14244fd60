"""What quotas cost one statement: no budget, one limit, and every limit of a tenant, a login and a class together.

Measured is what the short way adds to a statement: admission before it is sent, and what is noted when it has ended.
Nanoseconds of this thread's processor time, the best of several rounds.

    python -m benchmarks.quotas [--statements N]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from time import thread_time_ns

from benchmarks.planning import Cost
from proxy.quota.budget import Budget
from proxy.quota.budgets import Budgets
from proxy.quota.gauge import Gauge
from proxy.session.counters import Counters
from proxy.tenancy.policy import READ, ClassLimits, Limits

ROUNDS = 15
MUCH = 1 << 60
RATE = Limits(statements_per_second=1e12)
EVERY = Limits(
    statements_per_second=1e12,
    concurrent_statements=MUCH,
    rows_per_minute=MUCH,
    bytes_per_minute=MUCH,
    received_bytes_per_minute=MUCH,
    server_time_per_hour=1e12,
    planning_time_per_minute=1e12,
    classes={"read": ClassLimits(concurrent_statements=MUCH, statements_per_second=1e12)},
)
CASES: dict[str, tuple[Limits, Limits | None]] = {
    "no limit": (Limits(), None),
    "statements per second": (RATE, None),
    "every limit of the tenant": (EVERY, None),
    "every limit of tenant and login": (EVERY, EVERY),
}


class Session:
    """As far as the short way touches it for a budget."""

    budget: Budget | None = None
    entered: tuple[Gauge, ...] = ()

    def depart(self) -> None:
        entered, self.entered = self.entered, ()
        for gauge in entered:
            gauge.leave()


def statements(session: Session, used: Counters, count: int) -> None:
    """What short.py does, without the statement."""
    now = 0.0
    for _ in range(count):
        now += 1e-5
        budget = session.budget
        if budget is not None:
            if not budget.admit(READ, now):
                raise SystemExit("a limit was hit")
            session.entered = budget.gauges[READ]
        used.rows += 1
        used.bytes_in += 80
        used.bytes_out += 120
        used.server += 0.0001
        if session.budget is not None:
            session.budget.at = now
            if session.entered:
                session.depart()


def measure(run: Callable[[], None], count: int) -> float:
    """Nanoseconds of one of `count`."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = thread_time_ns()
        run()
        best = min(best, (thread_time_ns() - began) / count)
    return best


def costs(count: int = 100_000) -> list[Cost]:
    """One figure for each case: what is more than without a limit."""
    found: dict[str, float] = {}
    for name, (limits, own) in CASES.items():
        used, session = Counters(), Session()
        session.budget = Budgets().of("acme", "acme_app", limits, own, used, 0.0)
        found[name] = measure(partial(statements, session, used, count), count)
    base = found.pop("no limit")
    return [Cost(f"quotas, {name}", (one - base) / 1000) for name, one in found.items()]


def main() -> None:
    """Parses the command line, runs, prints."""
    parser = argparse.ArgumentParser(description="What quotas cost one statement.")
    parser.add_argument("--statements", type=int, default=100_000)
    for cost in costs(parser.parse_args().statements):
        print(f"{cost.what:40} {cost.microseconds:6.2f} µs more than without a limit")


if __name__ == "__main__":
    main()
