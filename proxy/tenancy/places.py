"""Where a tenant's statements go: the parts of a server's URI, and which places two tenants may share.

A tenant with a database of its own shares neither that database nor the role it is served by with anybody: what one
role may do to its own sessions at a server (see them, cancel them) it may do in every database there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

from proxy.tenancy.policy import Credentials, Grant, Server

SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
Place = tuple[Server, Credentials]


def place_of(uri: str, password: str | None) -> Place:
    """The parts of a server's URI, by libpq's names. ValueError when it is not one."""
    parts = urlsplit(uri)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("must be postgresql://role@host:port/database")
    if parts.password is not None:
        raise ValueError("the password belongs to the key password")
    if not parts.username or not parts.hostname or len(parts.path) < 2:
        raise ValueError("must name role, host and database: postgresql://role@host:port/database")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls, root = options.pop("sslmode", "prefer"), options.pop("sslrootcert", None)
    if options:
        raise ValueError(f"unknown parameter {min(options)}")
    if tls not in SSL_MODES:
        raise ValueError(f"unknown sslmode {tls}")
    server = Server(parts.hostname, parts.port or 5432, unquote(parts.path[1:]), unquote(parts.username))
    return server, Credentials(password, tls, root)


def shared_places(grants: Iterable[Grant]) -> Iterator[tuple[Grant, Grant, str]]:
    """Every tenant with a database of its own that shares what with whom: (its grant, the other's, what)."""
    found: dict[tuple[str, int, str, str], list[Grant]] = {}
    for grant in grants:
        server = grant.server
        for what, name in (("database", server.database), ("role", server.role)):
            found.setdefault((server.host.lower(), server.port, what, name), []).append(grant)
    for (_, _, what, _), together in found.items():
        own = next((one for one in together if one.policy.isolation == "database"), None)
        other = next((one for one in together if own is not None and one.tenant != own.tenant), None)
        if own is not None and other is not None:
            yield own, other, what
