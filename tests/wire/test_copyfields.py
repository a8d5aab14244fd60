"""What both readers of COPY data say of rows that are no rows, and that it does not matter where data are cut."""

from __future__ import annotations

import random

import pytest

from proxy.wire import copyfields
from proxy.wire.copyfields import DEFAULT, SHOWN, Reader, Shape, cut
from proxy.wire.copyformat import CopyFormat
from tests.wire.copied import rows

TEXT = CopyFormat()
CSV = CopyFormat("csv", b",")
AB = Shape(("a", "b"))
AB_CSV = Shape(("a", "b"), null=b"")


@pytest.mark.parametrize(
    ("data", "message", "context"),
    [
        (b"1\tx\n2\n", 'missing data for column "b"', 'line 2: "2"'),
        (b"1\tx\ty\n", "extra data after last expected column", 'line 1: "1\tx\ty"'),
        (b"1\tx\r\n2\ty\n", "literal newline found in data", "line 2"),
        (b"1\tx\n2\ty\r\n", "literal carriage return found in data", "line 2"),
    ],
)
def test_a_row_that_is_none_is_named_by_its_line(data: bytes, message: str, context: str) -> None:
    problem = rows(TEXT, AB, data)[1]
    assert problem is not None
    assert (problem.message, problem.context, problem.sqlstate) == (message, context, "22P04")


def test_the_rows_before_a_problem_are_handed_out_and_none_after_it() -> None:
    found, problem = rows(TEXT, AB, b"1\tx\n2\n3\ty\n")
    assert found == [(1, [b"1", b"x"])]
    assert problem is not None


@pytest.mark.parametrize(
    ("shape", "header", "message"),
    [
        (AB, b"a\n", "wrong number of fields in header line: got 1, expected 2"),
        (AB, b"a\tc\n", 'column name mismatch in header line field 2: got "c", expected "b"'),
        (AB, b"a\t\\N\n", 'column name mismatch in header line field 2: got null value ("\\N"), expected "b"'),
    ],
)
def test_a_header_that_must_match_does(shape: Shape, header: bytes, message: str) -> None:
    wanted = Shape(shape.columns, header="match")
    problem = rows(TEXT, wanted, header)[1]
    assert problem is not None
    assert problem.message == message
    assert rows(TEXT, wanted, b"a\tb\n1\t2\n") == ([(2, [b"1", b"2"])], None)


def test_the_default_marker_stands_for_a_default_where_the_column_has_one() -> None:
    shape = Shape(("a", "b"), default=b"D", defaults=frozenset({1}))
    assert rows(TEXT, shape, b"1\tD\n") == ([(1, [b"1", DEFAULT])], None)
    problem = rows(TEXT, shape, b"D\t1\n")[1]
    assert problem is not None
    assert problem.message == "unexpected default marker in COPY data"
    assert problem.detail == 'Column "a" has no default value.'


def test_a_row_that_is_too_long_is_no_row() -> None:
    reader = TEXT.reader(AB, 10)
    assert reader.feed(b"12345\t123") == []
    assert reader.feed(b"45678") == []
    assert reader.problem is not None
    assert reader.problem.sqlstate == "54000"
    assert reader.feed(b"\n") == []


def test_a_long_line_is_shown_cut_on_a_character() -> None:
    assert cut(b"x" * SHOWN) == "x" * SHOWN
    assert cut(b"x" * 99 + "ø".encode()) == "x" * 99 + "..."


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("form", "shape", "alphabet"),
    [
        (TEXT, AB, b"ab\t\t\\\n\n\r.N1x"),
        (TEXT, Shape(("a", "b"), major=15), b"a\t\\\n\r."),
        (CSV, AB_CSV, b'ab,,"\n\n\r\\.'),
        (CSV, Shape(("a", "b"), null=b"", major=15), b'a,"\n\r\\.'),
        (CopyFormat("csv", b",", b'"', b"'"), AB_CSV, b"ab,,\"'\n\n\r"),
    ],
)
def test_data_cut_anywhere_give_the_same_rows(form: CopyFormat, shape: Shape, alphabet: bytes, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2000):
        data = bytes(chance.choice(alphabet) for _ in range(chance.randint(0, 24)))
        whole, problem = rows(form, shape, data)
        for cuts in (range(1, len(data)), sorted(chance.choices(range(len(data) + 1), k=3))):
            pieces, other = rows(form, shape, data, cuts)
            assert (pieces, other and (other.message, other.context)) == (
                whole,
                problem and (problem.message, problem.context),
            ), data


def test_a_reader_is_of_its_format() -> None:
    assert isinstance(TEXT.reader(AB, 1), Reader)


@pytest.mark.parametrize("size", range(4, 9))
def test_a_long_value_is_decoded_in_slices_of_whole_characters(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(copyfields, "SLICE", size)
    text = "aø€😀" * 5
    assert rows(TEXT, Shape(("a",)), text.encode() + b"\n") == ([(1, [text.encode()])], None)
    for bad, shown in ((b"\xff", "0xff"), (b"\xe2\x82", "0xe2 0x82"), (b"\x80" * 12, "0x80")):
        problem = rows(TEXT, Shape(("a",)), text.encode() + bad + b"\n")[1]
        assert problem is not None
        assert problem.message == f'invalid byte sequence for encoding "UTF8": {shown}'
