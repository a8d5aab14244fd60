"""sslmode as contexts."""

from __future__ import annotations

import ssl

import pytest

from proxy.catalog.tls import tls_context
from proxy.errors import ConfigurationError


def test_disable_has_no_context() -> None:
    assert tls_context("disable", None) is None


@pytest.mark.parametrize(
    ("mode", "verify", "hostname"),
    [
        ("prefer", ssl.CERT_NONE, False),
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_only_the_verify_modes_verify(mode: str, verify: ssl.VerifyMode, hostname: bool) -> None:
    context = tls_context(mode, None)
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (verify, hostname)


def test_require_with_a_root_certificate_verifies_it() -> None:
    context = tls_context("require", "system")
    assert context is not None
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(("mode", "root"), [("allow", None), ("verify-full", "/nowhere/root.crt")])
def test_what_cannot_be_honoured_is_an_error(mode: str, root: str | None) -> None:
    with pytest.raises(ConfigurationError):
        tls_context(mode, root)
