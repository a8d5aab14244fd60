"""sslmode as contexts."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from proxy.catalog.tls import _context, tls_context
from proxy.errors import ConfigurationError
from proxy.tenancy.policy import Credentials


def test_disable_has_no_context() -> None:
    assert tls_context(Credentials(tls="disable")) is None


@pytest.mark.parametrize(
    ("mode", "verify", "hostname"),
    [
        ("prefer", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_only_the_verify_modes_verify(mode: str, verify: ssl.VerifyMode, hostname: bool) -> None:
    context = tls_context(Credentials(tls=mode, root_certificate="system"))
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (verify, hostname)


def test_require_verifies_a_root_certificate_where_there_is_one() -> None:
    for root, verify in ((None, ssl.CERT_NONE), ("system", ssl.CERT_REQUIRED)):
        context = tls_context(Credentials(tls="require", root_certificate=root))
        assert context is not None
        assert context.verify_mode == verify


@pytest.mark.parametrize(
    "options",
    [
        Credentials(tls="allow"),
        Credentials(tls="verify-full"),
        Credentials(tls="verify-full", root_certificate="/nowhere/root.crt"),
        Credentials(tls="require", certificate="/nowhere/c", key="/nowhere/k"),
    ],
)
def test_what_cannot_be_honoured_is_an_error(options: Credentials) -> None:
    with pytest.raises(ConfigurationError):
        tls_context(options)


def test_a_context_is_kept_until_a_file_behind_it_changes(tmp_path: Path) -> None:
    root = tmp_path / "root.crt"
    root.write_bytes(trustme.CA().cert_pem.bytes())
    options = Credentials(tls="verify-full", root_certificate=str(root))
    first = tls_context(options)
    assert tls_context(options) is first
    fresh = tmp_path / "fresh"
    fresh.write_bytes(trustme.CA().cert_pem.bytes())
    fresh.replace(root)
    assert tls_context(options) is not first
    assert tls_context(Credentials(tls="verify-ca", root_certificate=str(root))) is not tls_context(options)


def test_the_systems_certificates_are_those_that_openssl_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trustme.CA(organization_name="only this").cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    _context.cache_clear()
    context = tls_context(Credentials(tls="verify-full", root_certificate="system"))
    _context.cache_clear()
    assert context is not None
    (found,) = context.get_ca_certs()
    assert "only this" in str(found["subject"])


def test_an_encrypted_key_is_an_error_and_asks_nobody(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("client")
    key = load_pem_private_key(made.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (tmp_path / "c").write_bytes(made.cert_chain_pems[0].bytes())
    (tmp_path / "k").write_bytes(locked)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        tls_context(Credentials(tls="require", certificate=str(tmp_path / "c"), key=str(tmp_path / "k")))
