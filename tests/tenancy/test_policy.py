"""The values that run: equal where they mean the same, unchangeable, and silent about secrets."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from proxy.auth.scram import Verifier
from proxy.tenancy.policy import Credentials, Grant, Limits, Login, Policy, Server, held_to


def test_secrets_are_never_printed() -> None:
    login = Login("acme_app", "acme", Verifier(1, b"salt", b"secret", b"secret", also=((b"secret", b"secret"),)))
    assert "secret" not in repr(Credentials("secret")) + str(login) + repr(login.verifier)


def test_a_server_is_a_key_of_all_its_parts() -> None:
    server = Server("db", 5432, "shop", "app")
    others = [Server("db2", 5432, "shop", "app"), Server("db", 1, "shop", "app"), Server("db", 5432, "x", "app")]
    assert len({server, Server("db", 5432, "shop", "app"), Server("db", 5432, "shop", "y"), *others}) == 5


def test_a_standby_that_is_preferred_is_asked_for_first_and_then_anything() -> None:
    server = Server("db", 1, "shop", "app", others=(("db2", 2),), target="prefer-standby")
    assert server.addresses == (("db", 1), ("db2", 2))
    assert server.targets == ("standby", "any")
    assert replace(server, target="primary").targets == ("primary",)


def test_what_runs_cannot_be_changed() -> None:
    policy = Policy("shop", "row", "tenant_id", {})
    grant = Grant("acme", "shop", Server("db", 1, "shop", "app"), Credentials(), policy, {"default": "1"}, Limits())
    for value, name in ((policy, "isolation"), (grant, "tenant"), (grant.limits, "connections")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, "other")


def test_limits_hold_without_being_asked_for() -> None:
    limits = Limits()
    assert {one.name for one in fields(Limits) if getattr(limits, one.name) not in (None, {}, frozenset())} == {
        "connections", "server_connections", "query_wait_timeout", "query_wait_notify", "statement_size",
        "session_memory", "share", "min_pool_size", "reserve_pool_size", "reserve_pool_timeout",
    }  # fmt: skip


def test_a_login_has_its_own_times_of_a_statement_and_else_the_tenants() -> None:
    tenant = Limits(statement_timeout=30.0, result_rows=10, warn=frozenset({"result_rows", "rows_per_minute"}))
    assert held_to(tenant, None) is held_to(tenant, Limits(rows_per_minute=5)) is tenant
    held = held_to(tenant, Limits(connections=1, statement_timeout=5.0, result_rows=99))
    assert held == replace(tenant, statement_timeout=5.0, result_rows=99, warn=frozenset({"rows_per_minute"}))


def test_nothing_is_allowed_that_a_policy_does_not_name() -> None:
    policy = Policy("shop", "row", "tenant_id", {})
    assert (policy.functions, policy.sequences, policy.extensions, policy.explain) == ((), {}, (), "refused")


def test_who_is_behind_policies_or_has_a_world_of_its_own_has_a_role_of_its_own() -> None:
    row = Policy("shop", "row", "tenant_id", {})
    behind = [replace(row, second_wall=True), replace(row, isolation="rls")]
    own = [replace(row, isolation="schema"), replace(row, isolation="database")]
    assert [one.behind_rls for one in (row, *behind, *own)] == [False, True, True, False, False]
    assert [one.own_role for one in (row, *behind, *own)] == [False, True, True, True, True]


def test_what_serves_a_tenant_in_another_mode_is_another_place_though_server_and_role_are_the_same() -> None:
    row = Policy("shop", "row", "tenant_id", {})
    schema = replace(row, isolation="schema", schema="acme")
    modes = [
        row,
        replace(row, second_wall=True),
        replace(row, isolation="rls"),
        replace(row, isolation="database"),
        schema,
    ]
    modes += [replace(schema, schema="globex"), replace(schema, shared_schemas=("reference",))]
    server = Server("db", 5432, "shop", "app")
    grants = [Grant("acme", "shop", server, Credentials(), one, {}, Limits()) for one in modes]
    assert len({one.place for one in grants}) == len(modes)
    assert replace(grants[0], policy=replace(row, read_only=True), tenant="globex").place == grants[0].place
    assert [one.home for one in grants[:6]] == [
        "db:5432/shop",
        "db:5432/shop, row+rls",
        "db:5432/shop, rls",
        "db:5432/shop, database",
        "db:5432/shop, schema acme",
        "db:5432/shop, schema globex",
    ]
