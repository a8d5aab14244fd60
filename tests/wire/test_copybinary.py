"""Each row of the binary format gets a field more, however the bytes are cut; what is wrong never looks right."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.copybinary import SIGNATURE, BinaryRows

KEY = b"\0\0\0\4\0\0\0\7"
HEADER = SIGNATURE + struct.pack("!ii", 0, 0)
TRAILER = b"\xff\xff"


def row(*values: bytes | None) -> bytes:
    fields = (b"\xff\xff\xff\xff" if one is None else struct.pack("!i", len(one)) + one for one in values)
    return struct.pack("!h", len(values)) + b"".join(fields)


def keyed(*values: bytes | None) -> bytes:
    return row(b"\0\0\0\7", *values)


def scan(data: bytes, fields: int, cuts: list[int] | None = None) -> bytes:
    rows = BinaryRows(KEY, fields)
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or [])})
    return b"".join([*(rows.feed(data[begin:end]) for begin, end in pairwise(bounds)), rows.end()])


VALUES = st.one_of(st.none(), st.binary(max_size=6), st.just(row(b"x") * 3), st.just(TRAILER))


@given(
    st.lists(st.tuples(VALUES, VALUES), max_size=6),
    st.binary(max_size=9),
    st.lists(st.integers(0, 300), max_size=8),
    st.sampled_from([b"", TRAILER, TRAILER + row(b"a", b"b")]),
)
def test_rows_cut_anywhere_get_the_field_first(
    values: list[tuple[bytes | None, bytes | None]], extension: bytes, cuts: list[int], end: bytes
) -> None:
    head = SIGNATURE + struct.pack("!ii", 0, len(extension)) + extension
    data = head + b"".join(row(*one) for one in values) + end
    assert scan(data, 2, cuts) == head + b"".join(keyed(*one) for one in values) + end


@given(st.integers(-32768, 32767), st.lists(st.integers(0, 60), max_size=4))
def test_a_wrong_count_never_becomes_the_right_one_and_what_follows_is_not_touched(count: int, cuts: list[int]) -> None:
    tail = b"\0\0\0\1x" * 4 + row(b"a", b"b")
    out = scan(HEADER + row(b"a", b"b") + struct.pack("!h", count) + tail, 2, cuts)
    if count == 2:
        return
    begin = HEADER + keyed(b"a", b"b")
    assert out[: len(begin)] == begin
    sent = struct.unpack_from("!h", out, len(begin))[0]
    assert sent == (count + 1 if 0 <= count < 32767 else count)
    assert sent != 3
    assert (sent == -1) is (count == -1)
    assert out[len(begin) + 2 :] == tail


def test_a_negative_length_is_the_servers_to_refuse() -> None:
    tail = struct.pack("!i", -2) + row(b"a", b"b")
    assert scan(HEADER + struct.pack("!h", 2) + tail, 2) == HEADER + struct.pack("!h", 3) + KEY + tail


def test_what_is_no_header_is_passed_as_it_is() -> None:
    for data in (
        b"PGCOPY\n\xff\r\n\1" + bytes(8) + row(b"a"),
        b"1\t2\n",
        SIGNATURE + struct.pack("!ii", 0, -1) + row(b"a"),
    ):
        assert scan(data, 1) == data
        assert scan(data, 1, [3]) == data


def test_a_large_value_is_passed_as_it_comes() -> None:
    rows = BinaryRows(KEY, 1)
    rows.feed(HEADER)
    assert rows.feed(struct.pack("!hi", 1, 1 << 20)) == struct.pack("!h", 2) + KEY + struct.pack("!i", 1 << 20)
    for _ in range(16):
        piece = (row(b"evil") * 6554)[: 1 << 16]
        assert rows.feed(piece) == piece
    assert rows.feed(row(b"x")) == keyed(b"x")


def test_a_cut_number_is_held_until_it_is_whole_or_the_data_end() -> None:
    rows = BinaryRows(KEY, 1)
    assert rows.feed(HEADER[:5]) == b""
    assert rows.feed(HEADER[5:] + b"\0") == HEADER
    assert rows.end() == b"\0"
