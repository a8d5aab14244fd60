"""OAUTHBEARER: the messages of RFC 7628, and what is none of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.bearer import decode_bearer, failure

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


@pytest.mark.parametrize(
    ("data", "token"),
    [
        (f"n,,\x01auth=Bearer {TOKEN}\x01\x01", TOKEN),
        (f"y,,\x01host=h\x01port=143\x01auth=bearer   {TOKEN}\x01\x01", TOKEN),
        ("n,,\x01auth=\x01\x01", ""),  # where is one to be had?
    ],
)
def test_the_token_stands_behind_the_scheme(data: str, token: str) -> None:
    assert decode_bearer(data.encode()) == token


@pytest.mark.parametrize(
    "data",
    [
        "", "n", "n,,", "n,,\x01", "n,,\x01\x01", "n,,\x01auth=Bearer x\x01", "n,\x01auth=Bearer x\x01\x01",
        "p=tls-exporter,,\x01auth=Bearer x\x01\x01", "n,,\x01auth=Basic x\x01\x01", "n,,\x01host=h\x01\x01",
        "n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01", "n,,\x01auth=Bearer \x7f\x01\x01", "n,,\x01auth\x01\x01",
    ],
)  # fmt: skip
def test_what_is_malformed_ends_the_log_in(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_bearer(data.encode())


def test_another_identity_than_the_login_is_not_supported() -> None:
    with pytest.raises(RemoteProtocolError, match="authorization identity") as caught:
        decode_bearer(b"n,a=bob,\x01auth=Bearer x\x01\x01")
    assert caught.value.sqlstate == "0A000"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_token_or_refused(data: bytes) -> None:
    for whole in (data, b"n,,\x01auth=Bearer " + data + b"\x01\x01"):
        try:
            decode_bearer(whole).encode("ascii")
        except RemoteProtocolError:
            continue


def test_a_client_is_told_where_its_issuer_gives_tokens() -> None:
    told = json.loads(failure("https://login.example.com/", "openid"))
    assert told == {
        "status": "invalid_token",
        "openid-configuration": "https://login.example.com/.well-known/openid-configuration",
        "scope": "openid",
    }
