"""A receipt of an erasure: JSON in one form only, and a signature of its bytes by Ed25519 beside it.

Promises: what `proven` lets pass is byte for byte what the holder of the key signed, in the form of `written`. The
form: UTF-8, keys sorted, two spaces of indentation, a newline at the end. The signature is 64 bytes in a file of its
own, so that openssl alone can check it. Source: RFC 8032; PKCS #8 and SubjectPublicKeyInfo in PEM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from proxy.backup.refusal import Refused

FORMAT = 1
SIGNATURE = ".sig"  # behind the receipt's own name
LONGEST = 16 << 20  # bytes of a receipt
HINT = "make one: openssl genpkey -algorithm ed25519 -out receipt.key; name it with receipt_key in the settings"


def written(body: Mapping[str, Any]) -> bytes:
    """The bytes that are signed. body: text, integers, booleans, None, lists and mappings of these."""
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def private_key(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file without a password. Refused when it is none of Ed25519."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Refused([f"{path} is no Ed25519 key in PEM without a password; {HINT}"])
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Likewise, the public half; of a private key its own."""
    text = path.read_bytes()
    try:
        key = load_pem_public_key(text) if b"PUBLIC KEY" in text else private_key(path).public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Refused([f"{path} is no Ed25519 public key in PEM"])
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the public key in DER, in hexadecimal digits: how a receipt names who signed it."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def proven(text: bytes, signature: bytes, key: Ed25519PublicKey) -> dict[str, Any]:
    """What a receipt says. Refused when these bytes were not signed by this key, or are no receipt."""
    try:
        key.verify(signature, text)
    except InvalidSignature:
        raise Refused(["the receipt is not what was signed, or another key signed it"]) from None
    try:
        body = orjson.loads(text) if len(text) <= LONGEST else None
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or body.get("format") != FORMAT or written(body) != text:
        raise Refused(["what was signed is no receipt of an erasure"])
    if body.get("key") != fingerprint(key):
        raise Refused(["the receipt names another key than the one that signed it"])
    return body
