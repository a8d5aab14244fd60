"""The proof of the shared limits, over the decisions alone; and what one process makes of an answer."""

from __future__ import annotations

import os

from hypothesis import settings

from proxy.quota.exchange import UNIT, Answer, Request, Terms
from proxy.quota.shared import SharedRationing
from proxy.quota.table import CounterTable
from tests.kit.countermachine import SharedLimits
from tests.kit.counters import TERMS

EFFORT = int(os.environ.get("PARTYWALL_TEST_EFFORT", "1"))
KEY = ("acme", "", "connections", "")
TEXT = "acme//connections/"


class TableDriver:
    """The decisions alone."""

    def __init__(self) -> None:
        self.table: CounterTable | None = None
        self.epochs = 0

    def exchange(self, request: Request, now: float) -> Answer:
        if self.table is None:
            self.epochs += 1
            self.table = CounterTable(f"epoch{self.epochs}", now, TERMS)
        return self.table.exchange(request, now)

    def forget(self) -> None:
        self.table = None

    def close(self) -> None:
        self.table = None


class Shared(SharedLimits):
    def driver(self) -> TableDriver:
        return TableDriver()


TestSharedLimits = Shared.TestCase
TestSharedLimits.settings = settings(max_examples=60 * EFFORT, stateful_step_count=40, deadline=None)


class Side:
    """One process whose store is the test."""

    def __init__(self, terms: Terms = TERMS) -> None:
        self.now = 0.0
        self.woken = 0
        self.rationing = SharedRationing("process", terms, lambda: self.now, self.wake)

    def wake(self) -> None:
        self.woken += 1

    def hear(self, **answer: object) -> Request:
        """One exchange, answered with this."""
        request = self.rationing.request(self.now)
        fields: dict[str, object] = {"heard": True, "epoch": "e", "time": self.now, "share": UNIT, "peers": 1}
        self.rationing.answered(request, Answer(**(fields | answer)), self.now)  # type: ignore[arg-type]  # fields by name
        return request


def test_a_new_process_holds_nothing_and_asks_at_once() -> None:
    side = Side()
    gauge = side.rationing.gauge(KEY, 5)
    assert not gauge.enter()
    assert side.woken == 1
    assert [(one.key, one.limit, one.wanted) for one in side.hear(told={TEXT: 2}).reports] == [(TEXT, 5, 1)]
    assert gauge.enter()


def test_what_was_told_less_is_confirmed_at_once() -> None:
    side = Side()
    gauge = side.rationing.gauge(KEY, 5)
    side.hear(told={TEXT: 4})
    side.hear(recalled=[TEXT])
    assert side.rationing.urgent
    side.hear(told={TEXT: 1})
    assert side.rationing.urgent
    assert side.hear(told={TEXT: 1}).reports[0].allotted == 1
    assert gauge.allotted == 1


def test_a_recalled_gauge_keeps_what_it_holds_and_lets_nobody_in_before_it_is_below() -> None:
    side = Side()
    gauge = side.rationing.gauge(KEY, 5)
    side.hear(told={TEXT: 2})
    assert gauge.enter()
    assert gauge.enter()
    side.hear(told={TEXT: 1})
    gauge.leave()
    assert not gauge.enter()
    gauge.leave()
    assert gauge.enter()


def test_a_process_gives_everything_up_before_its_permits_may_be_others() -> None:
    side = Side()
    gauge = side.rationing.gauge(KEY, 5)
    side.hear(told={TEXT: 2})
    side.now = TERMS.permit_ttl * 0.79
    assert not side.rationing.fence(side.now)
    assert gauge.enter()
    side.now = TERMS.permit_ttl * 0.81
    assert not gauge.enter()
    assert side.rationing.fence(side.now)
    assert not side.rationing.fence(side.now)
    assert side.rationing.request(side.now).epoch == ""


def test_a_store_that_is_down_for_everybody_gives_nothing_away() -> None:
    side = Side()
    gauge = side.rationing.gauge(KEY, 5)
    side.hear(told={TEXT: 2})
    for _ in range(20):
        side.now += TERMS.permit_ttl / 2
        side.rationing.refused(side.now)
    assert not side.rationing.fence(side.now)
    assert gauge.enter()


def test_a_fence_that_was_passed_is_not_taken_back_by_a_refusal() -> None:
    side = Side()
    side.hear()
    side.now = TERMS.permit_ttl
    side.rationing.refused(side.now)
    assert side.rationing.fence(side.now)


def test_an_unheard_request_is_followed_by_a_whole_one() -> None:
    side = Side()
    side.rationing.gauge(KEY, 5)
    side.hear(told={TEXT: 2})
    assert side.hear().reports == []
    side.hear(heard=False, epoch="another")
    whole = side.hear(epoch="another", told={TEXT: 2})
    assert whole.whole
    assert whole.epoch == "e"
    assert [one.allotted for one in whole.reports] == [2]
    assert not side.hear().whole


def test_a_forgotten_gauge_is_reported_until_its_permits_are_back() -> None:
    side = Side()
    gauge = side.rationing.gauge(KEY, 5)
    side.hear(told={TEXT: 3})
    assert gauge.enter()
    side.rationing.forget(KEY)
    assert [(one.allotted, one.held) for one in side.hear(told={TEXT: 1}).reports] == [(1, 1)]
    gauge.leave()
    side.hear(told={TEXT: 0})
    side.hear(told={TEXT: 0})
    assert side.hear().reports == []


def test_a_gauge_that_is_asked_for_again_has_what_the_forgotten_one_held() -> None:
    side = Side()
    gauge = side.rationing.gauge(KEY, 5)
    side.hear(told={TEXT: 3})
    assert gauge.enter()
    side.rationing.forget(KEY)
    assert side.rationing.gauge(KEY, 5).held == 1


def test_a_bucket_keeps_its_tokens_when_its_rate_changes() -> None:
    side = Side()
    key = ("acme", "", "statements_per_second", "")
    bucket = side.rationing.bucket(key, 100.0, 100.0)
    text = side.rationing.request(0.0).takes[0].key
    side.hear(granted={text: (1.0, 99.0)})
    assert side.rationing.bucket(key, 50.0, 50.0) is bucket
    assert bucket.take(1.0, 0.0) == 0.0
    assert side.hear().takes[0].rate == 50.0


def test_a_lost_answer_tells_again_what_was_spent() -> None:
    side = Side()
    bucket = side.rationing.bucket(("acme", "", "rows_per_minute", ""), 10.0, 100.0)
    bucket.spend(30.0, 0.0)
    lost = side.rationing.request(0.0)
    assert lost.takes[0].spent == 30.0
    side.rationing.unanswered(lost)
    assert side.hear().takes[0].spent == 30.0
    assert side.hear().takes == []


def test_a_process_that_leaves_says_so_last() -> None:
    side = Side()
    side.hear()
    farewell = side.rationing.farewell()
    assert farewell.leave
    assert farewell.number == 2
