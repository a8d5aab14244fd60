"""The header of a balancer: whole and about a TCP client, or the connection ends."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.forwarded import FIXED, LIMIT, SIGNATURE, Forwarded, decode_forwarded


def header(source: str = "192.0.2.7", port: int = 40000, more: bytes = b"", command: int = 0x21) -> bytes:
    """As a balancer sends it; `more` are extensions."""
    packed = ip_address(source).packed
    body = packed + packed + struct.pack("!HH", port, 5432) + more
    return SIGNATURE + bytes([command, 0x11 if len(packed) == 4 else 0x21]) + struct.pack("!H", len(body)) + body


@pytest.mark.parametrize("source", ["192.0.2.7", "2001:db8::7"])
def test_it_tells_the_client_and_where_the_clients_own_bytes_begin(source: str) -> None:
    whole = header(source, more=b"\x04\x00\x03abc")  # an extension, skipped
    assert decode_forwarded(whole + b"rest") == Forwarded((source, 40000), len(whole))
    for cut in range(len(whole)):
        assert decode_forwarded(whole[:cut]) is None


def test_a_balancer_that_asks_for_itself_tells_of_nobody() -> None:
    """LOCAL, with addresses or without: they do not count."""
    assert decode_forwarded(header(command=0x20)) == Forwarded(None, FIXED + 12)
    assert decode_forwarded(SIGNATURE + b"\x20\0\0\0") == Forwarded(None, FIXED)


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.8 40000 5432\r\n",  # version 1
        b"\0\0\0\x08\x04\xd2\x16\x2f",  # SSLRequest: no header at all
        b"X",
        SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),  # another version
        SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),  # an unknown command
        SIGNATURE + b"\x21\0\0\0",  # of an unknown family
        SIGNATURE + b"\x21\x12\0\x0c" + bytes(12),  # UDP
        SIGNATURE + b"\x21\x31\0\xd8" + bytes(216),  # a Unix socket of the balancer's
        SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),  # too short for its addresses
        SIGNATURE + b"\x21\x11" + struct.pack("!H", LIMIT + 1),
    ],
)
def test_what_is_no_header_about_a_tcp_client_ends_the_connection(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_forwarded(data)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_any_bytes_are_a_header_or_the_begin_of_one_or_refused(head: bytes, tail: bytes) -> None:
    for data in (head, SIGNATURE + head, SIGNATURE + b"\x21" + tail, header() + tail):
        try:
            found = decode_forwarded(data)
        except RemoteProtocolError:
            continue
        assert found is None or FIXED <= found.size <= len(data)
