"""JSON Web Tokens as proof of who logs in: signed by an issuer that the rules name, for us, and not expired.

joserfc verifies signatures; what is accepted is decided here: only the algorithms listed, only the issuer's own keys,
`iss`, `aud` and `exp` always. The claim that says who it is must equal what the login's rule says. Time is an argument,
in seconds since the epoch. Sources: RFC 7519, RFC 8725 (best practices), RFC 6750 for what a bearer token may hold.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey

Method = Literal["password", "oauthbearer"]
HEADER = 4096  # characters of a token's first part: it is read before the signature
SHARED = frozenset({"HS256", "HS384", "HS512"})
BEARER = re.compile(r"[-._~+/A-Za-z0-9]+=*")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs tokens, and for which logins: those whose names end with `suffix`. audience: ours. claim: which one
    says who it is. leeway: seconds that clocks may differ. method: how clients are asked for a token. scope: what a
    client that asks for one is told to ask for.
    """

    url: str
    audience: str
    suffix: str
    keys: Key | KeySet = field(repr=False, compare=False)
    algorithms: tuple[str, ...]
    claim: str = "sub"
    leeway: float = 30.0
    method: Method = "password"
    scope: str = ""
    source: str = field(default="", repr=False, compare=False)  # what the keys were parsed of

    def __reduce__(self) -> tuple[Any, ...]:
        """Keys cannot be pickled: they are parsed again."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "keys"}
        return _parsed, (values,)


def _parsed(values: dict[str, Any]) -> Issuer:
    return Issuer(**values, keys=parse_keys(values["source"], values["algorithms"]))


def parse_keys(text: str, algorithms: tuple[str, ...]) -> Key | KeySet:
    """The keys of a JWKS, or the one of a PEM file (public key or certificate). ValueError tells what is wrong.

    Keys that are shared with the issuer (`oct`) and keys of which we have one half never stand together, and each kind
    only with its own algorithms: else a public key could be taken for a shared secret.
    """
    shared = [name in SHARED for name in algorithms]
    if any(shared) and not all(shared):
        raise ValueError("algorithms with a shared key (HS…) and others cannot stand together")
    found: Key | KeySet = _pem(text.encode()) if "-----BEGIN" in text else _key_set(text)
    for key in found.keys if isinstance(found, KeySet) else (found,):
        if isinstance(key, OctKey) is not shared[0]:
            raise ValueError("algorithms and kinds of keys do not belong together")
        if not isinstance(key, OctKey) and key.is_private:
            raise ValueError("keys holds a private key; only the public half belongs here")
    return found


def _key_set(text: str) -> KeySet:
    try:
        return KeySet.import_key_set(json.loads(text))
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("keys must be a JWKS, or PEM: a public key or a certificate") from None


def _pem(text: bytes) -> Key:
    try:
        if b"BEGIN CERTIFICATE" in text:
            public = load_pem_x509_certificate(text).public_key()
            text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("keys must be a JWKS, or PEM: a public key or a certificate") from None
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            return kind.import_key(text)
        except (JoseError, ValueError, TypeError):
            continue
    raise ValueError("keys is of a kind that signs no tokens")


def problem_of(text: str, issuer: Issuer, value: str | None, now: float) -> str:
    """Why this token does not prove that its bearer is `value`; "" when it does. For the log only.

    value None: of a login that does not exist; everything is done as for one that does.
    """
    if len(text.partition(".")[0]) > HEADER or BEARER.fullmatch(text) is None:
        return "what was given is no token"
    registry = jwt.JWTClaimsRegistry(
        now=int(now),
        leeway=int(issuer.leeway),
        iss={"essential": True, "value": issuer.url},
        aud={"essential": True, "value": issuer.audience},
        exp={"essential": True},
    )
    try:
        claims: dict[str, Any] = jwt.decode(text, issuer.keys, algorithms=issuer.algorithms).claims
        registry.validate(claims)
    except Exception as problem:  # whatever a stranger's token breaks, it proves nothing
        return f"token: {str(problem)[:200] or type(problem).__name__}"
    if value is None:
        return "there is no such login"
    if claims.get(issuer.claim) != value:
        return f"the token is somebody else's: {issuer.claim}"
    return ""
