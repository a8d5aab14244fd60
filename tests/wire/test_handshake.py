"""The proxy's log-in at a server: what is answered, what is refused, and that no server is believed without proof."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.md5 import md5_response
from proxy.auth.scram import ScramServer, build_verifier, parse_verifier
from proxy.errors import ConnectionFailure, RemoteProtocolError
from proxy.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationOther,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
)
from proxy.wire.backend import (
    BackendKeyData,
    BackendMessage,
    CommandComplete,
    ErrorResponse,
    NegotiateProtocolVersion,
    NoticeResponse,
    ParameterStatus,
    ReadyForQuery,
)
from proxy.wire.frontend import PasswordMessage, SASLInitialResponse, SASLResponse
from proxy.wire.handshake import HandshakeRefused, ServerHandshake
from proxy.wire.startup import PROTOCOL_3_0, PROTOCOL_3_2, StartupMessage, decode_startup

NONCE = b"Y2xpZW50bm9uY2UwMTIzNDU2"
VERIFIER = parse_verifier(build_verifier("secret", b"0123456789abcdef", 10))


def handshake(
    password: str | None = "secret", *, allow_cleartext: bool = False, version: int = PROTOCOL_3_2
) -> ServerHandshake:
    parameters = {"client_encoding": "UTF8"}
    return ServerHandshake("app", "shop", parameters, password, NONCE, allow_cleartext=allow_cleartext, version=version)


def receive(one: ServerHandshake, message: BackendMessage) -> list[bytes]:
    data = message.encode()
    return one.receive(data[0], data[5:])


def finish(one: ServerHandshake) -> None:
    for message in (ParameterStatus("server_version", "18.6"), BackendKeyData(7, b"abcd"), ReadyForQuery(ord("I"))):
        assert not one.done
        assert receive(one, message) == []
    assert one.done
    assert one.parameters == {"server_version": "18.6"}
    assert (one.process_id, one.secret_key, one.status) == (7, b"abcd", ord("I"))


def begin_scram(one: ServerHandshake) -> tuple[ScramServer, bytes]:
    """The exchange up to the client's proof."""
    server = ScramServer(VERIFIER, b"c2VydmVybm9uY2UwMTIzNDU2")
    (first,) = receive(one, AuthenticationSASL(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")))
    response = SASLInitialResponse.decode(first[5:])
    assert response.mechanism == "SCRAM-SHA-256"
    assert response.data is not None
    (final,) = receive(one, AuthenticationSASLContinue(server.first(response.data)))
    return server, SASLResponse.decode(final[5:]).data


def test_it_begins_with_the_startup_message() -> None:
    for version in (PROTOCOL_3_0, PROTOCOL_3_2):
        expected = StartupMessage({"user": "app", "database": "shop", "client_encoding": "UTF8"}, version)
        assert decode_startup(handshake(version=version).start()[4:]) == expected


def test_trust_asks_for_nothing() -> None:
    one = handshake(None)
    assert receive(one, AuthenticationOk()) == []
    finish(one)


def test_md5_is_answered() -> None:
    one = handshake()
    (answer,) = receive(one, AuthenticationMD5Password(b"salt"))
    assert PasswordMessage.decode(answer[5:]).password == md5_response(b"app", b"secret", b"salt")
    receive(one, AuthenticationOk())
    finish(one)


def test_a_password_in_clear_is_sent_only_where_it_is_allowed() -> None:
    with pytest.raises(ConnectionFailure, match="in clear"):
        receive(handshake(), AuthenticationCleartextPassword())
    one = handshake(allow_cleartext=True)
    (answer,) = receive(one, AuthenticationCleartextPassword())
    assert PasswordMessage.decode(answer[5:]).password == b"secret"


def test_scram_is_answered_and_the_server_proves_itself() -> None:
    one = handshake()
    server, proof = begin_scram(one)
    outcome = server.final(proof)
    assert outcome is not None
    assert receive(one, AuthenticationSASLFinal(outcome)) == []
    assert receive(one, AuthenticationOk()) == []
    finish(one)


def test_a_server_that_skips_its_proof_is_refused() -> None:
    one = handshake()
    receive(one, AuthenticationSASL(("SCRAM-SHA-256",)))
    with pytest.raises(RemoteProtocolError):
        receive(one, AuthenticationOk())
    one = handshake()
    begin_scram(one)
    with pytest.raises(RemoteProtocolError):
        receive(one, AuthenticationOk())


def test_a_server_with_a_false_proof_is_refused() -> None:
    one = handshake()
    begin_scram(one)
    with pytest.raises(RemoteProtocolError, match="incorrect server signature"):
        receive(one, AuthenticationSASLFinal(b"v=" + b"A" * 43 + b"="))


def test_a_server_cannot_fall_back_to_another_proof_within_scram() -> None:
    for request in (AuthenticationMD5Password(b"salt"), AuthenticationCleartextPassword()):
        one = handshake(allow_cleartext=True)
        receive(one, AuthenticationSASL(("SCRAM-SHA-256",)))
        with pytest.raises(RemoteProtocolError):
            receive(one, request)


def test_nothing_is_sent_without_a_password() -> None:
    for request in (
        AuthenticationMD5Password(b"salt"), AuthenticationCleartextPassword(), AuthenticationSASL(("SCRAM-SHA-256",)),
    ):  # fmt: skip
        with pytest.raises(ConnectionFailure, match="none is configured"):
            receive(handshake(None, allow_cleartext=True), request)


def test_methods_that_are_not_spoken_are_refused() -> None:
    with pytest.raises(ConnectionFailure, match="not supported"):
        receive(handshake(), AuthenticationSASL(("OAUTHBEARER",)))
    with pytest.raises(RemoteProtocolError):
        receive(handshake(), AuthenticationOther(7))


def test_an_error_of_the_server_is_carried_and_not_told() -> None:
    error = ErrorResponse.build("FATAL", "28P01", 'password authentication failed for user "app"')
    with pytest.raises(HandshakeRefused) as refusal:
        receive(handshake(), error)
    assert refusal.value.response == error
    assert "app" not in refusal.value.message
    assert refusal.value.sqlstate == "08006"


def test_an_error_after_the_proof_is_carried_too() -> None:
    one = handshake(None)
    receive(one, AuthenticationOk())
    with pytest.raises(HandshakeRefused):
        receive(one, ErrorResponse.build("FATAL", "53300", "sorry, too many clients already"))


def test_notices_of_the_log_in_are_passed_over() -> None:
    one = handshake(None)
    notice = NoticeResponse.build("WARNING", "01000", "collation version mismatch")
    receive(one, notice)
    assert not one.done


def test_an_older_version_is_taken_before_anything_else_is_said() -> None:
    one = handshake()
    assert receive(one, NegotiateProtocolVersion(0x30000)) == []
    receive(one, AuthenticationOk())
    finish(one)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (0x30002, NegotiateProtocolVersion(0x30000, ("_pq_.x",))),
        (0x30002, NegotiateProtocolVersion(0x30002)),
        (0x30002, NegotiateProtocolVersion(0x30003)),
        (0x30002, NegotiateProtocolVersion(0x20000)),
        (0x30000, NegotiateProtocolVersion(0x30000)),
    ],
)
def test_a_version_or_option_that_answers_nothing_is_refused(asked: int, said: NegotiateProtocolVersion) -> None:
    with pytest.raises(RemoteProtocolError):
        receive(handshake(version=asked), said)


def test_a_version_is_negotiated_once_and_first() -> None:
    for before in (NegotiateProtocolVersion(0x30000), AuthenticationOk()):
        one = handshake()
        receive(one, before)
        with pytest.raises(RemoteProtocolError):
            receive(one, NegotiateProtocolVersion(0x30000))


def test_messages_out_of_their_place_are_refused() -> None:
    for message in (
        ReadyForQuery(ord("I")),
        ParameterStatus("a", "b"),
        BackendKeyData(1, b"abcd"),
        CommandComplete("X"),
    ):
        with pytest.raises(RemoteProtocolError):
            receive(handshake(), message)
    one = handshake(None)
    receive(one, AuthenticationOk())
    with pytest.raises(RemoteProtocolError):
        receive(one, CommandComplete("SELECT 1"))
    with pytest.raises(RemoteProtocolError):
        receive(one, AuthenticationOk())
    finish(one)
    with pytest.raises(RemoteProtocolError):
        receive(one, ReadyForQuery(ord("I")))


@given(st.lists(st.tuples(st.sampled_from(b"RSKZNv"), st.binary(max_size=12)), max_size=6))
def test_no_bytes_log_in_without_the_proof_that_was_asked_for(messages: list[tuple[int, bytes]]) -> None:
    one = handshake()
    receive(one, AuthenticationSASL(("SCRAM-SHA-256",)))
    try:
        for tag, body in messages:
            one.receive(tag, body)
    except RemoteProtocolError:
        pass
    assert not one.done
