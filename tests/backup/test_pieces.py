"""Pieces are whole rows; counts and common beginnings are those of the rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.pieces import Pieces, altered, beginning, field_of, rows_of, value_of

FIELD = st.text(max_size=8).filter(lambda one: "\0" not in one)
ROWS = st.lists(st.lists(FIELD, min_size=1, max_size=3), max_size=8)


def copied(rows: list[list[str]]) -> bytes:
    return b"".join(b"\t".join(field_of(one) for one in row) + b"\n" for row in rows)


@given(ROWS, st.integers(1, 40))
def test_pieces_are_whole_rows_in_their_order(rows: list[list[str]], size: int) -> None:
    pieces = Pieces(size)
    found = [pieces.add(copied([row])) for row in rows]
    found.append(pieces.rest())
    whole = [one for one in found if one is not None]
    assert b"".join(whole) == copied(rows)
    assert all(one.endswith(b"\n") for one in whole)
    assert sum(map(rows_of, whole)) == len(rows)
    assert pieces.rest() is None


@given(ROWS)
def test_the_beginning_is_the_first_field_of_all_rows(rows: list[list[str]]) -> None:
    first = {field_of(row[0]) for row in rows}
    width = {len(row) for row in rows}
    if len(width) == 1:
        assert beginning(copied(rows)) == (first.pop() if len(first) == 1 else None)


def test_a_key_that_is_the_beginning_of_another_is_not_it() -> None:
    assert beginning(b"1\ta\n12\tb\n") is None
    assert beginning(b"1\ta\n1\tb\n") == b"1"
    assert beginning(b"1\n1\n1\n") == b"1"
    assert beginning(b"1\n2\n") is None
    assert beginning(b"1\ta\n1\tb") is None
    assert beginning(b"") is None


@given(ROWS)
def test_a_field_means_the_value_that_it_was_made_of(rows: list[list[str]]) -> None:
    assert [[value_of(field_of(one)) for one in row] for row in rows] == rows
    assert value_of(rb"a\tb\\n\N\q") == "a\tb\\nNq"


def test_fields_are_changed_where_they_are_and_a_row_of_another_width_is_an_error() -> None:
    changes = [(1, lambda one: one.upper()), (2, lambda _: rb"\N")]
    assert altered(b"a\tb\tc\nd\te\\n\tf\n", changes, 3) == b"a\tB\t\\N\nd\tE\\N\t\\N\n"
    assert altered(b"", changes, 3) == b""
    with pytest.raises(ValueError, match="a row has 2 fields, not 3"):
        altered(b"a\tb\n", changes, 3)
