"""Channel binding by tls-server-end-point: what ties a SCRAM exchange to the server's certificate.

Whoever terminates TLS with another certificate than the server's cannot pass the exchange on. The value is the hash of
the certificate by the hash of its own signature, SHA-256 in place of MD5 and SHA-1; where a signature names no single
hash (Ed25519 and the like) the binding is undefined, and none is offered. Source: RFC 5929 section 4.1.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

WEAK = frozenset({"md5", "sha1"})


def end_point(certificate: bytes) -> bytes | None:
    """The binding of a certificate in DER; None where it is undefined, or the certificate cannot be read."""
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return None
    if algorithm is None:
        return None
    name = "sha256" if algorithm.name in WEAK else algorithm.name
    return hashlib.new(name, certificate).digest() if name in hashlib.algorithms_guaranteed else None
