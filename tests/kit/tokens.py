"""Keys and tokens of issuers that exist in tests only."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from proxy.auth.token import Issuer, parse_keys

URL = "https://login.example.com/realm"
AUDIENCE = "partywall"
NOW = 1_800_000_000


@lru_cache
def key(kind: str = "EC", kid: str = "one") -> Any:
    """A private key; the same for the same name."""
    parameters: Any = {"kid": kid}
    if kind == "RSA":
        return RSAKey.generate_key(2048, parameters)
    if kind == "OKP":
        return OKPKey.generate_key("Ed25519", parameters)
    if kind == "oct":
        return OctKey.generate_key(256, parameters)
    return ECKey.generate_key("P-256", parameters)


def key_set(*keys: Any) -> str:
    """The JWKS that their issuer publishes."""
    return json.dumps(KeySet(list(keys)).as_dict(private=False))


def pem(one: Any) -> str:
    """The public half as PEM."""
    text: bytes = one.as_pem(private=False)
    return text.decode()


def token(by: Any = None, algorithm: str = "ES256", header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A signed token; claims that are None are left out."""
    whole = {"iss": URL, "aud": AUDIENCE, "sub": "alice", "iat": NOW - 60, "exp": NOW + 60} | claims
    by = by if by is not None else key()
    given = {"alg": algorithm, "kid": by.kid} | (header or {})
    return jwt.encode(given, {name: one for name, one in whole.items() if one is not None}, by, [algorithm])


def issuer(keys: str | None = None, algorithms: tuple[str, ...] = ("ES256",), **more: Any) -> Issuer:
    """An issuer that published these keys."""
    source = keys if keys is not None else key_set(key())
    return Issuer(URL, AUDIENCE, "@example.com", parse_keys(source, algorithms), algorithms, source=source, **more)
