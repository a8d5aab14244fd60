"""Streams: however the bytes are cut, the story is the same; lengths are judged before anything is buffered."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.fields import message
from proxy.wire.framing import FULL, LOGIN
from proxy.wire.streams import AUTHENTICATION_LIMIT, SMALL_LIMIT, STARTUP_LIMIT, BackendStream, FrontendStream

QUERY = message(ord("Q"), b"SELECT 1\0")
ROW = message(ord("D"), b"\0\1\0\0\0\1x")
READY = message(ord("Z"), b"I")


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


# ------------------------------------------------------------------------------------------------ from a client


@given(
    st.lists(st.tuples(st.sampled_from(b"QPBEd"), st.binary(max_size=40)), max_size=8),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_a_frontend_stream_cut_anywhere_gives_the_same_messages(
    parts: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = FrontendStream()
    got = []
    for piece in pieces(b"".join(message(tag, body) for tag, body in parts), cuts):
        stream.feed(piece)
        while (one := stream.message()) is not None:
            got.append(one)
    assert got == parts
    assert stream.buffered == 0
    assert stream.messages == len(parts)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_any_bytes_from_a_client_are_messages_or_a_protocol_error(data: bytes, cuts: list[int]) -> None:
    def story(parts: list[bytes]) -> list[tuple[int, bytes] | str]:
        stream, got = FrontendStream(), list[tuple[int, bytes] | str]()
        try:
            for part in parts:
                stream.feed(part)
                while (one := stream.message()) is not None:
                    got.append(one)
        except RemoteProtocolError as error:
            got.append(error.message)
        return got

    assert story(pieces(data, cuts)) == story([data])


def test_a_message_of_many_reads_is_joined_once() -> None:
    stream = FrontendStream(limit=1_000_000)
    data = message(ord("Q"), b"x" * 300_000) + QUERY
    for start in range(0, len(data), 1000):
        assert stream.message() is None
        stream.feed(data[start : start + 1000])
    assert stream.message() == (ord("Q"), b"x" * 300_000)
    assert stream.message() == (ord("Q"), b"SELECT 1\0")
    assert stream.message() is None


def test_a_length_over_the_limit_is_refused_by_its_header_alone() -> None:
    stream = FrontendStream(limit=100)
    stream.feed(b"Q" + (101).to_bytes(4, "big"))
    with pytest.raises(RemoteProtocolError, match="invalid message length"):
        stream.message()


def test_the_session_may_raise_the_limit_after_the_log_in() -> None:
    stream = FrontendStream()
    stream.limit = AUTHENTICATION_LIMIT + 10
    stream.feed(message(ord("Q"), b"x" * AUTHENTICATION_LIMIT))
    assert stream.message() is not None


def test_messages_that_hold_a_name_have_a_small_limit() -> None:
    for tag in b"CDEHSXcf":
        stream = FrontendStream(limit=1_000_000)
        stream.feed(bytes([tag]) + (SMALL_LIMIT + 1).to_bytes(4, "big"))
        with pytest.raises(RemoteProtocolError, match="invalid message length"):
            stream.message()


def test_a_length_below_four_is_refused() -> None:
    for length in (0, 3):
        stream = FrontendStream()
        stream.feed(b"Q" + length.to_bytes(4, "big"))
        with pytest.raises(RemoteProtocolError, match="invalid message length"):
            stream.message()


def test_a_type_that_no_client_sends_is_refused() -> None:
    stream = FrontendStream()
    stream.feed(b"Z\0\0\0\5I")
    with pytest.raises(RemoteProtocolError, match="invalid frontend message type 90") as refusal:
        stream.message()
    assert (refusal.value.sqlstate, refusal.value.severity) == ("08P01", "FATAL")


def test_a_startup_packet_is_whole_or_not_there() -> None:
    packet = b"\0\0\0\x0c\0\3\0\0user"
    stream = FrontendStream()
    for byte in packet[:-1]:
        stream.feed(bytes([byte]))
        assert stream.startup() is None
    stream.feed(packet[-1:] + QUERY)
    assert stream.startup() == b"\0\3\0\0user"
    assert stream.buffered == len(QUERY)
    assert stream.message() == (ord("Q"), b"SELECT 1\0")


def test_a_startup_packet_has_a_limit_of_its_own() -> None:
    for length in (0, 4, 7, STARTUP_LIMIT + 1, 0xFFFFFFFF):
        stream = FrontendStream()
        stream.feed(length.to_bytes(4, "big"))
        with pytest.raises(RemoteProtocolError, match="invalid length of startup packet"):
            stream.startup()


def test_bytes_behind_a_request_for_tls_are_seen() -> None:
    stream = FrontendStream()
    stream.feed(b"\0\0\0\x08\x04\xd2\x16\x2f" + b"smuggled")
    assert stream.startup() == b"\x04\xd2\x16\x2f"
    assert stream.buffered == 8


# ------------------------------------------------------------------------------------------------ from a server


@given(
    st.lists(st.tuples(st.sampled_from(b"DdcZECT1S"), st.binary(max_size=30)), max_size=10),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_a_backend_stream_cut_anywhere_relays_the_same_bytes_and_marks(
    parts: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    whole = b"".join(message(tag, body) for tag, body in parts)
    stream, relayed, marked = BackendStream(), b"", []
    for piece in pieces(whole, cuts):
        data, marks = stream.feed(piece)
        marked += [(tag, data[start + 5 : end]) for tag, start, end in marks]
        relayed += data
    assert relayed == whole
    assert marked == [(tag, body) for tag, body in parts if tag not in b"Ddc"]
    assert (stream.messages, stream.bytes) == (len(parts), len(whole))
    assert stream.rows == sum(tag in b"Dd" for tag, _ in parts)
    assert stream.between_messages


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_any_bytes_from_a_server_are_relayed_or_a_protocol_error(data: bytes, cuts: list[int]) -> None:
    def story(parts: list[bytes]) -> str:
        stream = BackendStream()
        try:
            for part in parts:
                stream.feed(part)
        except RemoteProtocolError as error:
            return error.message
        return f"{stream.messages} {stream.rows} {stream.between_messages}"

    assert story(pieces(data, cuts)) == story([data])


def test_a_read_of_whole_messages_is_relayed_without_a_copy() -> None:
    read = ROW + READY
    data, marks = BackendStream().feed(read)
    assert data is read
    assert marks == [(ord("Z"), len(ROW), len(read))]


def test_a_row_larger_than_a_read_passes_in_pieces() -> None:
    row = message(ord("D"), b"x" * 100_000)
    stream = BackendStream()
    for start in range(0, len(row), 8192):
        piece = row[start : start + 8192]
        assert stream.feed(piece) == (piece, [])
        assert stream.between_messages == (start + 8192 >= len(row))
    assert stream.feed(READY) == (READY, [(ord("Z"), 0, 6)])
    assert stream.rows == 1


def test_a_watched_message_is_held_until_it_is_whole() -> None:
    error = message(ord("E"), b"M" + b"x" * 20_000 + b"\0\0")
    stream = BackendStream()
    assert stream.feed(ROW + error[:3]) == (ROW, [])
    for start in range(3, len(error) - 1, 1000):
        assert stream.feed(error[start : min(start + 1000, len(error) - 1)]) == (b"", [])
        assert stream.between_messages
    assert stream.feed(error[-1:] + READY)[0] == error + READY


def test_a_watched_message_over_the_limit_is_refused() -> None:
    stream = BackendStream(limit=1000)
    with pytest.raises(RemoteProtocolError, match="invalid message length"):
        stream.feed(b"E" + (1001).to_bytes(4, "big"))


def test_lengths_that_cannot_be_are_refused() -> None:
    for length in (0, 3, 0x40000000, 0xFFFFFFFF):
        for tag in b"DZ":
            with pytest.raises(RemoteProtocolError, match="invalid message length"):
                BackendStream(limit=0xFFFFFFFF if tag == ord("D") else 1000).feed(
                    bytes([tag]) + length.to_bytes(4, "big")
                )


def test_what_the_proxy_never_asks_for_is_refused() -> None:
    for tag in b"VWRKvx\0":
        with pytest.raises(RemoteProtocolError, match="unexpected message type"):
            BackendStream().feed(bytes([tag]))


def test_rows_during_the_log_in_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="unexpected message type 0x44"):
        BackendStream(LOGIN).feed(ROW)


def test_the_table_may_change_between_feeds() -> None:
    stream = BackendStream(LOGIN)
    assert stream.feed(READY)[1] == [(ord("Z"), 0, 6)]
    stream.table = FULL
    assert stream.feed(ROW)[1] == []
