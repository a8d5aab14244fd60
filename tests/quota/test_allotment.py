"""Allotments: fair by demand, whole, and never above what no bound covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.quota.allotment import Entry, allot


def test_the_leftover_is_spread_evenly() -> None:
    entries = {"a": Entry(0, 4), "b": Entry(0, 1), "c": Entry(0, 0)}
    assert [allot(entries, name, 10, 0) for name in "abc"] == [6, 3, 1]


def test_who_wants_little_gets_it_and_the_others_share_the_rest() -> None:
    entries = {"a": Entry(0, 9), "b": Entry(0, 9), "c": Entry(0, 2)}
    assert [allot(entries, name, 10, 0) for name in "abc"] == [4, 4, 2]


def test_nothing_is_raised_beyond_what_no_bound_covers() -> None:
    entries = {"a": Entry(2, 5), "b": Entry(7, 1)}
    assert allot(entries, "a", 10, 2) == 3
    assert allot(entries, "b", 10, 7) == 3


def test_a_lower_limit_lowers_everybody_without_a_detour() -> None:
    entries = {"a": Entry(50, 50), "b": Entry(50, 50)}
    assert [allot(entries, name, 50, 50) for name in "ab"] == [25, 25]


@given(
    st.integers(0, 20),
    st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(0, 9), st.integers(0, 20)), min_size=1),
    st.data(),
)
def test_bounds_within_the_limit_stay_within_it(
    limit: int, known: dict[str, tuple[int, int]], data: st.DataObject
) -> None:
    entries = {name: Entry(bound, wanted) for name, (bound, wanted) in known.items()}
    before = sum(one.bound for one in entries.values())
    name = data.draw(st.sampled_from(sorted(entries)))
    allotted = data.draw(st.integers(0, entries[name].bound))
    entries[name].bound = max(allotted, allot(entries, name, limit, allotted))
    assert sum(one.bound for one in entries.values()) <= max(limit, before)
