"""What is printed means what was edited, or nothing is sent; values enter a text as literals and never raw."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast.parser import parse_sql_json

from proxy.errors import FeatureNotSupported
from proxy.sql.plan import KeyHole, LiteralHole, Template
from proxy.sql.render import fill, literal, quote, render


def tree_of(sql: str) -> Any:
    return orjson.loads(parse_sql_json(sql))["stmts"][0]["stmt"]


def test_a_hole_is_found_where_its_constant_was_printed() -> None:
    tree = tree_of("select *\n from orders where tenant_id = 'k' and id = 5")
    left, right = tree["SelectStmt"]["whereClause"]["BoolExpr"]["args"]
    left["A_Expr"]["rexpr"]["A_Const"]["_hole"] = KeyHole("default")
    right["A_Expr"]["rexpr"]["A_Const"]["_hole"] = LiteralHole(0, "i")
    rendered = render(tree)
    assert rendered.template.holes == (KeyHole("default"), LiteralHole(0, "i"))
    sent = fill(rendered.template, {"default": "it's"}, [b"7"])
    assert sent == b"SELECT * FROM orders WHERE tenant_id = 'it''s' AND id = 7"


def test_a_text_that_would_mean_something_else_is_refused() -> None:
    tree = tree_of("SELECT 1")
    tree["SelectStmt"]["targetList"][0]["ResTarget"]["val"] = {"ColumnRef": {"fields": []}}
    with pytest.raises(FeatureNotSupported) as refused:
        render(tree)
    assert refused.value.sqlstate == "0A000"
    assert refused.value.hint


def test_a_keys_place_must_be_a_quoted_literal() -> None:
    tree = tree_of("SELECT * FROM orders WHERE tenant_id = 5")
    tree["SelectStmt"]["whereClause"]["A_Expr"]["rexpr"]["A_Const"]["_hole"] = KeyHole("default")
    with pytest.raises(FeatureNotSupported):
        render(tree)


def test_a_key_that_is_missing_sends_nothing() -> None:
    with pytest.raises(KeyError):
        fill(Template((b"a", b"b"), (KeyHole("uid"),)), {"default": "1"}, [])


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_key_is_one_string_literal_of_the_same_value(value: str) -> None:
    (statement,) = orjson.loads(parse_sql_json("SELECT " + quote(value).decode()))["stmts"]
    constant = statement["stmt"]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]["A_Const"]
    assert constant["sval"].get("sval", "") == value


def test_a_nul_in_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("i", b"1; DROP TABLE x"), ("i", b"1_000"[:0]), ("n", b"1.5.2"), ("n", b"1e5"), ("s", b"'a' OR 'b'"),
        ("s", b"'a"), ("s", b"a"), ("s", b"'a\\' '"), ("0", b"NULLS"), ("?", b"1"),
    ],
)  # fmt: skip
def test_what_is_not_a_literal_of_its_kind_is_never_filled_in(kind: str, raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 int() has its own words
        literal(kind, raw)


@pytest.mark.parametrize(
    ("kind", "raw", "sent"),
    [
        ("i", b"- 5", b"-5"),
        ("i", b"007", b"7"),
        ("i", b"+" + b"0" * 5000 + b"7", b"7"),
        ("i", b"-000", b"0"),
        ("n", b".5", b".5"),
        ("s", b"'it''s'", b"'it''s'"),
        ("0", b"null", b"NULL"),
    ],
)
def test_a_literal_is_sent_as_the_client_meant_it(kind: str, raw: bytes, sent: bytes) -> None:
    assert literal(kind, raw) == sent
