"""What of a server's error a client reads: never more than a private database would tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Catalog, ForeignKey, Key
from proxy.sql.answers import answer
from proxy.sql.world import World
from proxy.tenancy.policy import Policy
from tests.sql.worlds import sample_policy

DETAIL = "Key (tenant_id, id)=(2, 7) already exists."


def fields(code: str, table: str, constraint: str) -> dict[str, str]:
    return {"S": "ERROR", "C": code, "M": "m", "D": DETAIL, "s": "public", "t": table, "n": constraint}


def changed(catalog: Catalog, table: str, **how: object) -> Catalog:
    relation = replace(catalog.relations["public", table], **how)  # type: ignore[arg-type]  # fields by name
    return replace(catalog, relations={**catalog.relations, ("public", table): relation})


@pytest.fixture
def policy() -> Policy:
    return sample_policy()


def test_internal_queries_and_positions_of_our_text_are_never_shown(world: World, policy: Policy) -> None:
    sent = {"S": "ERROR", "C": "42601", "M": "m", "P": "9", "p": "3", "q": "SELECT secret", "W": "context", "H": "h"}
    assert answer(sent, None, world.catalog, policy, b"", {}) == {
        "S": "ERROR", "C": "42601", "M": "m", "W": "context", "H": "h",
    }  # fmt: skip


def test_a_context_keeps_what_is_said_of_functions_and_loses_places_in_shared_tables(
    world: World, policy: Policy
) -> None:
    where = 'while updating tuple (0,7) in relation "orders"\nPL/pgSQL function shout(text) line 3 at RAISE'
    sent = {"S": "ERROR", "C": "40001", "M": "m", "W": where}
    assert answer(sent, None, world.catalog, policy, b"", {})["W"] == "PL/pgSQL function shout(text) line 3 at RAISE"
    sent["W"] = 'while locking tuple (12,1) in relation "orders"'
    assert "W" not in answer(sent, None, world.catalog, policy, b"", {})


def test_a_key_with_the_tenant_column_tells_its_detail(world: World, policy: Policy) -> None:
    shown = answer(fields("23505", "users", "users_pkey"), None, world.catalog, policy, b"", {})
    assert shown["D"] == DETAIL


@pytest.mark.parametrize("code", ["23505", "23P01"])
def test_a_key_without_the_tenant_column_tells_no_detail(world: World, policy: Policy, code: str) -> None:
    catalog = changed(world.catalog, "users", keys=(Key("global_key", "u", (3,)),))
    shown = answer(fields(code, "users", "global_key"), None, catalog, policy, b"", {})
    assert "D" not in shown
    assert shown["n"] == "global_key"


def test_a_constraint_that_the_catalog_does_not_know_tells_no_detail(world: World, policy: Policy) -> None:
    for table, constraint in (("users", "added_a_moment_ago"), ("no_such_table", "users_pkey"), ("", "")):
        assert "D" not in answer(fields("23505", table, constraint), None, world.catalog, policy, b"", {})
        assert "D" not in answer(fields("23503", table, constraint), None, world.catalog, policy, b"", {})


def test_a_foreign_key_tells_its_detail_only_where_both_sides_carry_the_tenant(world: World, policy: Policy) -> None:
    users = world.catalog.relations["public", "users"]
    own = ForeignKey("own", (1, 7), users.oid, (1, 2))
    crossed = ForeignKey("crossed", (1, 7), users.oid, (2, 1))
    alone = ForeignKey("alone", (7,), users.oid, (2,))
    catalog = changed(world.catalog, "users", foreign_keys=(own, crossed, alone))
    catalog = replace(catalog, version=2)
    assert answer(fields("23503", "users", "own"), None, catalog, policy, b"", {})["D"] == DETAIL
    assert "D" not in answer(fields("23503", "users", "crossed"), None, catalog, policy, b"", {})
    assert "D" not in answer(fields("23503", "users", "alone"), None, catalog, policy, b"", {})


def test_a_row_that_fails_a_check_is_the_clients_own_and_is_shown(world: World, policy: Policy) -> None:
    for code in ("23502", "23514"):
        assert answer(fields(code, "orders", "positive"), None, world.catalog, policy, b"", {})["D"] == DETAIL


def test_the_detail_about_a_row_of_the_sessions_own_temporary_table_is_kept(world: World, policy: Policy) -> None:
    one = fields("23505", "mine", "mine_pkey") | {"s": "pg_temp_3"}
    assert answer(one, None, world.catalog, policy, b"", {})["D"] == DETAIL
