"""Client certificates: one name, of the kind that the rule says, to the letter."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from proxy.auth.certificate import CertificateRule, proves

KEY = generate_private_key(SECP256R1())
BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def certificate(common_names: tuple[str, ...] = ("batch",), alternative: tuple[x509.GeneralName, ...] = ()) -> bytes:
    """A certificate that nobody signed but itself; who believes it is TLS's business."""
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme, Inc.")
    name = x509.Name([organisation, *(x509.NameAttribute(NameOID.COMMON_NAME, one) for one in common_names)])
    built: Any = x509.CertificateBuilder(name, name, KEY.public_key(), 1, BEGIN, BEGIN + dt.timedelta(days=1))
    if alternative:
        built = built.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    made: bytes = built.sign(KEY, SHA256()).public_bytes(Encoding.DER)
    return made


NAMES = (
    x509.DNSName("one.example"), x509.DNSName("two.example"), x509.RFC822Name("batch@acme.example"),
    x509.UniformResourceIdentifier("spiffe://acme/batch"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("common_name", "batch"), ("subject", r"CN=batch,O=Acme\, Inc."), ("dns", "one.example"),
        ("dns", "two.example"), ("email", "batch@acme.example"), ("uri", "spiffe://acme/batch"),
    ],
)  # fmt: skip
def test_the_name_of_the_rule_is_found_where_the_rule_says(kind: Any, value: str) -> None:
    assert proves(certificate(alternative=NAMES), CertificateRule(kind, value))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("common_name", "Batch"), ("common_name", "batch "), ("common_name", "one.example"), ("subject", "CN=batch"),
        ("dns", "batch"), ("dns", "*.example"), ("dns", "ONE.example"), ("email", "one.example"), ("uri", "spiffe://acme"),
    ],
)  # fmt: skip
def test_no_other_name_and_no_other_kind_will_do(kind: Any, value: str) -> None:
    assert not proves(certificate(alternative=NAMES), CertificateRule(kind, value))


def test_who_has_two_common_names_has_none() -> None:
    """Which of them its authority has checked nobody knows."""
    for names in (("batch", "admin"), ("batch", "batch"), ()):
        assert not proves(certificate(names), CertificateRule("common_name", "batch"))


def test_without_a_readable_certificate_nothing_is_proved() -> None:
    for data in (None, b"", b"no certificate", certificate()[:-9]):
        assert not proves(data, CertificateRule("common_name", "batch"))
    assert not proves(certificate(), CertificateRule("dns", "batch"))
