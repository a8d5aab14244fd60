"""Rows that are gone are told by their numbers, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.gone import Gone, numbers
from proxy.backup.refusal import Damaged


@given(st.integers(1, 60).flatmap(lambda rows: st.tuples(st.just(rows), st.sets(st.integers(1, rows)))))
def test_a_row_is_gone_once_it_was_added_and_the_others_stay(drawn: tuple[int, set[int]]) -> None:
    rows, wanted = drawn
    gone = Gone(rows)
    for one in wanted:
        gone.add(one)
    assert {one for one in range(1, rows + 1) if one in gone} == wanted
    assert len(gone) == len(wanted)
    for first in range(1, rows + 1):
        assert gone.count(first, rows + 1) == len([one for one in wanted if one >= first])
        assert gone.count(first, first + 1) == (first in wanted)
    assert [one for text in gone.texts() for one in numbers(text)] == sorted(wanted)
    plain = b"".join(f"{one}\n".encode() for one in range(1, rows + 1))
    assert gone.without(plain, 1).split() == [str(one).encode() for one in range(1, rows + 1) if one not in wanted]


def test_rows_that_are_empty_are_rows() -> None:
    gone = Gone(9)
    gone.add(5)
    assert gone.without(b"\n\n\n", 4) == b"\n\n"


def test_many_numbers_are_several_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.backup.gone.LINES", 10)
    gone = Gone(100)
    for one in range(1, 101):
        gone.add(one)
    told = list(gone.texts())
    assert len(told) > 5
    assert b"".join(told).split() == [str(one).encode() for one in range(1, 101)]


def test_what_is_no_row_or_gone_already_is_damage() -> None:
    gone = Gone(8)
    gone.add(8)
    for one in (0, 8, 9, -1):
        with pytest.raises(Damaged, match=f"row {one} of 8 cannot be gone"):
            gone.add(one)
    with pytest.raises(Damaged, match="has something else in it"):
        numbers(b"1\nx\n")
