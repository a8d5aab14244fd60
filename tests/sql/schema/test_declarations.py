"""The types, defaults and queries of a block's variables are pieces."""

from __future__ import annotations

import pytest

from proxy.errors import SyntaxRefused
from proxy.sql.schema.declarations import Declarations


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("x int;", ["type int"]),
        ("x CONSTANT numeric(10,2) NOT NULL := 1 + 1;", ["type numeric(10,2)", "expression 1 + 1"]),
        ('x text COLLATE a."C" DEFAULT f(1, 2);', ["type text", 'collation a."C"', "expression f(1, 2)"]),
        ("x acme.t[] = '{}';", ["type acme.t[]", "expression '{}'"]),
        ("x orders.id%TYPE;", ["table orders"]),
        ("x acme.orders.id%TYPE[];", ["table acme.orders"]),
        ("x orders%ROWTYPE;", ["table orders"]),
        ("x acme.orders%rowtype = NULL;", ["table acme.orders", "expression NULL"]),
        ("x y%TYPE ARRAY[3];", []),
        ("x ALIAS FOR $1;", []),
        ("x ALIAS FOR a.y;", []),
        ("c CURSOR FOR SELECT 1;", ["statement SELECT 1"]),
        ("c NO SCROLL CURSOR (a int, b acme.t) IS SELECT a;", ["type int", "type acme.t", "statement SELECT a"]),
        ("c SCROLL CURSOR (a t.x%TYPE) FOR SELECT a;", ["table t", "statement SELECT a"]),
        ("x timestamp with time zone;", ["type timestamp with time zone"]),
    ],
)
def test_what_a_declaration_names_is_found(text: str, pieces: list[str]) -> None:
    reader = Declarations(text)
    reader.declaration()
    assert [f"{mode} {text[begin:end]}" for mode, ((begin, end),) in reader.pieces] == pieces
    assert reader.token(reader.at) is None


@pytest.mark.parametrize("text", ["x;", "x int", "x int NOT;", "x CURSOR SELECT 1;", "loop int;", "x ALIAS FOR 1;"])
def test_what_is_no_declaration_is_a_syntax_error(text: str) -> None:
    with pytest.raises(SyntaxRefused):
        Declarations(text).declaration()
