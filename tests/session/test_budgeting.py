"""Whatever happens to a session, it leaves the gauges that it is in exactly once; and both ways count the same."""

from __future__ import annotations

from random import Random

import pytest

from proxy.quota.budget import Budget
from proxy.quota.budgets import Budgets
from proxy.quota.gauge import CountingGauge
from proxy.quota.rationing import Key, LocalRationing
from proxy.session.events import BackendLost, CancelRequested, Event, FrontendLost
from proxy.session.session import ClientSession
from proxy.sql.plan import Reject, StatementKind
from proxy.tenancy.policy import ClassLimits, Limits
from tests.session.conftest import Door, query
from tests.session.test_extended import SYNC, bind, execute, parse
from tests.session.test_short import ALL, General, Side, steps

SEEDS = 400
CLASSES = {"read": ClassLimits(2, 1.0, 30), "write": ClassLimits(1, 1.0, 20)}
WARNS = frozenset({"statements_per_second"})
LIMITS = (
    Limits(concurrent_statements=3, statements_per_second=1.0, statement_burst=1000, classes=CLASSES),
    Limits(concurrent_statements=1, statements_per_second=1.0, statement_burst=6, rows_per_minute=9),
    Limits(concurrent_statements=2, statements_per_second=1.0, statement_burst=1, warn=WARNS),
)  # fmt: skip


class Strict(LocalRationing):
    """One that remembers its gauges, each of which complains about whoever leaves without having entered."""

    def __init__(self) -> None:
        super().__init__()
        self.gauges: list[CountingGauge] = []

    def gauge(self, key: Key, limit: int) -> CountingGauge:
        found = super().gauge(key, limit)
        self.gauges.append(found)
        return found


class Limited(Side):
    """One session under limits, with its servers."""

    def __init__(self, kind: type[ClientSession], limits: Limits) -> None:
        super().__init__(kind)
        self.ration = Strict()
        budget = Budgets(self.ration).of("acme", "alice", limits, limits, self.session.counters, 0.0)
        assert budget is not None
        self.budget: Budget = budget
        self.session.budget = budget

    @property
    def held(self) -> list[int]:
        return [gauge.held for gauge in self.ration.gauges]

    @property
    def left(self) -> list[float]:
        return [bucket.left(0.0) for buckets in self.budget.buckets for bucket in buckets]


@pytest.mark.parametrize("limits", LIMITS)
def test_both_ways_count_the_same_and_every_ending_gives_all_back(limits: Limits, effort: int) -> None:
    refused = went = 0
    for seed in range(SEEDS * effort):
        quick, general = sides = Limited(ClientSession, limits), Limited(General, limits)
        dice = Random(seed)
        for step in [*steps(dice), dice.choice((FrontendLost(), BackendLost("cut"), None))]:
            for side in sides:
                if not isinstance(step, tuple):
                    if step is not None:
                        side.handle(step)
                else:
                    data, cuts, reads = step
                    for cut in [*cuts, len(data)]:
                        piece, data = data[:cut], data[cut:]
                        side.send(piece)
                    for size in reads:
                        side.read(size)
                assert all(0 <= held <= 1 for held in side.held)  # one session is in each once
            assert quick.seen == general.seen
            assert (quick.held, quick.left) == (general.held, general.left)
        for side in sides:
            side.handle(FrontendLost())
            assert side.held == [0] * len(side.held)
        refused += quick.session.counters.refused
        went += quick.short
    assert went > 100
    assert bool(refused) == (limits is LIMITS[1])


ENDINGS: tuple[Event | None, ...] = (FrontendLost(), BackendLost("cut"), CancelRequested(), None)


@pytest.mark.parametrize("event", ENDINGS)
@pytest.mark.parametrize(
    "data", [query("SELECT rows2"), parse("SELECT rows1") + bind() + execute() + SYNC, query("BEGIN; SELECT rows1")]
)
@pytest.mark.parametrize("kind", [ClientSession, General])
@pytest.mark.parametrize("lease", [True, False])
def test_a_statement_under_way_holds_its_place_until_it_is_over(
    kind: type[ClientSession], data: bytes, event: Event | None, lease: bool
) -> None:
    side = Limited(kind, LIMITS[0])
    if not lease:
        side.door.free.clear()
    side.send(data)
    assert max(side.held) == 1
    if event is not None:
        side.handle(event)
    side.read(ALL)
    if (not lease and event is None) or isinstance(event, BackendLost):
        side.handle(FrontendLost())
    assert side.held == [0] * len(side.held)


def test_of_one_limit_the_audit_hears_once_a_second(session: ClientSession, door: Door) -> None:
    for rule in ("quota.a", "quota.a", "quota.b", "policy", "policy"):
        session.audit(Reject(StatementKind.SELECT, "53400", "no", rules=(rule,)), b"", "")
    assert len(door.actions) == 4
    assert (session.counters.refused, session.counters.rejected) == (3, {"select": 2})
