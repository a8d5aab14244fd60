"""A real PostgreSQL for tests: the cluster that `partywall demo` uses, so that tests and demo start the same thing."""

from __future__ import annotations

from proxy.demo.cluster import (
    SUPERUSER,
    Cluster,
    PostgresError,
    find_binaries,
    free_port,
    major_of,
    quote_identifier,
    running,
)

__all__ = [
    "SUPERUSER",
    "Cluster",
    "PostgresError",
    "find_binaries",
    "free_port",
    "major_of",
    "quote_identifier",
    "running",
]
