"""From the first packet to the log-in: encryption, cancel requests, versions."""

from __future__ import annotations

import pytest

from proxy.session.actions import CancelBackend, FindLogin, StartTls
from proxy.session.events import TlsStarted
from proxy.session.session import ClientSession
from proxy.wire.startup import NegotiateProtocolVersion
from tests.session.conftest import Door, packet, refused

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSS_REQUEST = bytes.fromhex("0000000804d21630")
CANCEL = bytes.fromhex("00000010 04d2162e 0000002a 6b657921")


def test_encryption_is_answered_with_one_byte_and_asked_for_twice_at_most(fresh: ClientSession, door: Door) -> None:
    fresh.data(GSS_REQUEST)
    fresh.data(SSL_REQUEST)
    assert door.take() == b"NN"
    fresh.data(SSL_REQUEST)
    assert refused(door)["C"] == "08P01"


@pytest.mark.parametrize("request_", [SSL_REQUEST, GSS_REQUEST])
def test_what_stands_in_the_clear_behind_a_request_ends_the_connection(
    fresh: ClientSession, door: Door, request_: bytes
) -> None:
    fresh.data(request_ + packet(user="alice"))
    assert refused(door)["C"] == "08P01"
    assert door.asked(FindLogin) == []


def test_tls_begins_once_and_only_where_there_is_a_certificate(door: Door) -> None:
    session = ClientSession(door, process_id=1, secret_key=b"1234", clock=lambda: 0.0, tls_available=True)
    session.data(SSL_REQUEST)
    assert door.take() == b"S"
    assert door.asked(StartTls)
    session.handle(TlsStarted())
    session.data(SSL_REQUEST)
    assert door.take() == b"N"


def test_bytes_during_the_handshake_end_the_connection(door: Door) -> None:
    session = ClientSession(door, process_id=1, secret_key=b"1234", clock=lambda: 0.0, tls_available=True)
    session.data(SSL_REQUEST)
    door.take()
    session.data(packet(user="alice"))
    assert refused(door)["C"] == "08P01"


def test_a_cancel_request_is_passed_on_without_a_word(fresh: ClientSession, door: Door) -> None:
    fresh.data(CANCEL)
    assert door.asked(CancelBackend) == [CancelBackend(42, b"key!")]
    assert door.take() == b""


@pytest.mark.parametrize(
    ("version", "options", "answer"),
    [
        (0x30000, (), None),
        (0x30001, (), None),
        (0x30002, (), None),
        (0x30003, (), 0x30002),
        (0x3270F, (), 0x30002),  # 3.9999, which a client asks for to see whether servers negotiate at all
        (0x30000, ("_pq_.future",), 0x30000),
        (0x30002, ("_pq_.future", "_pq_.other"), 0x30002),
        (0x3270F, ("_pq_.test_protocol_negotiation",), 0x30002),
    ],
)
def test_a_newer_protocol_or_an_unknown_option_is_answered_with_what_is_spoken(
    fresh: ClientSession, door: Door, version: int, options: tuple[str, ...], answer: int | None
) -> None:
    fresh.data(packet(version, user="alice", **dict.fromkeys(options, "on")))
    written = door.take()
    expected = b"" if answer is None else NegotiateProtocolVersion(answer, options).encode()
    assert written == expected
    assert door.asked(FindLogin)


@pytest.mark.parametrize(("version", "length"), [(0x30000, 4), (0x30001, 4), (0x30002, 32), (0x3270F, 32)])
def test_the_cancel_key_is_as_long_as_the_protocol_has_room_for(
    fresh: ClientSession, door: Door, version: int, length: int
) -> None:
    fresh.data(packet(version, user="alice"))
    assert fresh.secret_key == (b"key!" * 8)[:length]


@pytest.mark.parametrize("version", [0x20000, 0x40000, 0x10000])
def test_another_major_version_is_refused(fresh: ClientSession, door: Door, version: int) -> None:
    fresh.data(packet(version, user="alice"))
    fields = refused(door)
    assert fields["C"] == "0A000"
    assert fields["M"] == f"unsupported frontend protocol {version >> 16}.0: server supports 3.0 to 3.2"
