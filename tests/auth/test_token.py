"""Tokens: what their issuer signed for us, for this login, for now; and nothing else."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
import pickle
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.token import HEADER, parse_keys, problem_of
from tests.kit.tokens import AUDIENCE, NOW, URL, issuer, key, key_set, pem, token


def problem(text: str, value: str | None = "alice", now: float = NOW, **how: Any) -> str:
    return problem_of(text, issuer(**how), value, now)


def test_what_the_issuer_signed_for_us_proves_who_it_is() -> None:
    assert problem(token()) == ""
    assert problem(token(aud=["other", AUDIENCE])) == ""
    assert problem(token(sub=None, email="a@b"), "a@b", claim="email") == ""


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("RSA", "RS256"), ("RSA", "PS256"), ("EC", "ES256"), ("OKP", "Ed25519")]
)
def test_each_kind_of_key_has_its_algorithms_by_jwks_and_by_pem(kind: str, algorithm: str) -> None:
    text = token(key(kind), algorithm)
    for keys in (key_set(key(kind)), pem(key(kind))):
        assert problem(text, keys=keys, algorithms=(algorithm,)) == ""


def test_a_certificate_stands_for_its_key() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    private: Any = load_pem_private_key(key().as_pem(private=True), None)
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    built = x509.CertificateBuilder(name, name, private.public_key(), 1, begin, begin + dt.timedelta(days=1))
    certificate = built.sign(private, SHA256()).public_bytes(Encoding.PEM).decode()
    assert problem(token(), keys=certificate) == ""


def test_a_shared_key_counts_only_where_the_rule_says_so() -> None:
    text = token(key("oct"), "HS256")
    shared = json.dumps({"keys": [key("oct").as_dict(private=True)]})
    assert problem(text, keys=shared, algorithms=("HS256",)) == ""
    assert problem(text) != ""


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": URL + "/"}, {"iss": None}, {"iss": [URL]}, {"aud": "other"}, {"aud": None}, {"aud": [["partywall"]]},
        {"exp": NOW - 31}, {"exp": None}, {"exp": "soon"}, {"exp": True}, {"nbf": NOW + 31}, {"iat": NOW + 31},
        {"sub": "bob"}, {"sub": None}, {"sub": ["alice"]}, {"sub": "ALICE"},
    ],
)  # fmt: skip
def test_a_claim_that_is_wrong_or_missing_proves_nothing(claims: dict[str, Any]) -> None:
    assert problem(token(**claims)) != ""


def test_clocks_may_differ_by_the_leeway() -> None:
    assert problem(token(exp=NOW - 29, nbf=NOW + 29)) == ""
    assert problem(token(exp=NOW - 29), leeway=10.0) != ""
    assert problem(token(), now=NOW + 200) != ""


def test_who_does_not_exist_has_no_token_that_would_do() -> None:
    assert problem(token(), None) == "there is no such login"
    assert problem(token(sub=None), None) == "there is no such login"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: dict[str, Any], signature: bytes = b"") -> str:
    claims = {"iss": URL, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 9}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode()]
    return ".".join(b64(one) for one in (*parts, signature))


@pytest.mark.parametrize(
    "text",
    [
        token(key("EC", "two")),  # of another key
        token(key("EC", "two"), header={"kid": "one"}),  # that says it was this one
        token(key("RSA"), "RS256"),  # of an algorithm that is not listed
        forged({"alg": "none"}), forged({"alg": "NONE"}), forged({"alg": "ES256", "kid": "one"}, bytes(64)),
        forged({"alg": "ES256", "kid": "one", "crit": ["b64"], "b64": False}, bytes(64)),
        forged({"alg": "ES256", "jwk": key("EC", "two").as_dict(private=False)}),
        token()[:-8] + "AAAAAAAA", token() + "A", token().replace(".", ".."), "", "x", "a.b.c", "\0", "é.é.é", "..",
        "A" * (HEADER + 1) + ".e30.x", base64.b64encode(b"[" * 3000).decode() + ".e30.x",
    ],
    ids=range(19),
)  # fmt: skip
def test_what_the_issuer_did_not_sign_is_refused_whatever_it_says(text: str) -> None:
    assert problem(text) != ""


def test_a_public_key_is_no_shared_secret() -> None:
    """The confusion of algorithms: an HMAC made with the text of the public key."""
    public = pem(key("RSA"))
    unsigned = forged({"alg": "HS256", "kid": "one"}).rpartition(".")[0]
    text = f"{unsigned}.{b64(hmac.digest(public.encode(), unsigned.encode(), 'sha256'))}"
    for algorithms in (("RS256",), ("ES256",)):
        assert problem(text, keys=public, algorithms=algorithms) != ""


@pytest.mark.parametrize(
    ("keys", "algorithms", "told"),
    [
        ("{}", ("ES256",), "must be a JWKS"),
        ("not json", ("ES256",), "must be a JWKS"),
        ('{"keys": []}', ("ES256",), "must be a JWKS"),
        ("-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----\n", ("ES256",), "must be a JWKS"),
        (key("EC").as_pem(private=True).decode(), ("ES256",), "JWKS, or PEM"),
        (json.dumps({"keys": [key("EC").as_dict(private=True)]}), ("ES256",), "private key"),
        (json.dumps({"keys": [key("oct").as_dict(private=True)]}), ("RS256",), "do not belong together"),
        (key_set(key("RSA")), ("HS256",), "do not belong together"),
        (key_set(key("RSA")), ("HS256", "RS256"), "cannot stand together"),
    ],
    ids=range(9),
)
def test_keys_that_cannot_be_used_are_told_and_never_shown(keys: str, algorithms: tuple[str, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        parse_keys(keys, algorithms)
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=80), st.text(alphabet="abcdefgh.", max_size=80))
def test_any_text_is_a_token_or_a_problem_and_never_an_exception(anything: str, likely: str) -> None:
    assert problem(anything)
    assert problem(likely)


def test_an_issuer_goes_through_a_pipe_with_its_keys() -> None:
    for source in (key_set(key()), pem(key())):
        made = issuer(source)
        copied = pickle.loads(pickle.dumps(made))
        assert copied == made
        assert problem_of(token(), copied, "alice", NOW) == ""
        assert problem_of(token(by=key(kid="another")), copied, "alice", NOW) != ""
