"""Who is let in, and what nobody learns from being refused."""

from __future__ import annotations

import pytest

from proxy.auth.scram import mock_verifier
from proxy.errors import TooManyConnections
from proxy.session.actions import FindLogin
from proxy.session.events import LoginFound
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from tests.kit.builders import grant
from tests.session.conftest import Door, log_in, packet, refused


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


def test_a_session_that_may_not_come_in_is_told_after_its_proof(fresh: ClientSession, door: Door) -> None:
    door.refusal = TooManyConnections("too many connections for role")
    log_in(fresh, door)
    assert refused(door)["C"] == "53300"


@pytest.mark.parametrize("data", [b"Q\0\0\0\5\0", b"p\0\0\0\4", message(112, b"PLAIN\0\0\0\0\0")])
def test_anything_but_the_exchange_ends_the_log_in(fresh: ClientSession, door: Door, data: bytes) -> None:
    fresh.data(packet(user="alice"))
    fresh.handle(LoginFound(mock_verifier(b"secret", "alice"), b"nonce-of-the-tests-000001", grant()))
    door.take()
    fresh.data(data)
    assert refused(door)["C"] == "08P01"
