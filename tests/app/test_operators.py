"""As whom the program goes to a server, and what the operator is told when that does not go."""

from __future__ import annotations

import asyncpg
import pytest

from proxy.app.operators import operators_place, reasons
from proxy.backup.refusal import Refused
from proxy.settings import load_settings
from tests.backup.shelf import book_of

RULES = """\
database: shop
server: postgresql://app@db:5433/shop
password: app-secret
tenant_column: tenant_id
---
tenant: acme
key: 1
databases: [shop]
"""


def test_the_role_is_the_operators_where_there_is_one() -> None:
    grant = book_of(RULES).grants["acme", "shop", False]
    assert operators_place(grant, load_settings(None, {})) == (grant.server, grant.credentials)
    given = load_settings(None, {"operator_role": "keeper", "operator_password": "kept"})
    server, credentials = operators_place(grant, given)
    assert (server.host, server.database, server.role, credentials.password) == ("db", "shop", "keeper", "kept")
    _, without = operators_place(grant, load_settings(None, {"operator_role": "keeper"}))
    assert without.password is None


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_servers_error_is_told_in_sentences_however_deep_it_is(depth: int) -> None:
    error: Exception = asyncpg.InsufficientPrivilegeError("permission denied for table coupons")
    for _ in range(depth):
        error = ExceptionGroup("some", [error])
    told = reasons("backup of acme", error)
    assert told is not None
    assert told[0] == "backup of acme: permission denied for table coupons"
    assert "set operator_role" in told[1]


def test_a_refusal_says_it_all_and_a_bug_says_nothing() -> None:
    assert reasons("backup", Refused(["a", "b"])) == ["a", "b"]
    assert reasons("backup", TimeoutError()) == ["backup: TimeoutError"]
    assert reasons("backup", KeyError("secret")) is None
