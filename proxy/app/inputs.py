"""What a process is given besides its settings: the rules, the certificate for clients, and the secret it keeps.

Each is read whole or not at all; ConfigurationError says everything that is wrong with it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.fleet.tables import read_rules
from proxy.server.tls import ServerTls, server_tls
from proxy.settings import Settings
from proxy.tenancy.rulebook import RuleBook

SECRET_BYTES = 32


def certificate_of(settings: Settings) -> ServerTls | None:
    """What clients are shown. ConfigurationError when it cannot be used."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return None
    try:
        return server_tls(certificate, key, settings.tls_client_ca, settings.tls_client_crl)
    except (OSError, ValueError) as error:
        files = f"tls_certificate {certificate}, tls_key {key}, tls_client_ca {settings.tls_client_ca}"
        raise ConfigurationError([f"{files}: {error}"]) from error


async def rules_of(settings: Settings, environ: Mapping[str, str], generation: int) -> RuleBook:
    """The rules, if this process can serve them. ConfigurationError when not."""
    return servable(settings, await read_rules(settings.rules, environ, generation))


def servable(settings: Settings, book: RuleBook) -> RuleBook:
    """The book, if this process can serve it. ConfigurationError when not."""
    if settings.tls_client_ca is None:
        needy = [one.name for one in book.logins.values() if one.certificate is not None]
        if needy:
            raise ConfigurationError([f"tls_client_ca is not set, and the login {min(needy)} has a certificate"])
    return book


def secret_of(settings: Settings) -> bytes:
    """What unknown logins' salts are made of: stable over restarts, so that asking twice tells nothing."""
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    path: Path = settings.state_directory / "secret"
    if not path.exists():
        settings.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"secret.{os.getpid()}")
        fresh.touch(mode=0o600, exist_ok=True)
        fresh.write_bytes(secrets.token_bytes(SECRET_BYTES))
        with suppress(FileExistsError):  # another process of this service was first
            path.hardlink_to(fresh)  # whole or not at all
        fresh.unlink()
    return path.read_bytes()
