"""scan walks headers: every cut of every buffer tells the same story, and no byte is believed for where it stands."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.fields import message
from proxy.wire.framing import (
    FULL,
    LOGIN,
    REFUSED,
    RELAYED,
    ROWS_OR_NONE,
    WATCHED,
    Mark,
    kinds,
    length_at,
    scan,
    whole_reply,
)

READY = message(ord("Z"), b"I")
ROW = message(ord("D"), b"\0\1\0\0\0\1x")


def scanned(data: bytes, table: bytes = FULL, offset: int = 0) -> tuple[int, int, int, list[Mark]]:
    marks: list[Mark] = []
    return (*scan(data, offset, table, marks), marks)


def test_a_whole_answer_is_one_scan() -> None:
    data = message(ord("T"), b"\0\0") + ROW + ROW + message(ord("C"), b"SELECT 2\0") + READY
    offset, messages, rows, marks = scanned(data)
    assert (offset, messages, rows) == (len(data), 5, 2)
    assert [chr(tag) for tag, _, _ in marks] == ["T", "C", "Z"]
    assert data[marks[-1][1] : marks[-1][2]] == READY


PARTS = {
    "T": message(ord("T"), b"\0\0"), "n": message(ord("n"), b""), "D": ROW, "C": message(ord("C"), b"SELECT 1\0"),
    "Z": READY, "1": message(ord("1"), b""), "2": message(ord("2"), b""), "E": message(ord("E"), b"C22012\0\0"),
    "N": message(ord("N"), b"C01000\0\0"), "S": message(ord("S"), b"a\0b\0"), "I": message(ord("I"), b""),
}  # fmt: skip
LEADS = ("", "12", "2")
FORMS = {
    ROWS_OR_NONE: re.compile("T?D*CZ"),
    0: re.compile("D*CZ"),
    1: re.compile("[Tn]D*CZ"),
}


KINDS = st.text("TnDCZ12ENSI", max_size=7) | st.from_regex("(12|2)?[Tn]?D{0,3}CZ", fullmatch=True)


@given(st.sampled_from(sorted(FORMS)), KINDS, st.sampled_from(LEADS))
def test_a_whole_reply_is_exactly_one(described: int, kinds: str, lead: str) -> None:
    data = b"".join(PARTS[kind] for kind in kinds)
    whole = kinds.startswith(lead) and FORMS[described].fullmatch(kinds[len(lead) :]) is not None
    expected = kinds.count("D") if whole else -1
    assert whole_reply(data, b"".join(PARTS[kind] for kind in lead), described) == expected
    for size in range(len(data)):
        assert whole_reply(data[:size], b"", described) < 0 or data[:size].endswith(READY)


@given(st.binary(max_size=40), st.sampled_from(sorted(FORMS)))
def test_nothing_is_read_beyond_a_reply_that_lies_about_its_lengths(data: bytes, described: int) -> None:
    body = PARTS["C"] + READY
    assert whole_reply(data + body, b"", described) in range(-1, 9)
    for length in range(4):
        short = b"D" + length.to_bytes(4, "big") + data
        assert whole_reply(short + body, b"", ROWS_OR_NONE) < 0


def test_a_row_that_looks_like_the_end_is_a_row() -> None:
    data = message(ord("D"), READY)
    assert scanned(data) == (len(data), 1, 1, [])


def test_the_end_inside_a_row_that_is_not_whole_is_not_the_end() -> None:
    data = (b"D" + (1000).to_bytes(4, "big") + READY) + READY
    offset, messages, rows, marks = scanned(data)
    assert (offset, messages, rows, marks) == (1001, 1, 1, [])


def test_a_relayed_message_may_end_beyond_the_buffer() -> None:
    data = ROW[:7]
    assert scanned(data) == (len(ROW), 1, 1, [])


def test_a_watched_message_must_be_whole() -> None:
    data = ROW + READY[:-1]
    assert scanned(data) == (len(ROW), 1, 1, [])


def test_a_cut_header_stops_the_scan() -> None:
    for cut in range(5):
        assert scanned(ROW + ROW[:cut]) == (len(ROW), 1, 1, [])


def test_a_length_below_four_stops_the_scan() -> None:
    for length in range(4):
        assert scanned(ROW + b"D" + length.to_bytes(4, "big") + READY)[0] == len(ROW)


def test_a_length_beyond_what_postgresql_can_make_stops_the_scan() -> None:
    for length in (0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        assert scanned(b"D" + length.to_bytes(4, "big") + READY)[0] == 0
    assert scanned(b"D" + (0x3FFFFFFF).to_bytes(4, "big") + READY)[0] == 0x40000000


def test_lengths_of_every_size_are_read_right() -> None:
    for length in (4, 5, 255, 256, 65_535, 65_536, 16_777_215, 16_777_216):
        data = b"D" + length.to_bytes(4, "big")
        assert length_at(data, 1) == length
        assert scanned(data)[0] == length + 1


def test_the_scan_begins_where_it_is_told() -> None:
    assert scanned(b"xyz" + READY, FULL, 3)[3] == [(ord("Z"), 3, 9)]


def test_an_unknown_type_stops_the_scan() -> None:
    assert scanned(READY + b"V\0\0\0\4")[0] == len(READY)
    assert scanned(READY + b"W\0\0\0\4")[0] == len(READY)


def test_tables_refuse_what_they_do_not_name() -> None:
    table = kinds(relayed=b"D", watched=b"Z")
    assert (table[ord("D")], table[ord("Z")], table[ord("E")]) == (RELAYED, WATCHED, REFUSED)
    assert len(table) == len(LOGIN) == len(FULL) == 256
    assert LOGIN[ord("D")] == REFUSED


@given(st.lists(st.tuples(st.sampled_from(b"DdcZECT1"), st.binary(max_size=20)), max_size=12), st.data())
def test_the_scan_of_a_part_is_the_begin_of_the_scan_of_the_whole(
    parts: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    whole = b"".join(message(tag, body) for tag, body in parts)
    cut = data.draw(st.integers(0, len(whole)))
    offset, messages, rows, marks = scanned(whole)
    assert (offset, messages) == (len(whole), len(parts))
    assert rows == sum(tag in b"Dd" for tag, _ in parts)
    first, begun, first_rows, first_marks = scanned(whole[:cut])
    again, others, other_rows, other_marks = scanned(whole, FULL, first)
    assert (again, begun + others, first_rows + other_rows) == (offset, messages, rows)
    assert first_marks + other_marks == marks
