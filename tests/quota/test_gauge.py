"""Never more at one time than the limit, and whoever leaves was in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.quota.gauge import CountingGauge, Gauge


@given(st.integers(1, 5), st.lists(st.one_of(st.booleans(), st.integers(1, 5))))
def test_never_more_than_the_limit_come_in(limit: int, story: list[bool | int]) -> None:
    gauge: Gauge = CountingGauge(limit)
    inside = 0
    for one in story:
        if one is True:
            assert gauge.enter() == (inside < gauge.limit)
            inside += inside < gauge.limit
        elif one is False and inside:
            gauge.leave()
            inside -= 1
        elif one is not False:
            gauge.limit = one
        assert gauge.held == inside


def test_nobody_leaves_who_was_not_in() -> None:
    with pytest.raises(ValueError, match="nobody is in"):
        CountingGauge(1).leave()
