"""The mechanism OAUTHBEARER: what a client says first, and what it is told when its token is not taken.

Formats only; who signed the token is auth.token's. Source: RFC 7628, sections 3.1 and 3.2.2, and PostgreSQL's
auth-oauth.c for what it is strict about.
"""

from __future__ import annotations

import json
import re

from proxy.errors import RemoteProtocolError

MECHANISM = "OAUTHBEARER"
END = b"\x01"
PAIR = re.compile(rb"([A-Za-z]+)=([\x20-\x7e\t\r\n]*)")


def decode_bearer(data: bytes) -> str:
    """The token of a client's first message; "" when it only asks where one is to be had. RemoteProtocolError (08P01,
    0A000) for what is malformed.
    """
    header, separator, rest = data.partition(END)
    flag, _, identity = header.partition(b",")
    if flag not in {b"n", b"y"} or not separator or not identity.endswith(b","):
        raise RemoteProtocolError("malformed OAUTHBEARER message", detail="Unexpected channel-binding flag.")
    if identity != b",":
        raise RemoteProtocolError("client uses authorization identity, but it is not supported", sqlstate="0A000")
    if rest != END and not rest.endswith(END + END):
        raise RemoteProtocolError("malformed OAUTHBEARER message", detail="Message did not contain a final terminator.")
    token: str | None = None
    for part in rest[:-2].split(END):
        pair = PAIR.fullmatch(part)
        if pair is None:
            raise RemoteProtocolError("malformed OAUTHBEARER message", detail="Malformed key/value pair.")
        if pair[1] == b"auth":
            if token is not None:
                raise RemoteProtocolError("malformed OAUTHBEARER message", detail="Message has several auth values.")
            token = pair[2].decode("ascii")
    if token is None:
        raise RemoteProtocolError("malformed OAUTHBEARER message", detail="Message did not contain an auth value.")
    if not token:
        return ""
    scheme, _, rest_of = token.partition(" ")
    if scheme.lower() != "bearer":
        raise RemoteProtocolError("malformed OAUTHBEARER message", detail="The scheme of auth is not Bearer.")
    return rest_of.strip(" ")


def failure(url: str, scope: str) -> bytes:
    """What is said of a token that was not taken: where the issuer tells how to get another."""
    place = url.rstrip("/") + "/.well-known/openid-configuration"
    return json.dumps({"status": "invalid_token", "openid-configuration": place, "scope": scope}).encode()
