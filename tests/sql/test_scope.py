"""Scope: names mean what PostgreSQL's parse analysis says they mean."""

from __future__ import annotations

from proxy.sql.scope import UNKNOWN, Env, Item, Level, Named, Source, Value, strings

LEVEL = Level({}, None, "SelectStmt")
INT, TEXT = Value(23, 0), Value(25, 100)


def item(name: str | None, *columns: str, is_open: bool = False) -> Item:
    source = Source("table", name or "", LEVEL, {})
    return Item(name, tuple(Named(one, INT) for one in columns), source, open=is_open)


def test_the_inner_level_hides_the_outer_one() -> None:
    inner, outer = item("a", "x"), item("a", "x", "y")
    env = Env([inner], Env([outer], None, {}), {})
    assert env.relation("a") is inner
    assert env.column("y").type == 23
    assert env.field("a", "y") is UNKNOWN


def test_a_name_that_two_items_offer_is_not_resolved() -> None:
    env = Env([item("a", "x"), item("b", "x")], Env([item("c", "x")], None, {}), {})
    assert env.column("x") is UNKNOWN
    assert env.field("a", "x").type == 23
    assert Env([item("a"), item("a")], None, {}).relation("a") is None


def test_an_open_item_may_hold_any_column_and_hides_outer_ones() -> None:
    env = Env([item("f", is_open=True)], Env([item("c", "x")], None, {}), {})
    assert env.column("x") is UNKNOWN


def test_an_item_below_a_join_is_named_but_offers_no_columns() -> None:
    covered = item("a", "x").covered()
    env = Env([covered], None, {})
    assert env.relation("a") is covered
    assert env.column("x") is UNKNOWN
    assert env.field("a", "x").type == 23


def test_only_tableoid_of_the_system_columns_is_silent() -> None:
    env = Env([item("a", "x")], None, {})
    assert env.column("tableoid").silent
    assert not env.column("ctid").silent
    assert env.column("ctid").type == 27
    assert env.column("oid") is UNKNOWN


def test_a_star_is_no_list_of_names() -> None:
    assert strings([{"String": {"sval": "a"}}, {"String": {}}]) == ["a", ""]
    assert strings([{"A_Star": {}}]) is None
