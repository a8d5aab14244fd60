"""Messages of type R: told apart by their code, framed and not read."""

from __future__ import annotations

import pytest

from proxy.errors import RemoteProtocolError
from proxy.wire.authentication import (
    Authentication,
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationOther,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    decode_authentication,
)

ALL: tuple[Authentication, ...] = (
    AuthenticationOk(),
    AuthenticationCleartextPassword(),
    AuthenticationMD5Password(b"salt"),
    AuthenticationSASL(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")),
    AuthenticationSASL(()),
    AuthenticationSASLContinue(b"r=x,s=y,i=1"),
    AuthenticationSASLFinal(b"v=z"),
    AuthenticationOther(7),
    AuthenticationOther(8, b"token"),
)


def test_what_is_encoded_decodes_to_the_same() -> None:
    for request in ALL:
        data = request.encode()
        assert data[:1] == b"R"
        assert decode_authentication(data[5:]) == request


def test_bytes_left_over_are_refused() -> None:
    for request in ALL[:5]:
        with pytest.raises(RemoteProtocolError):
            decode_authentication(request.encode()[5:] + b"x")


def test_an_unknown_kind_is_refused_and_a_known_one_has_a_name() -> None:
    with pytest.raises(RemoteProtocolError, match="authentication method 99 not supported"):
        decode_authentication(b"\0\0\0\x63")
    assert AuthenticationOther(9).name == "SSPI"


def test_a_list_of_mechanisms_must_end() -> None:
    with pytest.raises(RemoteProtocolError):
        decode_authentication(b"\0\0\0\x0aSCRAM-SHA-256\0")
