"""The store's decisions: blocks of tokens, permits, recalls; what is lost on the way costs only who lost it."""

from __future__ import annotations

import pytest

from proxy.quota.exchange import UNIT, Answer, Report, Request, Take, Terms
from proxy.quota.table import CounterTable

TERMS = Terms(permit_ttl=10.0, quiet=0.5, settle=0.0)


class Talker:
    """One process that says what the test says."""

    def __init__(self, table: CounterTable, name: str) -> None:
        self.table = table
        self.name = name
        self.number = 0
        self.answer: Answer | None = None

    def say(self, now: float, *, lost: bool = False, **more: object) -> Answer:
        self.number += 1
        last = self.answer
        fields: dict[str, object] = {"ttl": 10.0}
        if last is not None:
            fields |= {"epoch": last.epoch, "share": last.share, "peers": last.peers}
        answer = self.table.exchange(Request(self.name, self.number, **(fields | more)), now)  # type: ignore[arg-type]  # by name
        if not lost and answer.heard:
            self.answer = answer
        return answer

    def take(self, now: float, want: float, spent: float = 0.0) -> tuple[float, float]:
        granted, level = self.say(now, takes=[Take("t", 10.0, 10.0, want, spent)]).granted["t"]
        return round(granted, 6), round(level, 6)

    def report(self, now: float, allotted: int, held: int, wanted: int, lost: bool = False) -> int:
        return self.say(now, lost=lost, reports=[Report("g", 10, allotted, held, wanted)]).told["g"]


@pytest.fixture
def table() -> CounterTable:
    return CounterTable("e", 0.0, TERMS)


def test_a_bucket_gives_what_it_has_and_fills_at_its_rate(table: CounterTable) -> None:
    one = Talker(table, "a")
    assert one.take(0.0, 8.0) == (8.0, 2.0)
    assert one.take(0.0, 8.0) == (2.0, 0.0)
    assert one.take(0.4, 8.0) == (4.0, 0.0)


def test_what_was_spent_makes_a_debt_that_time_pays(table: CounterTable) -> None:
    one = Talker(table, "a")
    assert one.take(0.0, 1.0, spent=15.0) == (0.0, -5.0)
    assert one.take(0.5, 1.0) == (0.0, 0.0)


def test_a_changed_rate_is_taken_over(table: CounterTable) -> None:
    one = Talker(table, "a")
    one.take(0.0, 0.0)
    assert one.say(0.0, takes=[Take("t", 1.0, 2.0, 5.0, 0.0)]).granted["t"] == (2.0, 0.0)


def test_a_store_that_may_have_forgotten_begins_with_empty_buckets() -> None:
    one = Talker(CounterTable("e", 0.0, Terms(settle=2.0)), "a")
    assert one.take(0.0, 8.0) == (0.0, 0.0)
    for tenth in range(1, 21):
        one.say(tenth / 10)
    assert one.answer is not None
    assert one.answer.share == UNIT
    one.say(2.5)
    assert one.take(3.0, 8.0) == (8.0, 2.0)


def test_a_process_alone_gets_everything(table: CounterTable) -> None:
    one = Talker(table, "a")
    assert one.report(0.0, 0, 0, 1) == 10
    assert one.answer is not None
    assert one.answer.share == UNIT


def test_another_gets_what_the_first_has_heard_to_be_no_longer_its_own(table: CounterTable) -> None:
    one, other = Talker(table, "a"), Talker(table, "b")
    assert one.report(0.0, 0, 0, 6) == 10
    assert other.report(0.1, 0, 0, 6) == 0
    assert one.say(0.2).recalled == ["g"]
    assert one.report(0.3, 10, 6, 6) == 5
    assert other.report(0.4, 0, 0, 6) == 0
    assert one.report(0.5, 5, 5, 6) == 5
    assert other.report(0.6, 0, 0, 6) == 5


def test_a_lost_answer_binds_the_store_and_not_the_process(table: CounterTable) -> None:
    one, other = Talker(table, "a"), Talker(table, "b")
    assert one.report(0.0, 0, 0, 6, lost=True) == 10
    assert other.report(0.1, 0, 0, 6) == 0
    assert one.report(0.2, 0, 0, 6) == 5
    assert other.report(0.3, 0, 0, 6) == 5


def test_a_share_that_was_lowered_counts_until_that_was_heard(table: CounterTable) -> None:
    one, other = Talker(table, "a"), Talker(table, "b")
    one.say(0.0)
    other.say(0.1)
    assert one.say(0.2, lost=True).share == UNIT // 2
    assert other.say(0.3).share == 0
    one.say(0.4)
    assert other.say(0.5).share == 0
    one.say(0.6)
    assert other.say(0.7).share == UNIT // 2


def test_what_a_dead_process_held_is_given_to_others_after_its_time(table: CounterTable) -> None:
    one, other = Talker(table, "a"), Talker(table, "b")
    one.report(0.0, 0, 0, 10)
    for tenth in range(1, 101):
        assert other.report(tenth / 10, 0, 0, 10) == 0
    assert other.report(10.3, 0, 0, 10) == 10


def test_what_a_process_held_that_leaves_is_given_to_others_at_once(table: CounterTable) -> None:
    one, other = Talker(table, "a"), Talker(table, "b")
    one.report(0.0, 0, 0, 10)
    one.say(0.1, leave=True)
    assert other.report(0.2, 0, 0, 10) == 10


def test_one_that_was_given_up_comes_back_with_nothing_but_what_it_holds(table: CounterTable) -> None:
    one, other = Talker(table, "a"), Talker(table, "b")
    one.report(0.0, 0, 0, 10)
    for tenth in range(1, 110):
        other.say(tenth / 10)
    assert not one.say(10.9).heard
    assert one.say(10.9, whole=True, reports=[Report("g", 10, 10, 3, 3)]).told["g"] == 10
    assert other.report(11.0, 0, 0, 1) == 0


def test_claims_of_the_last_epoch_are_honoured_and_nothing_else_is_given() -> None:
    table = CounterTable("new", 0.0, Terms(permit_ttl=10.0, settle=2.0))
    one, fresh = Talker(table, "a"), Talker(table, "b")
    told = one.say(0.1, epoch="old", whole=True, share=400_000, peers=2, reports=[Report("g", 10, 4, 2, 9)])
    assert (told.share, told.told["g"]) == (400_000, 4)
    for second in range(1, 10):
        assert fresh.report(second, 0, 0, 5) == 0
    assert fresh.report(10.5, 0, 0, 5) == 5


def test_full_buckets_and_gauges_without_owners_are_forgotten(table: CounterTable) -> None:
    one, other = Talker(table, "a"), Talker(table, "b")
    one.take(0.0, 5.0)
    one.report(0.0, 0, 0, 5)
    for tenth in range(1, 1300):
        other.say(tenth / 10)
    assert table.levels == {}
    assert table.gauges == {}
