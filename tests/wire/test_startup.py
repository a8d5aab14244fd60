"""Packets without a type byte: any bytes are one of four that encodes to the same bytes, or a protocol error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.startup import (
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    CancelRequest,
    GSSENCRequest,
    NegotiateProtocolVersion,
    SSLRequest,
    StartupMessage,
    StartupPacket,
    decode_startup,
)

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)

PACKETS: st.SearchStrategy[StartupPacket] = st.one_of(
    st.builds(StartupMessage, st.dictionaries(NAMES, NAMES | st.just(""), max_size=4), st.integers(0x30000, 0x3FFFF)),
    st.builds(CancelRequest, st.integers(0, (1 << 32) - 1), st.binary(min_size=4, max_size=256)),
    st.sampled_from([SSLRequest(), GSSENCRequest()]),
)


@given(PACKETS)
def test_what_is_encoded_decodes_to_the_same(packet: StartupPacket) -> None:
    data = packet.encode()
    assert int.from_bytes(data[:4], "big") == len(data)
    assert decode_startup(data[4:]) == packet


@given(st.one_of(st.binary(max_size=40), st.binary(max_size=40).map(lambda tail: b"\0\3\0\0" + tail)))
def test_any_bytes_are_a_packet_that_encodes_to_them_or_a_protocol_error(body: bytes) -> None:
    try:
        packet = decode_startup(body)
    except RemoteProtocolError:
        return
    assert packet.encode()[4:] == body


@given(PACKETS, st.data())
def test_a_packet_cut_short_is_not_taken_for_the_same(packet: StartupPacket, data: st.DataObject) -> None:
    body = packet.encode()[4:]
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    try:
        assert decode_startup(cut) != packet
    except RemoteProtocolError:
        return


def test_libpqs_packets_are_read() -> None:
    body = b"\0\3\0\0user\0acme_app\0database\0shop\0application_name\0psql\0\0"
    packet = decode_startup(body)
    assert packet == StartupMessage({"user": "acme_app", "database": "shop", "application_name": "psql"}, PROTOCOL_3_0)
    assert decode_startup(b"\x04\xd2\x16\x2f") == SSLRequest()
    assert decode_startup(b"\x04\xd2\x16\x30") == GSSENCRequest()
    assert decode_startup(b"\x04\xd2\x16\x2e\0\0\0\7abcd") == CancelRequest(7, b"abcd")


def test_a_newer_minor_version_is_read_and_left_to_the_session() -> None:
    packet = decode_startup(b"\0\3\0\2user\0a\0\0")
    assert isinstance(packet, StartupMessage)
    assert packet.version == PROTOCOL_3_2


def test_another_major_version_is_not_supported() -> None:
    for version in (b"\0\2\0\0", b"\0\4\0\0", b"\xff\xff\xff\xff"):
        with pytest.raises(RemoteProtocolError, match="unsupported frontend protocol") as refusal:
            decode_startup(version + b"user\0a\0\0")
        assert refusal.value.sqlstate == "0A000"


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="given twice"):
        decode_startup(b"\0\3\0\0user\0a\0user\0b\0\0")


def test_bytes_behind_the_terminator_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="expected terminator as last byte"):
        decode_startup(b"\0\3\0\0user\0a\0\0x")


def test_a_packet_without_terminator_or_value_is_refused() -> None:
    for tail in (b"", b"user\0a\0", b"user\0a", b"user\0\xff\0\0"):
        with pytest.raises(RemoteProtocolError):
            decode_startup(b"\0\3\0\0" + tail)


def test_a_cancel_key_has_a_length_in_reason() -> None:
    for length in (0, 3, 257):
        with pytest.raises(RemoteProtocolError, match="invalid length of query cancel packet"):
            decode_startup(b"\x04\xd2\x16\x2e\0\0\0\7" + b"k" * length)


def test_keys_are_not_printed() -> None:
    assert "abcd" not in repr(CancelRequest(7, b"abcd"))


def test_the_negotiation_names_what_is_not_known() -> None:
    answer = NegotiateProtocolVersion(PROTOCOL_3_0, ("_pq_.foo",))
    data = answer.encode()
    assert data == b"v\0\0\0\x15\0\3\0\0\0\0\0\1_pq_.foo\0"
    assert NegotiateProtocolVersion.decode(data[5:]) == answer
    with pytest.raises(RemoteProtocolError):
        NegotiateProtocolVersion.decode(b"\0\3\0\0\xff\xff\xff\xff")
