"""TLS towards servers: libpq's sslmode as an SSLContext, for the catalog's connections and the pool's alike.

`require` without a root certificate encrypts and believes anybody; with one it verifies like verify-ca, as libpq does.
Nothing is read from the environment or the home directory: what is used stands in the rules; but `system` is what
OpenSSL is told (SSL_CERT_FILE). A context is kept until a file behind it changes. Source: libpq documentation, "SSL
Support"; ALPN: PostgreSQL documentation, "SSL Session Encryption".
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from proxy.errors import ConfigurationError

MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
ALPN = "postgresql"


class TlsOptions(Protocol):
    """What tenancy.policy.Credentials has."""

    @property
    def tls(self) -> str: ...
    @property
    def root_certificate(self) -> str | None: ...
    @property
    def certificate(self) -> str | None: ...
    @property
    def key(self) -> str | None: ...


def tls_context(options: TlsOptions) -> ssl.SSLContext | None:
    """The context for a sslmode; None for disable. ConfigurationError for an unknown mode or an unreadable file."""
    mode, files = options.tls, (options.root_certificate, options.certificate, options.key)
    if mode not in MODES:
        raise ConfigurationError([f"tls: {mode!r} is none of {', '.join(MODES)}"])
    if mode == "disable":
        return None
    return _context(mode, *files, tuple(_version(file) for file in files))


def _version(file: str | None) -> tuple[int, int] | None:
    """Changes with a file; None where there is none, and reading it will say so."""
    if file is None or file == "system":
        return None
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


@lru_cache(100)
def _context(mode: str, root: str | None, certificate: str | None, key: str | None, _: object) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    verified = mode in {"verify-ca", "verify-full"} or (mode == "require" and root is not None)
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    try:
        if verified and root == "system":
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        elif verified:
            context.load_verify_locations(root)
    except (OSError, TypeError) as error:  # ssl.SSLError is an OSError; TypeError: there is none
        raise ConfigurationError([f"tls: the root certificate {root} cannot be used: {error}"]) from error
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password="")  # or an encrypted key would ask at the terminal
        except OSError as error:
            raise ConfigurationError([f"tls: the certificate {certificate} cannot be used: {error}"]) from error
    return context
