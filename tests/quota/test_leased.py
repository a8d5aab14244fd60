"""A leased bucket is a countdown; a permit gauge lets in what was allotted."""

from __future__ import annotations

import pytest

from proxy.quota.leased import NEVER, SOON, LeasedBucket, PermitGauge


class Alone:
    """A process of which the test says how it is."""

    def __init__(self) -> None:
        self.alone_at = self.fence_at = float("inf")
        self.alone = 0.5
        self.now = 0.0
        self.wanted: list[tuple[object, bool]] = []

    def clock(self) -> float:
        return self.now

    def want(self, one: object, urgent: bool = True) -> None:
        self.wanted.append((one, urgent))


def leased(rate: float, burst: float, granted: float = 0.0, level: float = 0.0) -> tuple[Alone, LeasedBucket]:
    holder = Alone()
    bucket = LeasedBucket(holder, "acme//rate/", rate, burst)
    bucket.ask(0.0)
    bucket.answered(granted, level, 0.0)
    return holder, bucket


def test_what_is_in_hand_is_counted_down_without_asking() -> None:
    holder, bucket = leased(1000.0, 1000.0, 50.0, 900.0)
    assert [bucket.take(1.0, 0.0) for _ in range(40)] == [0.0] * 40
    assert holder.wanted == []
    assert bucket.tokens == 10.0


def test_more_is_asked_for_at_low_water_before_it_is_empty() -> None:
    holder, bucket = leased(1000.0, 1000.0, 1.0, 900.0)
    assert bucket.take(1.0, 0.0) == 0.0
    assert holder.wanted == [(bucket, True)]


def test_an_empty_one_says_that_tokens_come_soon_when_the_store_has_some() -> None:
    holder, bucket = leased(1000.0, 1000.0, 0.0, 900.0)
    assert bucket.take(1.0, 0.0) == SOON
    assert holder.wanted == [(bucket, True)]


def test_an_empty_one_tells_the_time_until_the_store_has_some() -> None:
    holder, bucket = leased(2.0, 4.0, 0.0, -3.0)
    assert bucket.take(1.0, 0.0) == 2.0
    assert bucket.take(1.0, 1.0) == 1.0
    assert holder.wanted == [(bucket, False), (bucket, False)]


def test_a_debt_in_the_store_refuses_also_who_wants_nothing() -> None:
    _, bucket = leased(2.0, 4.0, 0.0, -3.0)
    assert bucket.take(0.0, 0.0) == 1.5
    assert bucket.take(0.0, 1.5) == 0.0


def test_a_debt_of_its_own_refuses_at_once() -> None:
    _, bucket = leased(10.0, 100.0, 1.0, 50.0)
    assert bucket.take(0.0, 0.0) == 0.0
    bucket.spend(101.0, 0.0)
    assert bucket.take(0.0, 0.0) == 5.0
    assert bucket.left(0.0) == -50.0


def test_blocks_grow_with_use_up_to_a_tenth_of_a_second_and_shrink_again() -> None:
    _, bucket = leased(1000.0, 1000.0)
    asked = []
    for beat in range(10):
        take = bucket.ask(beat * 0.05)
        assert take is not None
        asked.append(take.want)
    assert asked == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0, 100.0, 100.0, 100.0]
    take = bucket.ask(60.0)
    assert take is not None
    assert take.want == 50.0


def test_a_block_is_never_above_the_burst_nor_what_is_in_hand_with_what_is_asked_for() -> None:
    _, bucket = leased(1000.0, 5.0, 1.0, 4.0)
    for beat in range(1, 10):
        bucket.take(1.0, beat * 0.01)
        take = bucket.ask(beat * 0.01)
        assert take is not None
        assert take.want + bucket.tokens <= 5.0
        bucket.answered(take.want, 4.0, beat * 0.01)
    assert bucket.tokens == 5.0


def test_a_piece_larger_than_a_block_is_asked_for_whole() -> None:
    _, bucket = leased(1.0, 30.0, 1.0, 29.0)
    assert bucket.take(20.0, 0.0) == SOON
    take = bucket.ask(0.0)
    assert take is not None
    bucket.answered(take.want, 10.0, 0.0)
    assert bucket.take(20.0, 0.0) == 0.0


def test_a_large_piece_does_not_make_later_blocks_large() -> None:
    _, bucket = leased(1.0, 30.0, 1.0, 29.0)
    bucket.take(20.0, 0.0)
    for beat, want in ((0.0, 20.0), (60.0, 1.0)):
        bucket.tokens = 0.0
        take = bucket.ask(beat)
        assert take is not None
        assert take.want == want


def test_alone_the_share_of_the_rate_comes_in_a_block_at_most() -> None:
    holder, bucket = leased(100.0, 100.0)
    holder.alone_at = 10.0
    assert bucket.take(1.0, 9.0) > 0.0
    assert bucket.take(1.0, 10.03) == 0.0
    assert bucket.take(1.0, 10.03) == pytest.approx(0.01)
    taken = 0
    while bucket.take(1.0, 100.0) == 0.0:
        taken += 1
    assert taken == 10


def test_nothing_comes_in_behind_the_fence() -> None:
    holder, bucket = leased(100.0, 100.0)
    holder.alone_at, holder.fence_at = 10.0, 9.0
    assert bucket.take(1.0, 50.0) > 0.0


def test_without_a_share_nobody_knows_when_it_opens() -> None:
    holder, bucket = leased(100.0, 100.0)
    holder.alone_at, holder.alone = 10.0, 0.0
    assert bucket.take(1.0, 50.0) == NEVER


def test_a_smaller_limit_takes_what_is_above_it() -> None:
    _, bucket = leased(1000.0, 1000.0, 100.0, 900.0)
    bucket.resize(10.0, 10.0)
    assert bucket.tokens == 1.0


def test_a_gauge_lets_in_what_was_allotted_and_asks_at_the_last() -> None:
    holder = Alone()
    gauge = PermitGauge(holder, "acme//connections/", 5)
    gauge.told(2, True)
    assert gauge.enter()
    assert holder.wanted == []
    assert gauge.enter()
    assert holder.wanted == [(gauge, False)]
    assert not gauge.enter()
    assert gauge.report().wanted == 3


def test_a_gauge_at_the_whole_limit_asks_nobody() -> None:
    holder = Alone()
    gauge = PermitGauge(holder, "acme//connections/", 1)
    gauge.told(1, True)
    assert gauge.enter()
    assert not gauge.enter()
    assert holder.wanted == []


def test_a_gauge_lets_nobody_in_behind_the_fence() -> None:
    holder = Alone()
    holder.fence_at = 3.0
    gauge = PermitGauge(holder, "acme//connections/", 5)
    gauge.told(2, True)
    holder.now = 3.0
    assert not gauge.enter()


def test_nobody_leaves_who_is_not_in() -> None:
    with pytest.raises(ValueError, match="nobody is in"):
        PermitGauge(Alone(), "acme//connections/", 5).leave()


@pytest.mark.parametrize(("allotted", "fence", "hopeful"), [(0, 9.0, True), (0, 3.0, False), (2, 9.0, False)])
def test_a_gauge_is_hopeful_while_others_may_have_something_to_spare(
    allotted: int, fence: float, hopeful: bool
) -> None:
    holder = Alone()
    holder.now, holder.fence_at = 3.0, fence
    gauge = PermitGauge(holder, "acme//connections/", 2)
    gauge.told(allotted, True)
    assert gauge.hopeful == hopeful
