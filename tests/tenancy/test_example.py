"""The example in rules/ loads, and says of itself what it needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.auth.scram import build_verifier
from proxy.errors import ConfigurationError
from proxy.tenancy.load import load

RULES = Path(__file__).parents[2] / "rules"
VERIFIER = build_verifier("secret", b"0123456789abcdef", 4096)
ENVIRONMENT = {
    "SHOP_SERVER": "db:5432",
    "SHOP_PASSWORD": "p",
    "ACME_APP_VERIFIER": str(VERIFIER),
    "GLOBEX_APP_VERIFIER": str(VERIFIER),
}


def test_the_example_gives_each_login_its_own_tenant() -> None:
    book = load(RULES, ENVIRONMENT, 1)
    found = []
    for name in ("acme_app", "globex_app"):
        login = book.login(name)
        assert login is not None
        grant = book.grant(login, "shop")
        assert grant is not None
        found.append((name, grant.tenant, grant.keys["default"], grant.limits.server_connections))
    assert found == [("acme_app", "acme", "1", 10), ("globex_app", "globex", "2", 20)]


@pytest.mark.parametrize("missing", sorted(ENVIRONMENT))
def test_a_secret_that_is_missing_is_named_with_its_line(missing: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(RULES, {name: value for name, value in ENVIRONMENT.items() if name != missing}, 1)
    assert re.search(rf"shop\.yaml:\d+: the environment has no {missing}$", str(refused.value), re.MULTILINE)
