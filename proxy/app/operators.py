"""As whom the program goes to a server to work on a tenant's data beside the proxy, and why that did not go.

The role is the operator's where the settings have one. Passwords come from settings and rules, and are never told.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError
from proxy.settings import Settings
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place


def operators_place(grant: Grant, settings: Settings) -> Place:
    """Where the rules say, as operator_role, or as the role that serves the tenant."""
    if settings.operator_role is None:
        return grant.server, grant.credentials
    password = settings.operator_password
    secret = None if password is None else password.get_secret_value()
    return replace(grant.server, role=settings.operator_role), replace(grant.credentials, password=secret)


def reasons(what: str, error: Exception) -> list[str] | None:
    """Why it did not go, in sentences for the operator; None: that is a bug."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConfigurationError):
        return error.problems
    if not isinstance(error, FAILURES):
        return None
    told = [f"{what}: {str(error) or type(error).__name__}"]
    told += [f"  {part}" for name in ("detail", "hint") if (part := getattr(error, name, None))]
    if getattr(error, "sqlstate", None) == "42501":
        told.append("  the role may not do this; set operator_role, or name another with --server")
    return told
