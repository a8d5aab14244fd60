"""COPY data in the text format become fields as PostgreSQL reads them."""

from __future__ import annotations

import pytest

from proxy.wire.copyfields import MARKS, Field, Shape
from proxy.wire.copyformat import CopyFormat
from proxy.wire.copytext import TextReader
from tests.wire.copied import rows

TEXT = CopyFormat()
ONE = Shape(("a",))
AB = Shape(("a", "b"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"x", b"x"),
        (b"", b""),
        (b"\\N", None),
        (b"\\\\N", b"\\N"),
        (b"\\t\\n\\r\\b\\f\\v", b"\t\n\r\b\f\v"),
        (b"\\101\\1012\\7x", b"AA2\x07x"),
        (b"\\x41\\x4g\\xg", b"A\x04gxg"),
        (b"a\\\nb", b"a\nb"),
        (b"\\a", b"a"),
    ],
)
def test_a_backslash_and_what_follows_it_mean_what_they_mean_to_postgresql(field: bytes, value: bytes | None) -> None:
    assert rows(TEXT, ONE, field + b"\n") == ([(1, [value])], None)
    assert rows(TEXT, AB, field + b"\t" + field + b"\n") == ([(1, [value, value])], None)


def test_bytes_that_are_no_utf_8_are_named() -> None:
    for data, shown, context in (
        (b"a\nx\xc3(\n", "0xc3 0x28", "line 2"),
        (b"a\n\0\n", "0x00", "line 2"),
        (b"a\n\\777\n", "0xff", 'line 2: "\\777"'),
    ):
        problem = rows(TEXT, ONE, data)[1]
        assert problem is not None
        assert (problem.sqlstate, problem.message) == ("22021", f'invalid byte sequence for encoding "UTF8": {shown}')
        assert problem.context == context


def test_the_delimiter_may_be_escaped_and_the_null_marker_may_be_another() -> None:
    form = CopyFormat(delimiter=b"|")
    shape = Shape(("a", "b"), null=b"nil")
    assert rows(form, shape, b"a\\|b|nil\n\\N|x\n") == ([(1, [b"a|b", None]), (2, [b"N", b"x"])], None)


def test_the_last_row_needs_no_newline_and_a_backslash_at_its_end_is_nothing() -> None:
    assert rows(TEXT, ONE, b"a\nb\\") == ([(1, [b"a"]), (2, [b"b"])], None)


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
def test_the_end_marker_ends_the_data(newline: bytes) -> None:
    data = b"a" + newline + b"\\." + newline + b"b" + newline
    assert rows(TEXT, ONE, data) == ([(1, [b"a"])], None)
    assert rows(TEXT, ONE, b"a" + newline + b"\\.") == ([(1, [b"a"])], None)


def test_an_end_marker_behind_data_ends_the_row_before_postgresql_18() -> None:
    assert rows(TEXT, Shape(("a",), major=17), b"a\\.\nb\n") == ([(1, [b"a"])], None)
    problem = rows(TEXT, ONE, b"a\\.\nb\n")[1]
    assert problem is not None
    assert problem.message == "end-of-copy marker is not alone on its line"


def test_an_end_marker_of_another_style_or_with_more_behind_it_is_none() -> None:
    shape = Shape(("a",), major=17)
    for data, message in (
        (b"a\n\\.x\n", "end-of-copy marker corrupt"),
        (b"a\r\n\\.\n", "end-of-copy marker does not match previous newline style"),
    ):
        problem = rows(TEXT, shape, data)[1]
        assert problem is not None
        assert problem.message == message


def test_a_row_has_so_many_backslashes_and_no_more() -> None:
    assert rows(TEXT, AB, b"\\a" * MARKS + b"\tx\n" + b"\\b\tx\n") == (
        [(1, [b"a" * MARKS, b"x"]), (2, [b"\b", b"x"])],
        None,
    )
    for data in (b"\\a" * (MARKS + 1) + b"\tx\n", b"\\\\" * (MARKS // 2 + 1) + b"\tx\n"):
        for cuts in ((), range(1, len(data), 4096)):
            found, problem = rows(TEXT, AB, b"1\tx\n" + data, cuts)
            assert found == [(1, [b"1", b"x"])]
            assert problem is not None
            assert (problem.sqlstate, problem.context, bool(problem.hint)) == ("54000", "line 2", True)


def test_a_row_with_too_many_is_not_waited_for() -> None:
    reader = TEXT.reader(AB, 1 << 30)
    fed = 0
    while reader.problem is None:
        assert fed < 3 * MARKS
        reader.feed(b"\\a" * 1024)
        fed += 2048


@pytest.mark.parametrize("field", [b"x", b"\\t"])
def test_no_more_fields_are_made_than_one_too_many(field: bytes) -> None:
    made: list[bytes] = []

    class Counted(TextReader):
        def _marked(self, raw: bytes, value: bytes) -> Field:
            made.append(raw)
            return super()._marked(raw, value)

    reader = Counted(Shape(("a", "b"), null=b"nil"), 1 << 20, b"\t")
    reader.feed(field + b"\t" * 100_000 + b"\n")
    assert reader.problem is not None
    assert reader.problem.message == "extra data after last expected column"
    assert len(made) == 3
