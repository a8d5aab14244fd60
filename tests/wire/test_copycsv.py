"""COPY data in CSV become fields as PostgreSQL reads them."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.wire.copycsv import CsvReader
from proxy.wire.copyfields import MARKS, Field, Shape
from proxy.wire.copyformat import CopyFormat
from tests.wire.copied import rows

CSV = CopyFormat("csv", b",")
AB = Shape(("a", "b"), null=b"")


def test_what_stands_between_quotes_is_data_and_lines_within_them_count() -> None:
    data = b'0,0\n1,"x\ny"\n2,"a""b, c"\n"3"4,z\n'
    wanted = [(1, [b"0", b"0"]), (3, [b"1", b"x\ny"]), (4, [b"2", b'a"b, c']), (5, [b"34", b"z"])]
    assert rows(CSV, AB, data) == (wanted, None)


def test_null_is_what_has_no_quotes_but_where_columns_are_forced() -> None:
    assert rows(CSV, AB, b'1,\n2,""\n')[0] == [(1, [b"1", None]), (2, [b"2", b""])]
    forced = Shape(("a", "b"), null=b"", not_null=frozenset({0}), force_null=frozenset({1}))
    assert rows(CSV, forced, b',""\n')[0] == [(1, [b"", None])]


def test_an_escape_of_its_own_protects_quotes_and_itself() -> None:
    form = CopyFormat("csv", b",", b'"', b"!")
    assert rows(form, AB, b'"a!"b!!",!x\n')[0] == [(1, [b'a"b!', b"!x"])]


def test_a_quote_that_is_not_closed_is_an_error() -> None:
    problem = rows(CSV, AB, b'1,"x\n')[1]
    assert problem is not None
    assert problem.message == "unterminated CSV quoted field"


def test_a_line_of_the_end_marker_is_data_since_postgresql_18() -> None:
    one = Shape(("a",), null=b"")
    assert rows(CSV, one, b"x\n\\.\ny\n")[0] == [(1, [b"x"]), (2, [b"\\."]), (3, [b"y"])]
    older = Shape(("a",), null=b"", major=17)
    assert rows(CSV, older, b"x\n\\.\ny\n")[0] == [(1, [b"x"])]
    assert rows(CSV, older, b"x\n\\.y\n")[0] == [(1, [b"x"]), (2, [b"\\.y"])]


def test_newlines_are_of_one_style() -> None:
    for data, what in ((b"1,2\n3,4\r\n", "carriage return"), (b"1,2\r3,4\n", "newline")):
        problem = rows(CSV, AB, data)[1]
        assert problem is not None
        assert problem.message == f"unquoted {what} found in data"


def test_a_row_has_so_many_quotes_and_no_more() -> None:
    pairs = MARKS // 2 - 1
    wanted = [(1, [b'"' * pairs, b"x"]), (2, [b'"', b"y"])]
    assert rows(CSV, AB, b'"' + b'""' * pairs + b'",x\n"""",y\n') == (wanted, None)
    for cuts in ((), range(1, 2 * MARKS, 4096)):
        found, problem = rows(CSV, AB, b'1,"x"\n"' + b'""' * MARKS + b'",x\n', cuts)
        assert found == [(1, [b"1", b"x"])]
        assert problem is not None
        assert (problem.sqlstate, problem.context, bool(problem.hint)) == ("54000", "line 2", True)


def test_newlines_within_quotes_are_no_quotes() -> None:
    found, problem = rows(CSV, AB, b'0,0\n"' + b"\n" * (2 * MARKS) + b'",x\n')
    assert problem is None
    assert found[1:] == [(2 * MARKS + 2, [b"\n" * (2 * MARKS), b"x"])]


@pytest.mark.parametrize("field", [b"x", b'"x"'])
def test_no_more_fields_are_made_than_one_too_many(field: bytes) -> None:
    made: list[bytes] = []

    class Counted(CsvReader):
        def _marked(self, value: bytes, quoted: bool, at: int) -> Field:
            made.append(value)
            return super()._marked(value, quoted, at)

    reader = Counted(AB, 1 << 20, b",", b'"', b'"')
    reader.feed(field + b"," * 100_000 + b"\n")
    assert reader.problem is not None
    assert reader.problem.message == "extra data after last expected column"
    assert len(made) <= 3


def test_a_quote_that_is_not_closed_behind_too_many_fields_is_the_error() -> None:
    problem = rows(CSV, AB, b'1,2,3,"x\n')[1]
    assert problem is not None
    assert problem.message == "unterminated CSV quoted field"


@pytest.mark.parametrize("escape", [b'"', b"!"])
def test_each_byte_of_a_row_is_looked_at_once_for_each_thing_that_is_sought(escape: bytes) -> None:
    looked: list[int] = []

    class Watched(bytes):
        def find(self, what: Any, start: Any = 0, end: Any = None) -> int:
            found = super().find(what, start)
            looked.append((len(self) if found < 0 else found) - start)
            return found

    line = Watched(b'"a"b' * 1000 + b",x" + b"y" * 10_000)
    assert CsvReader(AB, 1 << 20, b",", b'"', escape)._fields(line) == [b"ab" * 1000, b"x" + b"y" * 10_000]
    assert sum(looked) <= 3 * len(line)
