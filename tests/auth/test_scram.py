"""SCRAM-SHA-256: the vector of RFC 7677, both roles against each other, and everything that must not pass."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.scram import (
    BOUND,
    MAX_ITERATIONS,
    MECHANISM,
    PLUS,
    SaltedPasswords,
    ScramClient,
    ScramServer,
    Verifier,
    both,
    build_verifier,
    mock_verifier,
    parse_verifier,
)
from proxy.errors import InvalidAuthorization, RemoteProtocolError

SALT = b"0123456789abcdef"
NONCE = b"c2VydmVybm9uY2UwMTIzNDU2"
CLIENT_NONCE = b"Y2xpZW50bm9uY2UwMTIzNDU2"
VERIFIER = parse_verifier(build_verifier("pencil", SALT, 10))


def exchange(password: str, verifier: Verifier = VERIFIER) -> tuple[ScramClient, bytes | None]:
    client, server = ScramClient(password, CLIENT_NONCE), ScramServer(verifier, NONCE)
    return client, server.final(client.final(server.first(client.first())))


# RFC 7677, section 3: user "user", password "pencil"
RFC_SALT = b"W22ZaJ0SNY7soEsUEjb6gQ=="
RFC_CLIENT_NONCE = b"rOprNGfwEbeRWgbNEkqO"
RFC_SERVER_NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
RFC_CHALLENGE = b"r=" + RFC_CLIENT_NONCE + RFC_SERVER_NONCE + b",s=" + RFC_SALT + b",i=4096"
RFC_FINAL = b"c=biws,r=" + RFC_CLIENT_NONCE + RFC_SERVER_NONCE + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
RFC_OUTCOME = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_server_role_speaks_the_vector_of_the_rfc() -> None:
    salt = bytes.fromhex("5b6d99689d12358eec a04b141236fa81".replace(" ", ""))
    assert b64encode(salt) == RFC_SALT
    server = ScramServer(parse_verifier(build_verifier("pencil", salt, 4096)), RFC_SERVER_NONCE)
    assert server.first(b"n,,n=user,r=" + RFC_CLIENT_NONCE) == RFC_CHALLENGE
    assert server.final(RFC_FINAL) == RFC_OUTCOME


def test_the_stored_form_is_that_of_pg_authid() -> None:
    text = build_verifier("pencil", SALT, 4096)
    mechanism, parameters, keys = text.split("$")
    assert (mechanism, parameters) == ("SCRAM-SHA-256", "4096:MDEyMzQ1Njc4OWFiY2RlZg==")
    assert [len(key) for key in keys.split(":")] == [44, 44]
    assert parse_verifier(text).text() == text


def test_who_knows_the_password_is_let_in_and_believes_the_server() -> None:
    client, outcome = exchange("pencil")
    assert outcome is not None
    client.verify(outcome)


def test_a_wrong_password_is_not_let_in() -> None:
    assert exchange("pencils")[1] is None


def test_passwords_are_prepared_on_both_sides() -> None:
    verifier = parse_verifier(build_verifier("I\u00adX", SALT, 10))
    assert exchange("\u2168", verifier)[1] is not None


def test_during_a_rotation_either_password_passes_and_the_server_proves_that_it_knows_that_one() -> None:
    verifier = both(VERIFIER, parse_verifier(build_verifier("crayon", SALT, 10)))
    for password in ("pencil", "crayon"):
        client, outcome = exchange(password, verifier)
        assert outcome is not None
        client.verify(outcome)
    assert exchange("chalk", verifier)[1] is None
    assert exchange("crayon", replace(verifier, mock=True))[1] is None
    assert "crayon" not in repr(verifier)


@pytest.mark.parametrize(("salt", "iterations"), [(b"another salt, 16", 10), (SALT, 11)])
def test_a_password_with_another_salt_could_never_be_proved_and_is_refused(salt: bytes, iterations: int) -> None:
    with pytest.raises(ValueError, match="different salts or iterations"):
        both(VERIFIER, parse_verifier(build_verifier("crayon", salt, iterations)))


def test_an_unknown_login_is_challenged_like_a_known_one_and_not_let_in() -> None:
    mock = mock_verifier(b"secret", "nobody", 10)
    server = ScramServer(mock, NONCE)
    challenge = server.first(b"n,,n=,r=" + CLIENT_NONCE)
    known = ScramServer(VERIFIER, NONCE).first(b"n,,n=,r=" + CLIENT_NONCE)
    assert len(challenge) == len(known)
    assert exchange("pencil", mock)[1] is None


def test_the_salt_of_an_unknown_login_is_stable_and_its_own() -> None:
    first, again = mock_verifier(b"secret", "nobody"), mock_verifier(b"secret", "nobody")
    assert first == again
    assert len(first.salt) == 16
    assert first.salt != mock_verifier(b"secret", "somebody").salt
    assert first.salt != mock_verifier(b"another", "nobody").salt


def test_a_mock_verifier_lets_nobody_in_even_with_the_right_keys() -> None:
    mock = Verifier(VERIFIER.iterations, VERIFIER.salt, VERIFIER.stored_key, VERIFIER.server_key, mock=True)
    assert exchange("pencil", mock)[1] is None


def test_an_outcome_is_given_once() -> None:
    client, server = ScramClient("pencil", CLIENT_NONCE), ScramServer(VERIFIER, NONCE)
    final = client.final(server.first(client.first()))
    assert server.final(final) is not None
    with pytest.raises(RemoteProtocolError):
        server.final(final)


def test_a_proof_for_another_challenge_is_refused() -> None:
    client = ScramClient("pencil", CLIENT_NONCE)
    final = client.final(ScramServer(VERIFIER, NONCE).first(client.first()))
    other = ScramServer(VERIFIER, NONCE[::-1])
    other.first(client.first())
    with pytest.raises(RemoteProtocolError, match="invalid SCRAM response"):
        other.final(final)


def test_a_client_that_could_bind_a_channel_is_welcome_and_held_to_it() -> None:
    server = ScramServer(VERIFIER, NONCE)
    challenge = server.first(b"y,,n=,r=" + CLIENT_NONCE)
    final = ScramClient("pencil", CLIENT_NONCE).final(challenge)
    with pytest.raises(RemoteProtocolError, match="channel-binding"):
        server.final(final)  # c=biws says n, the first message said y: somebody in between changed one of them


@pytest.mark.parametrize(
    ("first", "sqlstate"),
    [
        (b"", "08P01"),
        (b"n", "08P01"),
        (b"n,", "08P01"),
        (b"n,,", "08P01"),
        (b"n,,n=", "08P01"),
        (b"n,,r=abc,n=", "08P01"),
        (b"n,,n=,r=", "08P01"),
        (b"n,,n=,r=a\x00b", "08P01"),
        (b"n,,n=,r=\xc3\xa9", "08P01"),
        (b"x,,n=,r=abc", "08P01"),
        (b"p=tls-server-end-point,,n=,r=abc", "08P01"),
        (b"n,a=admin,n=,r=abc", "0A000"),
        (b"n,,m=x,n=,r=abc", "0A000"),
    ],
)
def test_malformed_first_messages_are_refused(first: bytes, sqlstate: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        ScramServer(VERIFIER, NONCE).first(first)
    assert refusal.value.sqlstate == sqlstate


@given(st.binary(max_size=60))
def test_any_first_and_final_message_is_answered_or_a_protocol_error(data: bytes) -> None:
    server = ScramServer(VERIFIER, NONCE)
    with pytest.raises(RemoteProtocolError):
        server.final(data)  # before the first
    try:
        server.first(data)
    except RemoteProtocolError:
        server.first(b"n,,n=,r=" + CLIENT_NONCE)
    with pytest.raises(RemoteProtocolError):
        server.final(data)


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_final_message_with_one_byte_changed_lets_nobody_in(position: int, byte: int) -> None:
    client, server = ScramClient("pencil", CLIENT_NONCE), ScramServer(VERIFIER, NONCE)
    final = client.final(server.first(client.first()))
    changed = bytearray(final)
    changed[position % len(final)] = byte
    try:
        outcome = server.final(bytes(changed))
    except RemoteProtocolError:
        return
    assert (outcome is not None) == (changed == final)


def test_a_proof_has_one_spelling() -> None:
    client, server = ScramClient("pencil", CLIENT_NONCE), ScramServer(VERIFIER, NONCE)
    final = client.final(server.first(client.first()))
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(final[-2]) ^ 1]  # differs in a bit that no byte of the proof uses
    with pytest.raises(RemoteProtocolError, match="malformed SCRAM message"):
        server.final(final[:-2] + bytes([other]) + b"=")


def test_a_server_that_does_not_know_the_password_is_not_believed() -> None:
    client, _ = exchange("pencil")
    with pytest.raises(RemoteProtocolError, match="incorrect server signature"):
        client.verify(b"v=" + b64encode(b"x" * 32))
    for outcome in (b"", b"v=", b"v=%", b"e=other-error"):
        with pytest.raises(RemoteProtocolError):
            client.verify(outcome)


def test_a_server_is_not_believed_before_the_exchange_or_twice() -> None:
    with pytest.raises(RemoteProtocolError):
        ScramClient("pencil", CLIENT_NONCE).verify(b"v=")
    client, outcome = exchange("pencil")
    assert outcome is not None
    client.verify(outcome)
    with pytest.raises(RemoteProtocolError):
        client.verify(outcome)


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=" + CLIENT_NONCE + b",s=MDE=,i=1",
        b"r=elsewhere,s=MDE=,i=1",
        b"r=" + CLIENT_NONCE + b"x,s=,i=1",
        b"r=" + CLIENT_NONCE + b"x,s=%%%,i=1",
        b"r=" + CLIENT_NONCE + b"x,s=MDE=,i=0",
        b"r=" + CLIENT_NONCE + b"x,s=MDE=,i=-1",
        b"r=" + CLIENT_NONCE + b"x,s=MDE=,i=x",
        b"r=" + CLIENT_NONCE + b"x,s=MDE=,i=%d" % (MAX_ITERATIONS + 1),
        b"r=" + CLIENT_NONCE + b"x,s=MDE=,i=99999999999999",
        b"m=x,r=" + CLIENT_NONCE + b"x,s=MDE=,i=1",
    ],
)
def test_malformed_challenges_are_refused(challenge: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        ScramClient("pencil", CLIENT_NONCE).final(challenge)


def test_what_is_slow_is_derived_once_per_server() -> None:
    cache: SaltedPasswords = {}
    challenge = ScramServer(VERIFIER, NONCE).first(b"n,,n=,r=" + CLIENT_NONCE)
    first = ScramClient("pencil", CLIENT_NONCE, cache).final(challenge)
    assert len(cache) == 1
    assert ScramClient("pencil", CLIENT_NONCE, cache).final(challenge) == first
    assert ScramClient("other", CLIENT_NONCE, cache).final(challenge) != first
    assert len(cache) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "md5d41d8cd98f00b204e9800998ecf8427e",
        "secret",
        "SCRAM-SHA-1$4096:MDE=$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$4096:MDE=$AAAA:AAAA",
        "SCRAM-SHA-256$0:MDE=$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$ 10:MDE=$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$١٠:MDE=$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$4096:$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$4096:%%%=$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "SCRAM-SHA-256$4096:MDE=$" + "A" * 43 + "=",
    ],
)
def test_what_is_not_a_verifier_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a SCRAM-SHA-256 verifier$"):
        parse_verifier(text)


def test_keys_are_not_printed() -> None:
    assert repr(VERIFIER.stored_key) not in repr(VERIFIER)
    assert repr(VERIFIER.server_key) not in repr(VERIFIER)


BINDING = b"hash of the certificate"


def bound(
    ours: bytes | None, theirs: bytes | None, offered: tuple[str, ...] | None = None
) -> tuple[ScramClient, bytes | None]:
    """An exchange where the client saw the certificate `ours`, and the server has shown `theirs`."""
    server = ScramServer(VERIFIER, NONCE, theirs)
    client = ScramClient("pencil", CLIENT_NONCE, binding=ours, offered=offered or server.mechanisms)
    return client, server.final(client.final(server.first(client.first(), client.mechanism)))


@pytest.mark.parametrize(
    ("ours", "theirs", "mechanism"),
    [(BINDING, BINDING, PLUS), (None, BINDING, MECHANISM), (BINDING, None, MECHANISM), (None, None, MECHANISM)],
)
def test_a_channel_is_bound_where_both_can(ours: bytes | None, theirs: bytes | None, mechanism: str) -> None:
    client, outcome = bound(ours, theirs)
    assert client.mechanism == mechanism
    assert outcome is not None
    client.verify(outcome)


def test_another_certificate_in_between_ends_the_exchange() -> None:
    with pytest.raises(InvalidAuthorization, match="channel binding check failed"):
        bound(b"hash of another", BINDING)


def test_an_offer_that_was_taken_away_in_between_is_noticed() -> None:
    with pytest.raises(InvalidAuthorization, match="negotiation error"):
        bound(BINDING, BINDING, (MECHANISM,))


@pytest.mark.parametrize(
    ("binding", "mechanism", "flag", "message"),
    [
        (None, PLUS, b"p=tls-server-end-point", "invalid SASL authentication mechanism"),
        (BINDING, "SCRAM-SHA-1", b"n", "invalid SASL authentication mechanism"),
        (BINDING, PLUS, b"n", "malformed SCRAM message"),
        (BINDING, PLUS, b"y", "malformed SCRAM message"),
        (BINDING, PLUS, b"p=tls-unique", 'unsupported SCRAM channel-binding type "tls-unique"'),
        (BINDING, PLUS, b"p", "malformed SCRAM message"),
        (BINDING, MECHANISM, b"p=tls-server-end-point", "malformed SCRAM message"),
        (None, MECHANISM, b"p=tls-server-end-point", "malformed SCRAM message"),
    ],
)
def test_flag_and_mechanism_must_agree(binding: bytes | None, mechanism: str, flag: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        ScramServer(VERIFIER, NONCE, binding).first(flag + b",,n=,r=" + CLIENT_NONCE, mechanism)


def test_a_binding_cannot_be_left_out_of_the_last_message() -> None:
    server = ScramServer(VERIFIER, NONCE, BINDING)
    challenge = server.first(BOUND + b",,n=,r=" + CLIENT_NONCE, PLUS)
    final = ScramClient("pencil", CLIENT_NONCE).final(challenge)  # says n
    with pytest.raises(InvalidAuthorization):
        server.final(final)
