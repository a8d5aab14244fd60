"""Who may not share a place with whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.tenancy.places import beside_policies, beside_schemas, contested_schemas, shared_keys, shared_places
from proxy.tenancy.policy import Access, Credentials, FunctionRule, Grant, Limits, Policy, RelationRule, Server


def grant(tenant: str, isolation: str, database: str, role: str, host: str = "db") -> Grant:
    policy = Policy("shop", isolation, "", {})  # type: ignore[arg-type]  # a word of the tests
    return Grant(tenant, "shop", Server(host, 5432, database, role), Credentials(), policy, {}, Limits())


def test_tenants_with_databases_of_their_own_share_neither_database_nor_role() -> None:
    acme = grant("acme", "database", "acme", "acme")
    assert not list(shared_places([acme, grant("globex", "database", "globex", "globex")]))
    assert not list(shared_places([acme, grant("globex", "database", "acme", "acme", "elsewhere")]))
    assert not list(shared_places([acme, acme]))
    for other, what in (
        (grant("globex", "database", "acme", "globex"), "database"),
        (grant("globex", "database", "globex", "acme"), "role"),
        (grant("globex", "row", "acme", "app"), "database"),
        (grant("globex", "database", "globex", "acme", "DB"), "role"),
    ):
        assert [(one.tenant, two.tenant, found) for one, two, found in shared_places([acme, other])] == [
            ("acme", "globex", what)
        ]


def test_tenants_of_a_shared_database_share_it() -> None:
    assert not list(shared_places([grant("acme", "row", "shop", "app"), grant("globex", "row", "shop", "app")]))


def test_every_address_of_a_server_counts_and_what_is_shared_is_told_once() -> None:
    acme, globex = grant("acme", "database", "acme", "acme"), grant("globex", "row", "acme", "app", "other")
    everywhere = replace(acme, server=replace(acme.server, others=(("other", 5432), ("third", 5432))))
    assert not list(shared_places([acme, globex]))
    assert len(list(shared_places([everywhere, globex]))) == 1
    again = replace(globex, server=replace(globex.server, others=(("third", 5432),)))
    assert len(list(shared_places([everywhere, again]))) == 1


@pytest.mark.parametrize("policy", [Policy("shop", "rls", "t", {}), Policy("shop", "row", "t", {}, second_wall=True)])
def test_tenants_behind_policies_share_the_database_and_never_a_role(policy: Policy) -> None:
    acme = replace(grant("acme", "row", "shop", "acme_rw"), policy=policy)
    globex = replace(grant("globex", "row", "shop", "globex_rw"), policy=policy)
    assert not list(shared_places([acme, globex, replace(acme, policy=replace(policy, read_only=True))]))
    for other in (replace(globex, server=acme.server), grant("globex", "row", "elsewhere", "acme_rw")):
        ((_, _, what),) = shared_places([acme, other])
        assert what == "role"


def test_tenants_of_one_place_that_has_several_names_differ_in_their_keys() -> None:
    acme, globex = (
        replace(grant(tenant, "row", "shop", "app"), database=name, keys={"default": key, "$seed": "same"})
        for tenant, name, key in (("acme", "shop", "7"), ("globex", "crm", "07"))
    )
    assert [(one.tenant, two.tenant, name) for one, two, name in shared_keys([acme, globex])] == [
        ("globex", "acme", "default")
    ]
    assert not list(shared_keys([acme, replace(globex, database="shop")]))  # of one name load tells
    assert not list(shared_keys([acme, replace(globex, keys={"default": "8"})]))
    assert not list(shared_keys([acme, replace(globex, keys={"slug": "7"})]))
    assert not list(shared_keys([acme, replace(globex, server=replace(globex.server, database="crm"))]))
    assert not list(shared_keys([acme, replace(globex, policy=replace(globex.policy, isolation="schema"))]))
    assert not list(shared_keys([acme, replace(acme, database="crm")]))


def test_tables_with_policies_are_for_nobody_without_a_role_of_its_own() -> None:
    row, walled = Policy("shop", "row", "t", {}), Policy("desk", "row", "t", {}, second_wall=True)
    behind = replace(grant("acme", "row", "one", "acme_rw"), policy=walled, database="desk")
    other = replace(grant("globex", "row", "one", "app"), policy=row)
    assert list(beside_policies([behind, other, other])) == [("shop", "desk")]
    assert not list(beside_policies([behind, replace(other, server=replace(other.server, database="two"))]))
    assert not list(beside_policies([behind, replace(other, policy=Policy("shop", "schema", "", {}))]))
    assert not list(beside_policies([other, other]))


def test_a_schema_of_a_tenants_own_is_none_in_which_others_have_rows_or_that_their_rules_name() -> None:
    def own(schema: str, host: str = "DB") -> Grant:
        housed = grant("hooli", "schema", "shop", "hooli_rw", host)
        return replace(housed, policy=replace(housed.policy, schema=schema))

    def named(access: Access, functions: tuple[FunctionRule, ...] = ()) -> Grant:
        rule = RelationRule("hooli", "orders", access)
        return replace(row, policy=replace(row.policy, relations={("hooli", "orders"): rule}, functions=functions))

    row = replace(grant("acme", "row", "shop", "app"), database="rows")
    found = [("hooli", "rows")]
    assert list(contested_schemas([row, own("public"), replace(row, tenant="globex")])) == found
    assert list(contested_schemas([own("public"), row])) == found
    assert list(contested_schemas([named("shared"), own("hooli")])) == found
    assert list(contested_schemas([named("hidden", (FunctionRule("hooli", "f"),)), own("hooli")])) == found
    assert not list(contested_schemas([named("hidden"), own("hooli")]))
    assert not list(contested_schemas([row, own("hooli")]))
    assert not list(contested_schemas([row, own("public", "elsewhere")]))


def test_who_shares_tables_knows_what_others_have_for_themselves_in_the_same_database() -> None:
    row = grant("acme", "row", "shop", "app")
    own = grant("hooli", "schema", "shop", "hooli_rw", "DB")
    own = replace(own, policy=replace(own.policy, schema="hooli"))
    far = replace(own, tenant="far", server=Server("elsewhere", 5432, "shop", "far_rw"))
    grants = {
        (one.tenant, "shop", False): one
        for one in (row, replace(row, tenant="globex"), own, far, grant("initech", "row", "crm", "app"))
    }
    found = beside_schemas(grants)
    policy = found["acme", "shop", False].policy
    assert (policy.own_schemas, policy.own_roles) == (frozenset({"hooli"}), frozenset({"hooli_rw"}))
    assert policy is found["globex", "shop", False].policy  # so that they share plans
    assert policy.policy_class != row.policy.policy_class
    for tenant in ("hooli", "far", "initech"):
        assert found[tenant, "shop", False] is grants[tenant, "shop", False]
