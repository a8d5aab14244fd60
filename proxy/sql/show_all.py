"""SHOW ALL as a query over pg_settings, which shows a tenant the settings on the list and no others.

The rows are PostgreSQL's: name, setting with its unit, description. What is planned is this tree, confined and verified
like a client's own query.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from proxy.sql.parse import parse

TEXT = (
    b"SELECT s.name, current_setting(s.name) AS setting, s.short_desc AS description FROM pg_catalog.pg_settings s"
    b" ORDER BY pg_catalog.lower(s.name)"
)
NAME = b"SELECT current_setting('application_name') AS application_name"


@cache
def show_all() -> dict[str, Any]:
    """The tree. It is shared: nobody may change it."""
    (statement,) = parse(TEXT, size_limit=len(TEXT), server_major=14)
    tree: dict[str, Any] = statement.tree
    return tree


@cache
def show_name() -> dict[str, Any]:
    """SHOW application_name as a query, in which the server's label comes off. Shared as well."""
    (statement,) = parse(NAME, size_limit=len(NAME), server_major=14)
    tree: dict[str, Any] = statement.tree
    return tree
