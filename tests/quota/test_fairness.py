"""Max-min in whole units against a model that gives one unit after the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.quota.fairness import level, max_min

WANTED = st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0])), max_size=12)


def naive(total: int, demands: list[int], weights: list[float]) -> list[int]:
    """One unit after the other to whoever has least for its weight; the first of equals."""
    parts = [0] * len(demands)
    for _ in range(total):
        wanting = [one for one in range(len(demands)) if parts[one] < demands[one]]
        if not wanting:
            break
        parts[min(wanting, key=lambda one: (parts[one] / weights[one], one))] += 1
    return parts


@given(total=st.integers(0, 200), wanted=WANTED)
def test_it_is_what_giving_one_unit_after_the_other_comes_to(total: int, wanted: list[tuple[int, float]]) -> None:
    demands, weights = [want for want, _ in wanted], [weight for _, weight in wanted]
    assert max_min(total, demands, weights) == naive(total, demands, weights)
    assert max_min(total, demands) == naive(total, demands, [1.0] * len(demands))


@given(total=st.integers(0, 10**9), wanted=st.lists(st.tuples(st.integers(0, 10**9), st.floats(0.01, 100))))
def test_nothing_is_left_while_anybody_wants_and_nobody_has_less_for_another_who_has_more(
    total: int, wanted: list[tuple[int, float]]
) -> None:
    demands, weights = [want for want, _ in wanted], [weight for _, weight in wanted]
    parts = max_min(total, demands, weights)
    assert sum(parts) == min(total, sum(demands))
    assert all(0 <= part <= want for part, want in zip(parts, demands, strict=True))
    highest = max(((part - 1) / weight for part, weight in zip(parts, weights, strict=True)), default=0.0)
    for part, want, weight in zip(parts, demands, weights, strict=True):
        assert part == want or part / weight >= highest


@given(total=st.integers(1, 100), wanted=WANTED)
def test_who_gets_another_is_not_above_the_level_and_who_gets_none_is_not_below(
    total: int, wanted: list[tuple[int, float]]
) -> None:
    demands, weights = [want for want, _ in wanted], [weight for _, weight in wanted]
    height = level(total, demands, weights)
    for part, want, weight in zip(max_min(total, demands, weights), demands, weights, strict=True):
        if part:  # one unit before its part it is below
            assert (part - 1) / weight <= height
        if part < want:
            assert part / weight >= height


def test_everybody_has_one_before_the_heaviest_has_two() -> None:
    assert max_min(3, [5, 5, 5], [1.0, 100.0, 1.0]) == [1, 1, 1]
    assert max_min(5, [5, 5, 5], [1.0, 100.0, 1.0]) == [1, 3, 1]
    assert max_min(2, [5, 5, 5]) == [1, 1, 0]


def test_who_wants_little_has_it_and_the_others_divide_the_rest() -> None:
    assert max_min(100, [10, 1000, 1000]) == [10, 45, 45]
    assert max_min(100, [1000, 1000], [3.0, 1.0]) == [75, 25]


@pytest.mark.parametrize(
    ("total", "demands", "weights"),
    [(-1, [1], [1.0]), (1, [-1], [1.0]), (1, [1], [0.0]), (1, [1], [float("inf")]), (1, [1], [])],
)
def test_what_means_nothing_is_refused(total: int, demands: list[int], weights: list[float]) -> None:
    with pytest.raises(ValueError, match="demand"):
        max_min(total, demands, weights)
