"""A token instead of a password: in the clear where nobody else reads it, or by OAUTHBEARER."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.scram import mock_verifier
from proxy.errors import InvalidAuthorization
from proxy.session.actions import CloseFrontend, FindLogin, LoginRefused, WeighProof
from proxy.session.conversation import Phase
from proxy.session.events import Bearer, LoginFound, ProofWeighed
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from tests.kit.builders import grant
from tests.kit.tokens import NOW, issuer, token
from tests.session.conftest import Door, kinds, link, packet, refused

CLEARTEXT = b"R\0\0\0\x08\0\0\0\x03"
BEARER = b"R\0\0\0\x15\0\0\0\x0aOAUTHBEARER\0\0"


def asked(session: ClientSession, door: Door, method: str = "password", subject: str | None = "alice") -> bytes:
    """What the client is asked."""
    session.data(packet(user="alice", database="test"))
    door.asked(FindLogin)
    known: Any = {"grant": grant()} if subject is not None else {"grant": None, "why": "there is no such login"}
    bearer = Bearer(issuer(method=method), subject, NOW)
    session.handle(LoginFound(mock_verifier(b"s", "alice"), b"nonce-of-the-tests-000001", bearer=bearer, **known))
    return door.take()


def password(text: str) -> bytes:
    return message(112, text.encode() + b"\0")


def bearer(text: str) -> bytes:
    data = f"n,,\x01auth={text}\x01\x01".encode()
    return message(112, b"OAUTHBEARER\0" + len(data).to_bytes(4, "big") + data)


def test_a_token_as_a_password_lets_in(fresh: ClientSession, door: Door) -> None:
    assert asked(fresh, door) == CLEARTEXT
    fresh.data(password(token()))
    assert door.asked(WeighProof) == [WeighProof(True)]
    fresh.handle(ProofWeighed())
    assert kinds(door.take()).replace("S", "") == "RKZ"
    assert fresh.phase is Phase.READY


def test_a_token_by_oauthbearer_lets_in(fresh: ClientSession, door: Door) -> None:
    assert asked(fresh, door, "oauthbearer") == BEARER
    fresh.data(bearer("Bearer " + token()))
    assert door.asked(WeighProof) == [WeighProof(True)]
    fresh.handle(ProofWeighed())
    assert kinds(door.take()).replace("S", "") == "RKZ"


@pytest.mark.parametrize("subject", ["alice", None])
@pytest.mark.parametrize("method", ["password", "oauthbearer"])
def test_a_wrong_token_ends_alike_whether_the_login_exists_or_not(
    fresh: ClientSession, door: Door, method: str, subject: str | None
) -> None:
    given = token(sub="bob") if subject else token()
    asked(fresh, door, method, subject)
    fresh.data(password(given) if method == "password" else bearer("Bearer " + given))
    assert door.asked(WeighProof) == [WeighProof(False)]
    fresh.handle(ProofWeighed())
    if method == "password":
        (why,) = [one.why for one in door.actions if isinstance(one, LoginRefused)]
        fields = refused(door)
        assert (fields["C"], fields["M"]) == ("28P01", 'password authentication failed for user "alice"')
        assert why == ("the token is somebody else's: sub" if subject else "there is no such login")
    else:
        assert b'"status": "invalid_token"' in door.take()
        assert door.asked(CloseFrontend) == []
        fresh.data(message(112, b"\x01"))
        fields = refused(door)
        assert (fields["C"], fields["M"]) == ("28000", 'OAuth bearer authentication failed for user "alice"')


def test_a_client_may_ask_where_a_token_is_to_be_had_without_a_failed_proof(fresh: ClientSession, door: Door) -> None:
    asked(fresh, door, "oauthbearer")
    fresh.data(bearer(""))
    assert door.asked(WeighProof) == []
    assert b"openid-configuration" in door.take()
    fresh.data(message(112, b"\x01"))
    assert refused(door)["C"] == "28000"


def test_time_goes_on_while_the_client_thinks(door: Door) -> None:
    now = [0.0]
    session = ClientSession(door, process_id=1, secret_key=b"1234", clock=lambda: now[0])
    asked(session, door)
    now[0] = 100.0
    session.data(password(token()))
    assert door.asked(WeighProof) == [WeighProof(False)]


@pytest.mark.parametrize(
    "data", [b"Q\0\0\0\5\0", message(112, b"no end"), message(112, b"SCRAM-SHA-256\0\0\0\0\0"), bearer("Basic x")]
)
@pytest.mark.parametrize("method", ["password", "oauthbearer"])
def test_what_is_no_answer_ends_the_log_in(fresh: ClientSession, door: Door, data: bytes, method: str) -> None:
    asked(fresh, door, method)
    fresh.data(data)
    assert refused(door)["C"] == "08P01"


def test_where_others_could_read_it_a_token_is_not_even_asked_for(fresh: ClientSession, door: Door) -> None:
    fresh.data(packet(user="alice@example.com", database="test"))
    barred = InvalidAuthorization("a token is needed, and must not be sent unencrypted")
    fresh.handle(LoginFound(mock_verifier(b"s", "a"), b"nonce-of-the-tests-000001", None, barred=barred))
    assert refused(door)["C"] == "28000"
    assert door.asked(WeighProof) == []


@pytest.mark.parametrize("method", ["password", "oauthbearer"])
def test_a_log_in_that_comes_byte_by_byte_goes_as_one_that_comes_whole(method: str) -> None:
    told = []
    for cut in (False, True):
        door = Door(free=[link()])
        session = ClientSession(door, process_id=42, secret_key=b"key!", clock=lambda: 0.0)
        asked(session, door, method)
        data = password(token()) if method == "password" else bearer("Bearer " + token())
        for piece in [data[at : at + 1] for at in range(len(data))] if cut else [data]:
            session.data(piece)
        session.handle(ProofWeighed())
        told.append(door.take())
    assert told[0] == told[1]
    assert kinds(told[0]).endswith("Z")


@given(st.binary(max_size=80), st.sampled_from(["password", "oauthbearer"]), st.booleans())
def test_whatever_a_client_says_instead_of_a_token_is_weighed_or_refused(
    data: bytes, method: str, framed: bool
) -> None:
    door = Door(free=[link()])
    session = ClientSession(door, process_id=42, secret_key=b"key!", clock=lambda: 0.0)
    asked(session, door, method)
    session.data(message(112, data) if framed else data or b"p")
    if door.asked(WeighProof):
        session.handle(ProofWeighed())
    session.data(message(112, data))
    assert session.phase is not Phase.READY
    assert session.grant is None
