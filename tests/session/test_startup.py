"""From the first packet to ReadyForQuery: who is let in, what is refused, and what nobody learns."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.auth.scram import mock_verifier
from proxy.errors import TooManyConnections
from proxy.session.actions import CancelBackend, CloseFrontend, FindLogin, LearnParameters, LoginRefused, StartTls
from proxy.session.conversation import Phase
from proxy.session.encode import fields_of
from proxy.session.events import LoginFound, TlsStarted
from proxy.session.session import ClientSession
from proxy.session.startup import check_encoding, options, split_options, with_ceilings
from proxy.tenancy.policy import Limits
from proxy.wire.fields import message
from tests.kit.builders import grant
from tests.session.conftest import Door, kinds, log_in, packet

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSS_REQUEST = bytes.fromhex("0000000804d21630")
CANCEL = bytes.fromhex("00000010 04d2162e 0000002a 6b657921")


def refused(door: Door) -> dict[str, str]:
    """The one error that ended the session, which the log was told as well."""
    written = door.take()
    while written and written[:1] != b"E":
        written = written[1 + int.from_bytes(written[1:5], "big") :]
    fields = fields_of(written[5:])
    assert fields["S"] == "FATAL"
    (told,) = door.asked(LoginRefused)
    assert told.refusal.sqlstate == fields["C"]
    assert door.asked(CloseFrontend)
    return fields


def test_a_right_password_is_greeted_with_what_the_server_is_like(fresh: ClientSession, door: Door) -> None:
    log_in(fresh, door)
    greeting = door.take()
    assert kinds(greeting).replace("S", "") == "RRKZ"
    assert b"TimeZone\0UTC\0" in greeting
    assert b"K\0\0\0\x0c\0\0\0\x2akey!" in greeting  # the proxy's own key, never the server's
    assert fresh.phase is Phase.READY
    assert fresh.lease is None


def test_a_wrong_password_and_an_unknown_login_end_alike(door: Door) -> None:
    answers = []
    for found in (None, LoginFound(mock_verifier(b"secret", "alice"), b"nonce-of-the-tests-000001", None)):
        one = ClientSession(door, process_id=1, secret_key=b"1234", clock=lambda: 0.0)
        if found is None:
            log_in(one, door, password="wrong")
        else:
            one.data(packet(user="alice", database="test"))
            door.asked(FindLogin)
            one.handle(found)
            door.take()
            first = b"n,,n=,r=nonce-of-the-client-00001"
            one.data(message(112, b"SCRAM-SHA-256\0" + len(first).to_bytes(4, "big") + first))
            nonce = door.take()[9:].split(b",")[0]
            one.data(message(112, b"c=biws," + nonce + b",p=" + b"A" * 43 + b"="))
        answers.append(refused(door))
    assert answers[0] == answers[1]
    assert answers[0]["C"] == "28P01"


def test_the_first_session_learns_of_a_server_what_later_ones_are_told(fresh: ClientSession, door: Door) -> None:
    door.reported = None
    log_in(fresh, door)
    (learnt,) = door.asked(LearnParameters)
    assert learnt.parameters["TimeZone"] == "UTC"
    assert [(destroyed, cancelled) for _, destroyed, cancelled in door.released] == [(False, False)]


def test_a_session_that_may_not_come_in_is_told_after_its_proof(fresh: ClientSession, door: Door) -> None:
    door.refusal = TooManyConnections("too many connections for role")
    log_in(fresh, door)
    assert refused(door)["C"] == "53300"


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
    ("parameters", "sqlstate"),
    [
        ({"database": "test"}, "28000"),
        ({"user": "alice", "replication": "database"}, "0A000"),
        ({"user": "alice", "client_encoding": "SQL_ASCII"}, "0A000"),
        ({"user": "alice", "client_encoding": "LATIN1"}, "0A000"),
        ({"user": "alice", "search_path": "evil"}, "42501"),
        ({"user": "alice", "options": "-c search_path=evil"}, "42501"),
        ({"user": "alice", "options": "-c role=postgres"}, "42501"),
        ({"user": "alice", "options": "--role=postgres"}, "42501"),
        ({"user": "alice", "options": "-c work_mem"}, "42601"),
        ({"user": "alice", "role": "postgres"}, "42501"),
    ],
)
def test_what_the_proxy_cannot_keep_for_a_client_is_refused_and_never_dropped(
    fresh: ClientSession, door: Door, parameters: dict[str, str], sqlstate: str
) -> None:
    fresh.data(packet(196608, **parameters))
    assert refused(door)["C"] == sqlstate
    assert door.asked(FindLogin) == []


def test_a_newer_protocol_is_offered_3_0(fresh: ClientSession, door: Door) -> None:
    fresh.data(packet(196610, **{"user": "alice", "_pq_.future": "on"}))
    written = door.take()
    assert written[:1] == b"v"
    assert b"_pq_.future\0" in written
    assert door.asked(FindLogin)


@pytest.mark.parametrize("data", [b"Q\0\0\0\5\0", b"p\0\0\0\4", message(112, b"PLAIN\0\0\0\0\0")])
def test_anything_but_the_exchange_ends_the_log_in(fresh: ClientSession, door: Door, data: bytes) -> None:
    fresh.data(packet(user="alice"))
    fresh.handle(LoginFound(mock_verifier(b"secret", "alice"), b"nonce-of-the-tests-000001", grant()))
    door.take()
    fresh.data(data)
    assert refused(door)["C"] == "08P01"


def test_options_are_read_as_the_server_reads_them() -> None:
    assert split_options(r"-c a=b\ c  -cx=y\\z") == ["-c", "a=b c", r"-cx=y\z"]
    assert options(r"-c work-mem=8MB -cstatement_timeout=5s") == {"work_mem": "8MB", "statement_timeout": "5s"}


@pytest.mark.parametrize("name", ["UTF8", "utf-8", "'UTF8'", "Unicode"])
def test_every_spelling_of_utf8_is_taken(name: str) -> None:
    check_encoding(name)


def test_a_tenants_timeout_is_the_default_and_the_ceiling(door: Door) -> None:
    for asked, kept in (({}, "1000"), ({"statement_timeout": "5s"}, "1000"), ({"statement_timeout": "10ms"}, "'10ms'")):
        session = ClientSession(door, process_id=1, secret_key=b"1234", clock=lambda: 0.0)
        session.limits = Limits(statement_timeout=1.0)
        session.startup = {}
        settings: dict[str, Any] = {name: f"'{value}'" for name, value in asked.items()}
        assert with_ceilings(session, settings)["statement_timeout"] == kept
