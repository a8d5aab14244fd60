"""In any window, whatever is asked and whenever: no more than rate x window + burst."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.quota.bucket import Bucket, TokenBucket

RATES = st.floats(0.01, 1e6)
PAUSES = st.one_of(st.just(0.0), st.floats(0.0, 1e-6), st.floats(0.0, 10.0), st.floats(0.0, 1e6))


@given(RATES, st.integers(1, 1000), st.floats(0, 1e9), st.lists(st.tuples(PAUSES, st.integers(1, 50)), max_size=200))
def test_in_any_window_no_more_is_admitted_than_rate_times_window_and_the_burst(
    rate: float, burst: int, start: float, schedule: list[tuple[float, int]]
) -> None:
    bucket, now = TokenBucket(rate, burst), start
    admitted = []
    for pause, amount in schedule:
        now += pause
        if amount <= burst and bucket.take(amount, now) == 0.0:
            admitted.append((now, amount))
    for first in range(len(admitted)):
        total = 0
        for moment, amount in admitted[first:]:
            total += amount
            allowed = rate * (moment - admitted[first][0]) + burst
            assert total <= allowed * (1 + 1e-9) + 1e-6


@given(RATES, st.integers(1, 1000), st.lists(st.tuples(PAUSES, st.integers(1, 1000)), max_size=50))
def test_who_comes_back_when_told_is_let_in(rate: float, burst: int, schedule: list[tuple[float, int]]) -> None:
    bucket, now = TokenBucket(rate, burst), 0.0
    for pause, amount in schedule:
        now += pause
        if amount <= burst:
            wait = bucket.take(amount, now)
            if wait:
                now += wait * (1 + 1e-9) + 1e-6 / rate + 1e-6
                assert bucket.take(amount, now) == 0.0


@given(RATES, st.integers(1, 1000), st.lists(st.tuples(PAUSES, st.integers(0, 10_000)), max_size=50))
def test_what_was_spent_is_paid_by_time_alone(rate: float, burst: int, schedule: list[tuple[float, int]]) -> None:
    bucket, now, level = TokenBucket(rate, burst), 0.0, float(burst)
    for pause, amount in schedule:
        now += pause
        level = min(burst, level + pause * rate) - amount
        bucket.spend(amount, now)
        assert bucket.left(now) == pytest.approx(level, rel=1e-6, abs=1e-3)


def test_a_bucket_in_debt_admits_nothing_until_it_is_paid() -> None:
    bucket = TokenBucket(10.0, 20)
    bucket.spend(50, 0.0)
    assert bucket.left(0.0) == -30
    assert bucket.take(1, 0.0) == pytest.approx(3.1)
    assert bucket.take(1, 3.0) > 0.0
    assert bucket.take(1, 3.2) == 0.0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1.0, 1)
    assert bucket.take(1, 100.0) == 0.0
    assert all(bucket.take(1, moment) > 0.0 for moment in (50.0, 100.0, 99.9, 100.5))


def test_another_limit_keeps_what_is_left() -> None:
    bucket = TokenBucket(1.0, 10)
    bucket.take(7, 0.0)
    bucket.resize(100.0, 1000)
    assert bucket.left(0.0) == 3
    bucket.resize(1.0, 2)
    assert bucket.left(0.0) == 2
    bucket.spend(50, 0.0)
    bucket.resize(5.0, 100)
    assert bucket.left(0.0) == -48


def test_the_wait_that_is_told_shrinks_as_time_goes() -> None:
    bucket: Bucket = TokenBucket(2.0, 1)
    assert bucket.take(1, 0.0) == 0.0
    waits = [bucket.take(1, moment) for moment in (0.0, 0.1, 0.2, 0.3)]
    assert all(later < earlier for earlier, later in pairwise(waits))
