"""Rows begin where PostgreSQL says, however the bytes are cut, and the quick look finds what the careful one does."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.copylines import CsvRows, Rows, TextRows

KEY = b"<k>\t"
HEAD = b"<h>\t"


def reference(data: bytes, first: bytes, quote: bytes = b"", escape: bytes = b"", marker: bool = True) -> bytes:
    """One byte at a time, as commands/copyfromparse.c reads a line; slow, and with all data at hand."""
    out = bytearray()
    newline, put, at = b"", first, 0
    escape = b"" if escape == quote else escape
    while at < len(data):
        if marker and data[at : at + 2] == b"\\.":
            tail = data[at + 2 : at + 4]
            if not quote or (tail[:1] in (b"\r", b"\n") if newline != b"\r\n" else tail in (b"\r\n", b"\r\r")):
                return bytes(out) + data[at:]
        out += put
        put = KEY
        quoted = escaped = False
        while at < len(data):
            one = data[at : at + 1]
            if quote:
                if quoted and one == escape:
                    escaped = not escaped
                if one == quote and not escaped:
                    quoted = not quoted
                if one != escape:
                    escaped = False
            elif one == b"\\":
                if data[at + 1 : at + 2] == b".":
                    return bytes(out) + data[at:]
                out += data[at : at + 2]
                at += 2
                continue
            if quoted or one not in (b"\r", b"\n"):
                out += one
                at += 1
                continue
            end = one
            if one == b"\r" and newline in (b"", b"\r\n") and data[at + 1 : at + 2] == b"\n":
                end = b"\r\n"
            if newline not in (b"", end):
                return bytes(out) + data[at:]
            newline = end
            out += end
            at += len(end)
            break
    return bytes(out)


class CarefulText(TextRows):
    def _quick(self, data: bytes) -> bytes | None:
        return None


class CarefulCsv(CsvRows):
    def _quick(self, data: bytes) -> bytes | None:
        return None


def scan(rows: Rows, data: bytes, cuts: list[int]) -> bytes:
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return b"".join([*(rows.feed(data[begin:end]) for begin, end in pairwise(bounds)), rows.end()])


def pieces(*more: bytes) -> st.SearchStrategy[bytes]:
    """Hostile data: mostly what rows are made of, and hardly anything else."""
    tokens = (b"\n", b"\n", b"\r\n", b"\r", b"\\", b"\\.", b"\\.\n", b"\\.\r\n", b"\\N", b"\\\\", b"a", b"b\t", b".")
    return st.lists(st.sampled_from((*tokens, *more)), max_size=14).map(b"".join)


QUOTING = ((b'"', b'"'), (b'"', b"\\"), (b"'", b"^"), (b"\\", b"\\"), (b"\\", b"."), (b"^", b"-"), (b".", b"]"))
CUTS = st.lists(st.integers(0, 60), max_size=5)


@given(pieces(), CUTS, st.sampled_from([KEY, HEAD, b""]))
def test_text_cut_anywhere_is_what_the_reference_says(data: bytes, cuts: list[int], first: bytes) -> None:
    expected = reference(data, first)
    assert scan(TextRows(KEY, first), data, cuts) == expected
    assert scan(CarefulText(KEY, first), data, cuts) == expected


@given(
    pieces(b'"', b'"', b"'", b"^", b'"x\ny"'),
    CUTS,
    st.sampled_from([KEY, HEAD, b""]),
    st.sampled_from(QUOTING),
    st.booleans(),
)
def test_csv_cut_anywhere_is_what_the_reference_says(
    data: bytes, cuts: list[int], first: bytes, quoting: tuple[bytes, bytes], marker: bool
) -> None:
    expected = reference(data, first, *quoting, marker)
    assert scan(CsvRows(KEY, first, *quoting, marker), data, cuts) == expected
    assert scan(CarefulCsv(KEY, first, *quoting, marker), data, cuts) == expected


def test_each_row_gets_the_prefix_and_the_bytes_behind_the_last_newline_begin_one() -> None:
    rows = TextRows(KEY, KEY)
    assert rows.feed(b"1\tx\n2\ty\n") == b"<k>\t1\tx\n<k>\t2\ty\n"
    assert rows.feed(b"3") == b"<k>\t3"
    assert rows.feed(b"\tz\n") == b"\tz\n"
    assert rows.end() == b""


def test_a_newline_behind_a_backslash_is_data_wherever_the_cut_is() -> None:
    for cut in range(6):
        data = b"a\\\nb\nc"
        rows = TextRows(KEY, KEY)
        assert rows.feed(data[:cut]) + rows.feed(data[cut:]) + rows.end() == b"<k>\ta\\\nb\n<k>\tc"


def test_the_end_marker_is_no_row_and_nothing_behind_it_is() -> None:
    assert scan(TextRows(KEY, KEY), b"a\n\\.\nb\nc\n", []) == b"<k>\ta\n\\.\nb\nc\n"
    assert scan(CsvRows(KEY, KEY, b'"', b'"', True), b"a\n\\.\nb\nc\n", []) == b"<k>\ta\n\\.\nb\nc\n"


def test_the_end_marker_is_a_row_of_csv_where_the_server_is_newer_or_the_line_goes_on() -> None:
    assert scan(CsvRows(KEY, KEY, b'"', b'"', False), b"\\.\nb\n", []) == b"<k>\t\\.\n<k>\tb\n"
    assert scan(CsvRows(KEY, KEY, b'"', b'"', True), b"\\.x\nb\n", []) == b"<k>\t\\.x\n<k>\tb\n"
    assert scan(CsvRows(KEY, KEY, b'"', b'"', True), b"\\.", []) == b"<k>\t\\."


def test_a_quoted_newline_begins_no_row() -> None:
    data = b'1,"a\n2,globex\n"\n2,b\n'
    assert scan(CsvRows(b"k,", b"k,", b'"', b'"', True), data, []) == b'k,1,"a\n2,globex\n"\nk,2,b\n'


def test_an_escaped_quote_closes_nothing_though_the_cut_is_between() -> None:
    for cut in range(9):
        data = b'"a\\"\nb"\nc'
        rows = CsvRows(b"k,", b"k,", b'"', b"\\", True)
        assert rows.feed(data[:cut]) + rows.feed(data[cut:]) + rows.end() == b'k,"a\\"\nb"\nk,c'


def test_a_newline_of_another_style_is_the_servers_to_refuse_and_nothing_behind_it_is_touched() -> None:
    assert scan(TextRows(KEY, KEY), b"a\nb\rc\nd\n", []) == b"<k>\ta\n<k>\tb\rc\nd\n"
    assert scan(TextRows(KEY, KEY), b"a\r\nb\nc\n", []) == b"<k>\ta\r\n<k>\tb\nc\n"


def test_a_header_gets_its_own_prefix_or_none() -> None:
    assert scan(TextRows(KEY, HEAD), b"h\na\nb\n", []) == b"<h>\th\n<k>\ta\n<k>\tb\n"
    assert scan(TextRows(KEY, b""), b"h\na\nb\n", [1]) == b"h\n<k>\ta\n<k>\tb\n"


def test_what_is_held_back_is_never_more_than_three_bytes() -> None:
    rows = CsvRows(KEY, KEY, b'"', b'"', True)
    sent = b"a\r\n\\.\r" * 2
    got = b""
    for at in range(len(sent)):
        got += rows.feed(sent[at : at + 1])
        assert len(got.replace(KEY, b"")) >= at + 1 - 3
