"""Usage: differences of totals add up to the last total."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.quota.usage import NOTHING, Usage

USAGES = st.tuples(*[st.integers(0, 2**40)] * len(Usage._fields)).map(Usage._make)


@given(st.lists(USAGES, min_size=1))
def test_differences_of_totals_add_up_to_the_last_total(totals: list[Usage]) -> None:
    added, before = NOTHING, NOTHING
    for total in totals:
        added = added.plus(total.minus(before))
        before = total
    assert added == totals[-1]


def test_each_figure_is_added_to_its_own() -> None:
    ones = Usage._make(10**position for position in range(len(Usage._fields)))
    assert ones.plus(ones) == Usage._make(2 * 10**position for position in range(len(Usage._fields)))
    assert ones.minus(ones) == NOTHING
