"""What a tree looks like, whatever its relations."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.sql.parse import parse
from proxy.sql.verify.shapes import constant, names_itself, output_names, references, tables_only


def select(text: str) -> Any:
    return parse(text.encode(), size_limit=1000, server_major=15)[0].tree["SelectStmt"]


def test_references_end_at_a_sub_select() -> None:
    where = select("SELECT 1 WHERE a.b = c AND EXISTS (SELECT hidden FROM t)")["whereClause"]
    columns, has_link = references(where)
    assert (sorted(columns), has_link) == ([["a", "b"], ["c"]], True)


@pytest.mark.parametrize(("text", "same"), [("1 + 2", True), ("now()", False), ("a", False), ("(SELECT 1)", False)])
def test_only_what_is_the_same_for_every_row_is_constant(text: str, same: bool) -> None:
    assert constant(select(f"SELECT {text}")["targetList"][0]["ResTarget"]["val"]) is same


def test_a_with_item_names_itself_only_without_a_schema() -> None:
    assert names_itself(select("SELECT * FROM t JOIN (SELECT * FROM a) x ON true"), "a")
    assert not names_itself(select("SELECT a FROM public.a"), "a")


@pytest.mark.parametrize(
    ("items", "plain"), [("a", True), ("a JOIN b ON true", True), ("f()", False), ("(SELECT 1) x", False)]
)
def test_tables_and_joins_of_them_are_plain(items: str, plain: bool) -> None:
    assert tables_only(select(f"SELECT 1 FROM {items}")["fromClause"][0]) is plain


@pytest.mark.parametrize(
    ("query", "alias", "names"),
    [
        ("SELECT 1 AS a, b, t.c, 1 + 1", [], {"a", "b", "c"}),
        ("SELECT 1 AS a, 2 AS b", ["x"], {"x", "b"}),
        ("SELECT 1 AS a UNION SELECT 2 AS b", [], {"a"}),
        ("SELECT *, 1 AS a FROM t", ["x"], {"x"}),
    ],
)
def test_only_columns_that_are_named_outright_are_certain(query: str, alias: list[str], names: set[str]) -> None:
    assert output_names(select(query), {"colnames": [{"String": {"sval": one}} for one in alias]}) == names
