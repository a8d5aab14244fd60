"""tls-server-end-point: the hash of a certificate by the hash that it was signed with."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.auth.binding import end_point

RSA = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


def certificate(key: Any, algorithm: Any, **how: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "db")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    unsigned = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day + dt.timedelta(days=9))
    return unsigned.sign(key, algorithm, **how).public_bytes(Encoding.DER)


@pytest.mark.parametrize("key", [RSA, CURVE], ids=["RSA", "ECDSA"])
@pytest.mark.parametrize(
    ("algorithm", "used"),
    [
        (hashes.SHA256(), "sha256"),
        (hashes.SHA384(), "sha384"),
        (hashes.SHA512(), "sha512"),
        (hashes.SHA224(), "sha224"),
    ],
)
def test_the_hash_is_that_of_the_signature(key: Any, algorithm: hashes.HashAlgorithm, used: str) -> None:
    made = certificate(key, algorithm)
    assert end_point(made) == hashlib.new(used, made).digest()


def test_a_padded_signature_tells_its_hash_as_well() -> None:
    how = padding.PSS(padding.MGF1(hashes.SHA384()), padding.PSS.DIGEST_LENGTH)
    made = certificate(RSA, hashes.SHA384(), rsa_padding=how)
    assert end_point(made) == hashlib.sha384(made).digest()


# 1.2.840.113549.1.1.x in DER: sha256WithRSAEncryption is 11, sha1 5, md5 4
@pytest.mark.parametrize("number", [4, 5])
def test_sha_256_stands_in_for_weak_hashes(number: int) -> None:
    prefix = bytes.fromhex("2a864886f70d0101")
    made = certificate(RSA, hashes.SHA256()).replace(prefix + b"\x0b", prefix + bytes([number]))
    assert end_point(made) == hashlib.sha256(made).digest()


def test_where_no_hash_is_named_nothing_is_bound() -> None:
    assert end_point(certificate(ed25519.Ed25519PrivateKey.generate(), None)) is None
    assert end_point(b"no certificate") is None
