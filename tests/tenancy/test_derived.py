"""What follows from a tenant's name is the same everywhere, and no two tenants' the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.tenancy.derived import LONGEST, SEED, derived_keys, own_sequence, seed, sequence_key
from proxy.tenancy.models import InvalidDocument, document


def test_a_seed_depends_on_the_tenant_and_the_servers_database_and_on_nothing_else() -> None:
    every = {seed(tenant, database) for tenant in ("acme", "globex", "acmeg") for database in ("shop", "lobex", "a")}
    assert len(every) == 9
    assert all(len(one) == 64 and int(one, 16) >= 0 for one in every)
    assert seed("acme", "shop") == "d35305a3aa8a4d025de4c7ce9369bb632c90a505271175fbe38b65a61841b998"


def test_a_sequence_of_ones_own_is_named_after_the_seed_and_fits_an_identifier() -> None:
    keys = derived_keys("acme", "shop", [("public", "invoice_no"), ("Sales", 'odd"name')])
    own = keys[SEED]
    assert keys[sequence_key("public", "invoice_no")] == f'"public"."invoice_no__t_{own[:16]}"'
    assert keys[sequence_key("Sales", 'odd"name')] == f'"Sales"."odd""name__t_{own[:16]}"'
    assert len(own_sequence("n" * LONGEST, own)) == 63


def _tenant(**values: object) -> Callable[[], object]:
    return lambda: document("tenant", {"tenant": "acme", "databases": ["shop"], **values})


def test_no_rule_file_can_name_a_derived_key() -> None:
    with pytest.raises(InvalidDocument):
        _tenant(keys={"default": 1, SEED: "another's"})()
    with pytest.raises(InvalidDocument):
        document(
            "database",
            {
                "database": "shop",
                "server": "postgresql://a@b/c",
                "tenant_column": "t",
                "relations": {"x": {"tenant_column": "y", "key": SEED}},
            },
        )
    assert _tenant(keys={"default": 1, "slug": "a"})()
