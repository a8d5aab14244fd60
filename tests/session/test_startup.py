"""From the first packet to the log-in: encryption, cancel requests, versions."""

from __future__ import annotations

import pytest

from proxy.session.actions import CancelBackend, FindLogin, StartTls
from proxy.session.events import TlsStarted
from proxy.session.session import ClientSession
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


def test_a_newer_protocol_is_offered_3_0(fresh: ClientSession, door: Door) -> None:
    fresh.data(packet(196610, **{"user": "alice", "_pq_.future": "on"}))
    written = door.take()
    assert written[:1] == b"v"
    assert b"_pq_.future\0" in written
    assert door.asked(FindLogin)
