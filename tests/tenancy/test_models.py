"""The shapes of rule documents: strict, every mistake at once, and no value in a message."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.tenancy.models import (
    Database,
    InvalidDocument,
    Tenant,
    document,
    json_schema,
)
from tests.kit.builders import VERIFIER

DATABASE: dict[str, Any] = {"database": "shop", "server": "postgresql://app@db/shop", "tenant_column": "tenant_id"}
TENANT: dict[str, Any] = {"tenant": "acme", "key": 1, "databases": ["shop"]}


def mistakes(kind: str, value: dict[str, Any]) -> list[tuple[tuple[int | str, ...], str]]:
    with pytest.raises(InvalidDocument) as caught:
        document(kind, value)
    return caught.value.mistakes


def test_what_is_not_built_yet_is_refused_and_never_ignored() -> None:
    ((_, text),) = mistakes("admin", {"admin": {}})
    assert "not supported yet" in text


@pytest.mark.parametrize(
    ("more", "policies"),
    [({}, False), ({"second_wall": "none"}, False), ({"second_wall": "rls"}, True), ({"isolation": "rls"}, True)],
)
def test_policies_hold_for_all_tenants_of_a_database(more: dict[str, Any], policies: bool) -> None:
    made = document("database", DATABASE | more)
    assert isinstance(made, Database)
    assert made.has_policies is policies


@pytest.mark.parametrize(
    "relation",
    [
        {}, {"shared": "read", "hidden": True}, {"shared": "read", "tenant_column": "x"}, {"hidden": True, "key": "k"},
        {"view": "trusted"}, {"shared": "write"}, {"hidden": False},
    ],
)  # fmt: skip
def test_a_relation_is_exactly_one_thing(relation: dict[str, Any]) -> None:
    assert mistakes("database", DATABASE | {"relations": {"orders": relation}})


@pytest.mark.parametrize("name", ["search_path", "role", "row_security", "session_preload_libraries", "app.tenant"])
def test_a_tenants_settings_change_nothing_of_what_is_seen(name: str) -> None:
    assert "cannot be set" in mistakes("tenant", TENANT | {"settings": {name: "x"}})[0][1]


def test_every_mistake_is_told_at_once_by_its_path() -> None:
    found = mistakes("tenant", {"tenant": "", "databases": [], "logins": {"a": {"verifier": VERIFIER, "admin": True}}})
    assert {path for path, _ in found} >= {("tenant",), ("databases",), ("logins", "a", "admin")}
    assert ("unknown key") in {text for _, text in found}


def test_a_tenant_has_one_key_or_several_by_name_with_a_default() -> None:
    for keys in ({"keys": {"default": 1}}, {"key": None, "keys": {"slug": "acme"}}):
        assert mistakes("tenant", TENANT | keys)
    document("tenant", {"tenant": "acme", "keys": {"default": 1, "slug": "a"}, "databases": ["shop"]})


def test_the_schema_for_editors_knows_every_key() -> None:
    text = str(json_schema())
    for name in (*Database.model_fields, *(one for one in Tenant.model_fields if one != "schema_name"), "schema"):
        assert f"'{name}'" in text, name


def test_a_sequence_that_is_per_tenant_has_room_for_the_tenants_part_in_its_name() -> None:
    document("database", DATABASE | {"sequences": {"s" * 43: "per_tenant", "t" * 63: "shared"}})
    ((_, text),) = mistakes("database", DATABASE | {"sequences": {"s" * 44: "per_tenant"}})
    assert "is too long to be per_tenant: at most 43 bytes" in text


OWN = {"database": "shop", "isolation": "database"}


def test_a_database_of_a_tenants_own_needs_no_rule_of_row_mode_and_takes_none() -> None:
    document("database", OWN)
    document("database", OWN | {"server": "postgresql://a@b/c", "password": "x"})
    for name, value in (("tenant_column", "t"), ("relations", {}), ("explain", "allowed"), ("pool_sharing", "never")):
        assert f"{name} is for shared databases" in mistakes("database", OWN | {name: value})[0][1]


def test_a_shared_database_needs_a_server_and_a_tenant_column() -> None:
    for name in ("server", "tenant_column"):
        given = {key: value for key, value in DATABASE.items() if key != name}
        assert f"{name} is required" in mistakes("database", given)[0][1]


def test_a_tenants_own_server_is_of_one_database_and_has_the_password() -> None:
    own = {"tenant": "acme", "databases": ["shop"], "isolation": "database"}
    document("tenant", own | {"server": "postgresql://a@b/c", "password": "x"})
    assert "databases must name one" in mistakes("tenant", own | {"server": "x", "databases": ["a", "b"]})[0][1]
    assert "password" in mistakes("tenant", own | {"password": "x"})[0][1]
