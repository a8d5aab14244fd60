"""What each isolation mode asks of a tenant's document."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from proxy.errors import ConfigurationError
from proxy.tenancy.load import load
from proxy.tenancy.modes import mode_problems
from proxy.tenancy.policy import Isolation
from proxy.tenancy.rulebook import RuleBook
from tests.kit.builders import VERIFIER

SHOP = "database: shop\nserver: postgresql://operator@db/shop\nisolation: schema\nshared_schemas: [reference]\n"
ACME = "---\ntenant: acme\ndatabases: [shop]\nschema: acme\nserver_login: acme_rw\npassword: secret\n"


def book(text: str, folder: Path) -> RuleBook:
    (folder / "rules.yaml").write_text(text)
    return load(folder, {}, 1)


def test_a_tenant_with_a_schema_is_served_by_its_own_role(tmp_path: Path) -> None:
    logins = f'logins:\n  ann: {{verifier: "{VERIFIER}"}}\n  bob: {{verifier: "{VERIFIER}", read_only: true}}\n'
    grants = book(SHOP + ACME + logins, tmp_path).grants
    grant = grants["acme", "shop", False]
    assert (grant.server.role, grant.credentials.password, grant.policy.schema) == ("acme_rw", "secret", "acme")
    assert grant.policy.path == ("acme", "reference")
    assert grant.policy.explain == "allowed"
    assert grants["acme", "shop", True].policy.read_only


def test_explain_may_be_refused_there_too(tmp_path: Path) -> None:
    grants = book(SHOP + "explain: refused\n" + ACME, tmp_path).grants
    assert grants["acme", "shop", False].policy.explain == "refused"


def test_a_tenant_of_a_shared_database_may_have_a_schema_of_its_own(tmp_path: Path) -> None:
    row = "database: shop\nserver: postgresql://app@db/shop\ntenant_column: tenant_id\nrelations: {x: {shared: read}}\n"
    text = row + "---\ntenant: other\ndatabases: [shop]\nkey: 1\n" + ACME + "isolation: schema\n"
    grants = book(text, tmp_path).grants
    assert grants["other", "shop", False].policy.schema == ""
    assert grants["acme", "shop", False].policy.relations == {}


def test_but_not_the_one_in_which_the_others_have_their_rows(tmp_path: Path) -> None:
    row = "database: shop\nserver: postgresql://app@db/shop\ntenant_column: tenant_id\n---\ntenant: other\n"
    own = ACME.replace("schema: acme", "schema: public") + "isolation: schema\n"
    with pytest.raises(ConfigurationError) as caught:
        book(row + "databases: [shop]\nkey: 1\n" + own, tmp_path)
    (problem,) = caught.value.problems
    assert problem.endswith("yaml:11: database shop has what its tenants share in the same schema")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SHOP + "---\ntenant: acme\ndatabases: [shop]\n", "must say schema and server_login"),
        (SHOP + ACME.replace("server_login: acme_rw\n", ""), "schema and server_login belong together"),
        (SHOP + ACME.replace("schema: acme", "schema: reference"), "schema: reference is shared on database shop"),
        (SHOP + ACME.replace("schema: acme", "schema: pg_catalog"), "pg_catalog is the server's own"),
        (SHOP + ACME + "canary: true\n", "there is nobody to hide from"),
        (SHOP + "tenant_column: a\n" + ACME, "tenant_column is for tables that tenants share"),
        (SHOP.replace("[reference]", "[pg_catalog]") + ACME, "shared_schemas: pg_catalog is the server's own"),
        (SHOP + ACME + ACME.replace("tenant: acme", "tenant: b").replace("acme_rw", "b_rw"), "has the same schema at"),
        (SHOP + ACME + ACME.replace("acme\n", "b\n"), "has the same role at db"),
    ],
)
def test_what_the_mode_needs_and_has_no_place_for_is_told(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        book(text, tmp_path)
    assert any(problem in one for one in caught.value.problems), caught.value.problems


TABLES = "database: shop\nserver: postgresql://operator@db/shop\ntenant_column: tenant_id\n"
RLS, WALLED = TABLES + "isolation: rls\n", TABLES + "second_wall: rls\n"
BEHIND = "---\ntenant: acme\ndatabases: [shop]\nkey: 1\nserver_login: acme_rw\npassword: secret\n"
OTHER = BEHIND.replace("acme", "globex").replace("key: 1", "key: 2")


@pytest.mark.parametrize(
    ("rules", "mode", "second"),
    [
        (RLS + BEHIND, "rls", False),
        (WALLED + BEHIND, "row", True),
        (WALLED + BEHIND + "isolation: rls\n", "rls", False),
        (RLS + BEHIND + "isolation: row\n", "row", True),
    ],
)
def test_a_tenant_behind_policies_is_served_by_its_own_role(
    tmp_path: Path, rules: str, mode: str, second: bool
) -> None:
    logins = f'logins:\n  ann: {{verifier: "{VERIFIER}"}}\n  bob: {{verifier: "{VERIFIER}", read_only: true}}\n'
    grants = book(rules + logins + OTHER, tmp_path).grants
    for read_only in (False, True):
        grant = grants["acme", "shop", read_only]
        assert (grant.policy.isolation, grant.policy.second_wall) == (mode, second)
        assert grant.policy.behind_rls
        assert (grant.server.role, grant.credentials.password) == ("acme_rw", "secret")
        assert (grant.keys["default"], grant.policy.tenant_column, grant.policy.path) == ("1", "tenant_id", ("public",))
    assert grants["globex", "shop", False].server.role == "globex_rw"


def test_a_tenant_without_policies_is_served_by_the_role_of_all(tmp_path: Path) -> None:
    grant = book(TABLES + BEHIND, tmp_path).grants["acme", "shop", False]
    assert not grant.policy.behind_rls
    assert (grant.server.role, grant.credentials.password) == ("operator", None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            RLS + BEHIND.replace("server_login: acme_rw\n", "").replace("password: secret\n", ""),
            "must say server_login",
        ),
        (WALLED + BEHIND.replace("server_login: acme_rw\npassword: secret\n", ""), "must say server_login"),
        (RLS + BEHIND.replace("key: 1\n", ""), "must say exactly one of key and keys"),
        (
            TABLES + BEHIND + "isolation: rls\n",
            "yaml:10: isolation: database shop must say isolation: rls or second_wall",
        ),
        (SHOP + BEHIND + "isolation: rls\n", "isolation: database shop has no tenant_column"),
        (RLS + "second_wall: rls\n" + BEHIND, "second_wall is for isolation: row"),
        (RLS + BEHIND + OTHER.replace("globex_rw", "acme_rw"), "tenant globex has the same role at db"),
        (RLS + BEHIND + OTHER.replace("key: 2", "key: 1"), "tenant acme has the same key on database shop"),
        (
            RLS + BEHIND + "---\n" + TABLES.replace("shop\n", "open\n", 1) + OTHER.replace("[shop]", "[open]"),
            "second_wall must be rls, as the tables of database shop are the same",
        ),
        (WALLED + "relations: {notes: {tenant_column: t, key: slug}}\n" + BEHIND, "asks for the key slug"),
    ],
)
def test_what_policies_need_is_told(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        book(text, tmp_path)
    assert any(problem in one for one in caught.value.problems), caught.value.problems


def test_every_mode_has_its_questions() -> None:
    for mode in get_args(Isolation):
        with pytest.raises(AttributeError):  # it looks at the tenant
            mode_problems(None, None, None, mode)  # type: ignore[arg-type]  # nobody


ROW = "database: shop\nserver: postgresql://app@db/shop\ntenant_column: tenant_id\nmax_server_connections: 9\n"


def test_a_tenant_of_any_mode_may_be_served_elsewhere(tmp_path: Path) -> None:
    text = ROW + "---\ntenant: near\ndatabases: [shop]\nkey: 1\n"
    text += "---\ntenant: far\ndatabases: [shop]\nkey: 2\nserver: postgresql://app@other/shop\npassword: there\n"
    text += ACME + "isolation: schema\nserver: postgresql://operator@other:6/erp\n"
    found = {
        one.tenant: (one.server.host, one.server.port, one.server.database, one.server.role, one.credentials.password)
        for one in book(text, tmp_path).grants.values()
    }
    assert found == {
        "near": ("db", 5432, "shop", "app", None),
        "far": ("other", 5432, "shop", "app", "there"),
        "acme": ("other", 6, "erp", "acme_rw", "secret"),
    }
    grants = book(text, tmp_path).grants
    assert {one.tenant: one.routed for one in grants.values()} == {"near": False, "far": True, "acme": True}
    assert {one.max_server_connections for one in grants.values()} == {9}  # each server by itself


def test_a_server_has_one_ceiling_whoever_names_it(tmp_path: Path) -> None:
    other = ROW.replace("shop", "crm").replace("@db", "@other")
    far = "---\ntenant: far\ndatabases: [shop]\nkey: 2\nserver: postgresql://app@other/shop\n"
    for said, problem in (
        ("max_server_connections: 9\n", None),
        ("", None),  # then what the other says
        ("max_server_connections: 8\n", "database crm is at the same server, and says 8"),
    ):
        text = ROW + "---\n" + other.replace("max_server_connections: 9\n", said) + far
        if problem is None:
            assert book(text, tmp_path).grants["far", "shop", False].max_server_connections == 9
            continue
        with pytest.raises(ConfigurationError) as caught:
            book(text, tmp_path)
        assert any(problem in one for one in caught.value.problems), caught.value.problems


def test_two_tenants_have_two_keys_in_one_place_whatever_it_is_called(tmp_path: Path) -> None:
    one = "---\ntenant: one\ndatabases: [shop]\nkey: 7\n"
    two = "---\ntenant: two\ndatabases: [crm]\nkey: 007\n"
    crm = "---\n" + ROW.replace("database: shop", "database: crm")
    elsewhere = crm.replace("@db", "@other")
    assert len(book(ROW + elsewhere + one + two, tmp_path).grants) == 2
    for text in (
        ROW + crm + one + two,
        ROW + elsewhere + one + two + "server: postgresql://app@DB/shop\n",
    ):
        with pytest.raises(ConfigurationError) as caught:
            book(text, tmp_path)
        assert any("tenant one has the same key in" in problem for problem in caught.value.problems)


def test_a_tenant_behind_policies_may_be_served_elsewhere_by_its_own_role(tmp_path: Path) -> None:
    there = BEHIND + "server: postgresql://operator@other:6/store\n"
    for rules, mode in ((RLS, "rls"), (WALLED, "row")):
        grant = book(rules + there + OTHER, tmp_path).grants["acme", "shop", False]
        assert (grant.policy.isolation, grant.policy.behind_rls, grant.routed) == (mode, True, True)
        assert (grant.server.host, grant.server.port, grant.server.database) == ("other", 6, "store")
        assert (grant.server.role, grant.credentials.password) == ("acme_rw", "secret")
