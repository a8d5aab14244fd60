"""Where an expression ends, and what a syntax error says."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported, SyntaxRefused
from proxy.sql.schema.tokens import Piece, Tokens


def test_an_expression_reaches_to_a_word_outside_of_parentheses() -> None:
    tokens = Tokens("a = (SELECT 1 THEN [2]) THEN x")
    with pytest.raises(SyntaxRefused, match="end of input"):
        tokens.find(("loop",))
    tokens = Tokens("f(then_, 'THEN', \"then\") /* THEN */ + 1 THEN x")
    tokens.claim("expression", tokens.find(("then",)))
    assert tokens.pieces == [Piece("expression", ((0, 39),))]
    assert tokens.take("then")


@pytest.mark.parametrize("text", ["a ; THEN", "a ) THEN", "(a THEN", "(a ; ) THEN"])
def test_a_semicolon_or_a_parenthesis_that_does_not_fit_is_a_syntax_error(text: str) -> None:
    tokens = Tokens(text)
    with pytest.raises(SyntaxRefused):
        tokens.find(("then",))


def test_an_empty_expression_is_a_syntax_error() -> None:
    tokens = Tokens("THEN")
    with pytest.raises(SyntaxRefused, match='near "THEN"'):
        tokens.claim("expression", tokens.find(("then",)))


def test_names_have_at_most_three_parts_and_are_no_reserved_words() -> None:
    assert Tokens('a . "B" .select').chain() == 3
    for text in ("a.b.c.d", "loop", "a.loop", "1", "a."):
        with pytest.raises(SyntaxRefused):
            Tokens(text).chain()


def test_a_text_that_nobody_can_look_at_is_refused() -> None:
    with pytest.raises(FeatureNotSupported) as refused:
        Tokens("EXECUTE 'x'").refuse_dynamic()
    assert refused.value.hint is not None
    Tokens('"execute"').refuse_dynamic()
