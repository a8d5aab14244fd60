"""What a client's certificate says of its holder, against what a login's rule wants: one name, to the letter.

That the certificate is to be believed (chain, dates, revocation) was settled by TLS before anything is asked here.
Sources: RFC 5280; RFC 4514 for the text of a subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from cryptography import x509
from cryptography.x509.oid import NameOID

Kind = Literal["common_name", "subject", "dns", "email", "uri"]


@dataclass(frozen=True, slots=True)
class CertificateRule:
    """The name that a login's certificate has. common_name: its only one; subject: the whole, as RFC 4514 writes it;
    dns, email, uri: one of its alternative names.
    """

    kind: Kind
    value: str


def proves(certificate: bytes | None, rule: CertificateRule) -> bool:
    """Has this certificate (DER; None: there is none) the name? What cannot be read has none."""
    if certificate is None:
        return False
    try:
        names = _names(x509.load_der_x509_certificate(certificate), rule.kind)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False
    return rule.value in names if rule.kind in {"dns", "email", "uri"} else names == [rule.value]


def _names(certificate: x509.Certificate, kind: Kind) -> list[str | bytes]:
    match kind:
        case "common_name":
            return [one.value for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        case "subject":
            return [certificate.subject.rfc4514_string()]
        case "dns":
            return [*_alternative(certificate).get_values_for_type(x509.DNSName)]
        case "email":
            return [*_alternative(certificate).get_values_for_type(x509.RFC822Name)]
        case "uri":
            return [*_alternative(certificate).get_values_for_type(x509.UniformResourceIdentifier)]
        case _:
            assert_never(kind)


def _alternative(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
