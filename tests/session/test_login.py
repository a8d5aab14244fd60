"""Who is let in, and what nobody learns from being refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.auth.scram import mock_verifier
from proxy.errors import TooManyAttempts, TooManyConnections
from proxy.session.actions import AwaitAdmission, FindLogin, LoginRefused, WeighProof
from proxy.session.conversation import Phase
from proxy.session.events import ClientAdmitted, FrontendLost, LoginFound, ProofWeighed
from proxy.session.ports import LATER
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from tests.kit.builders import PARSED, PASSWORD, grant
from tests.session.conftest import Door, give_proof, kinds, log_in, packet, refused


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
            assert door.asked(WeighProof) == [WeighProof(False)]
            one.handle(ProofWeighed())
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


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_nothing_is_told_of_a_proof_before_it_was_weighed(fresh: ClientSession, door: Door, password: str) -> None:
    found = LoginFound(PARSED, b"nonce-of-the-tests-000001", grant())
    give_proof(fresh, door, found, password)
    assert door.asked(WeighProof) == [WeighProof(password == PASSWORD)]
    fresh.data(b"Q" * 100)  # what comes early waits, and is not read
    assert (door.take(), fresh.phase, fresh.stalled) == (b"", Phase.PROOF, True)
    fresh.handle(ProofWeighed(TooManyAttempts("too many attempts to log in")))
    assert refused(door)["C"] == "53300"


def test_the_log_hears_why_nobody_is_let_in_and_the_client_does_not(fresh: ClientSession, door: Door) -> None:
    found = LoginFound(replace(PARSED, mock=True), b"nonce-of-the-tests-000001", None, why="the login is disabled")
    give_proof(fresh, door, found, PASSWORD)
    fresh.handle(ProofWeighed())
    (told,) = [one for one in door.actions if isinstance(one, LoginRefused)]
    assert told.why == "the login is disabled"
    assert refused(door)["M"] == 'password authentication failed for user "alice"'


def test_who_was_proved_by_its_certificate_is_asked_for_nothing(fresh: ClientSession, door: Door) -> None:
    fresh.data(packet(user="alice", database="test"))
    fresh.handle(LoginFound(mock_verifier(b"s", "alice"), b"nonce-of-the-tests-000001", grant(), certain=True))
    assert door.asked(WeighProof) == [WeighProof(True)]
    assert door.take() == b""
    fresh.handle(ProofWeighed())
    assert kinds(door.take()).replace("S", "") == "RKZ"


def waiting(fresh: ClientSession, door: Door) -> None:
    """The proof was right, and there is no place yet."""
    door.refusal = LATER
    give_proof(fresh, door, LoginFound(PARSED, b"nonce-of-the-tests-000001", grant()), PASSWORD)
    fresh.handle(ProofWeighed())
    assert door.asked(AwaitAdmission) == [AwaitAdmission()]
    assert fresh.phase is Phase.ADMISSION
    assert kinds(door.take()) in {"RR", ""}


def test_who_finds_no_place_waits_for_one_and_is_not_read_meanwhile(fresh: ClientSession, door: Door) -> None:
    waiting(fresh, door)
    fresh.data(b"Q\0\0\0\x0dSELECT 1\0")
    assert fresh.stalled
    assert door.take() == b""
    fresh.handle(ClientAdmitted())
    assert kinds(door.take()).replace("S", "").startswith("KZ")


def test_who_waited_in_vain_is_refused(fresh: ClientSession, door: Door) -> None:
    waiting(fresh, door)
    fresh.handle(ClientAdmitted(TooManyConnections("too many connections for role")))
    assert refused(door)["C"] == "53300"
    assert fresh.phase is Phase.CLOSED


def test_a_place_that_comes_when_the_client_is_gone_changes_nothing(fresh: ClientSession, door: Door) -> None:
    waiting(fresh, door)
    fresh.handle(FrontendLost())
    fresh.handle(ClientAdmitted())
    assert fresh.phase is Phase.CLOSED
    assert door.take() == b""
