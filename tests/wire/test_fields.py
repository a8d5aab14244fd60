"""Reader and Writer: a reader sees one body and must end at its end."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.fields import Reader, Writer, message


def test_a_message_counts_its_length_but_not_its_type() -> None:
    assert message(ord("Q"), b"abc") == b"Q\0\0\0\7abc"


def test_what_is_left_over_is_refused() -> None:
    reader = Reader(b"\0\1x")
    assert reader.int16() == 1
    with pytest.raises(RemoteProtocolError, match="invalid message format"):
        reader.end()


def test_what_is_missing_is_refused() -> None:
    for read in (Reader.byte, Reader.int16, Reader.int32, Reader.uint32):
        with pytest.raises(RemoteProtocolError, match="insufficient data left in message"):
            read(Reader(b""))


def test_a_string_without_its_zero_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="invalid string in message"):
        Reader(b"abc").cstring()


def test_text_and_names_must_be_utf8() -> None:
    assert Reader("größe\0".encode()).text() == "größe"
    assert Reader("größe\0".encode()).name() == "größe".encode()
    with pytest.raises(RemoteProtocolError, match="invalid string in message"):
        Reader(b"\xff\0").text()
    with pytest.raises(RemoteProtocolError, match="invalid string in message"):
        Reader(b"\xff\0").name()


def test_sql_is_bytes_that_nobody_judges_here() -> None:
    assert Reader(b"\xff\0").cstring() == b"\xff"


def test_minus_one_is_null_and_less_is_refused() -> None:
    assert Reader(struct.pack("!i", -1)).value() is None
    assert Reader(struct.pack("!i", 0)).value() == b""
    with pytest.raises(RemoteProtocolError):
        Reader(struct.pack("!i", -2)).value()


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="invalid message format"):
        Reader(struct.pack("!h", -1)).int16s()


def test_a_zero_inside_a_string_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="NUL"):
        Writer().cstring(b"a\0b")
    with pytest.raises(ValueError, match="NUL"):
        Writer().text("a\0b")


def test_numbers_out_of_range_cannot_be_written() -> None:
    with pytest.raises(struct.error):
        Writer().int16(32_768)
    with pytest.raises(struct.error):
        Writer().int32(1 << 31)
    with pytest.raises(struct.error):
        Writer().uint32(-1)


@given(
    st.integers(-32_768, 32_767),
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.integers(0, (1 << 32) - 1),
    st.lists(st.none() | st.binary(max_size=9), max_size=5),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
)
def test_what_is_written_is_read(small: int, signed: int, unsigned: int, values: list[bytes | None], text: str) -> None:
    writer = Writer().byte(7).int16(small).int32(signed).uint32(unsigned).values(values).text(text)
    reader = Reader(writer.int16s((small,)).uint32s((unsigned,)).raw(b"rest").body())
    assert (reader.byte(), reader.int16(), reader.int32(), reader.uint32()) == (7, small, signed, unsigned)
    assert (reader.values(), reader.text()) == (tuple(values), text)
    assert (reader.int16s(), reader.uint32s(), reader.rest()) == ((small,), (unsigned,), b"rest")
    reader.end()
