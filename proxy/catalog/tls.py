"""TLS towards servers: libpq's sslmode as an SSLContext, for the catalog's connections and the pool's alike.

`require` without a root certificate encrypts and believes anybody; with one it verifies like verify-ca, as libpq does.
Nothing is read from the environment or the home directory: what is used stands in the rules. Source: libpq
documentation, "SSL Support".
"""

from __future__ import annotations

import ssl

from proxy.errors import ConfigurationError

MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")


def tls_context(mode: str, root_certificate: str | None) -> ssl.SSLContext | None:
    """The context for a sslmode; None for disable. ConfigurationError for an unknown mode or an unreadable
    certificate file.
    """
    if mode not in MODES:
        raise ConfigurationError([f"tls: {mode!r} is none of {', '.join(MODES)}"])
    if mode == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    verified = mode in {"verify-ca", "verify-full"} or (mode == "require" and root_certificate is not None)
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    if verified:
        try:
            if root_certificate is None or root_certificate == "system":
                context.load_default_certs(ssl.Purpose.SERVER_AUTH)
            else:
                context.load_verify_locations(root_certificate)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(
                [f"tls: the root certificate {root_certificate} cannot be used: {error}"]
            ) from error
    return context
