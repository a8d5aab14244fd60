"""The lifter: a shape and its literals are the text again, and only what PostgreSQL lexes as a literal is lifted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast.parser import scan

from proxy.sql.lift import booleans_of, lift, lift_like, pieces_of

MARKS = (b"\x01i", b"\x01I", b"\x01N", b"\x01n", b"\x01s", b"\x01b")


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        (b"SELECT 1", (b"1",)),
        (b"SELECT a1, b$2, \"c 3\" FROM t4 WHERE x = 'it''s'", (b"'it''s'",)),
        (b"SELECT -1", ()),
        (b"SELECT * FROM t WHERE a = -1", (b"-1",)),
        (b"SELECT a -1", (b"1",)),
        (b"SELECT 1.5, 2147483648", (b"1.5", b"2147483648")),
        (b"SELECT $1, 2", (b"2",)),
        (b"VALUES (1, 'x'), (-2, '')", (b"1", b"'x'", b"-2", b"''")),
        (b"SELECT NULL, true", (b"true",)),
        (b"VALUES (1, TRUE), (2, false)", (b"1", b"TRUE", b"2", b"false")),
        (b'SELECT trues, a.true_, true$, xtrue, "true" FROM t WHERE a IS NOT FALSE', (b"FALSE",)),
        (b"SELECT 'true' WHERE a = True", (b"'true'",)),
    ],
)
def test_plain_numbers_and_strings_are_lifted(text: bytes, literals: tuple[bytes, ...]) -> None:
    found = lift(text)
    assert found is not None
    if text == b"SELECT -1":
        assert found.literals in {(b"1",), ()}
    else:
        assert found.literals == literals


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1 -- x", b"SELECT /* 1 */ 2", b"SELECT $$1$$", b"SELECT $a$1$a$", b"SELECT E'1'", b"SELECT U&'1'",
        b"SELECT B'1'", b"SELECT 'a\\'", b"SELECT 'a' 'b'", b"SELECT 'a'\n'b'", b"SELECT 'open", b'SELECT "open',
        b"SELECT 1 \x01i", b"SELECT 1\x00",
    ],
)  # fmt: skip
def test_what_needs_a_real_lexer_is_not_lifted(text: bytes) -> None:
    assert lift(text) is None


@pytest.mark.parametrize(
    "pair", [(b"1", b"2147483648"), (b"1", b"1.5"), (b"1", b"'1'"), (b"1", b"NULL"), (b"1", b"0x1")]
)
def test_literals_of_other_types_have_other_shapes(pair: tuple[bytes, bytes]) -> None:
    one, other = (lift(b"SELECT " + literal) for literal in pair)
    assert one is not None
    assert other is None or one.shape != other.shape


PIECES = [
    "SELECT", "a", "t.b", "FROM", "=", "-", "- ", "(", ")", ",", "1", "23", "4.5", "-6", "'x'", "'it''s'", "''",
    "1e5", "0x1F", "1_000", ".5", "$1", "::int", "--", "/*", "$$", "E'x'", "N'x'", "<@", "@-", "99999999999",
    '"q 1"', "\n", "&", "+", "true", "FALSE", "true ", "trues", "tRue", ".true",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from(["", " "]))
def test_every_lifted_literal_is_a_token_of_the_servers_lexer(words: list[str], between: str) -> None:
    text = between.join(words)
    found = lift(text.encode())
    if found is None:
        return
    shape = found.shape
    for literal in found.literals:
        at = min(shape.index(mark) for mark in MARKS if mark in shape)
        shape = shape[:at] + literal + shape[at + 2 :]
    assert shape == text.encode()
    try:
        tokens: list[Any] = list(scan(text))
    except Exception:
        return
    spans = {(token.start, token.end + 1): token.name for token in tokens}
    for literal, offset in zip(found.literals, found.offsets, strict=True):
        sign = 1 if literal.startswith(b"-") else 0
        kind = spans.get((offset + sign, offset + len(literal)))
        assert kind in {"ICONST", "FCONST", "SCONST", "TRUE_P", "FALSE_P"}, (text, literal, kind)


def test_a_text_full_of_beginnings_of_strings_is_given_up_at_the_first() -> None:
    # each quote would be the begin of a string that runs to the backslash: all of them tried would take minutes
    assert lift(b"'" * 8000 + b"\\") is None
    assert lift(b"SELECT 1 -- " + b"'\"" * 3000) is None


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=9),
    st.sampled_from(["", " "]),
    st.lists(st.sampled_from([*PIECES, "0", "7", "999999999", "1000000000", "7 AND a = 8"]), min_size=1, max_size=6),
    st.integers(0, 40),
)
def test_what_is_lifted_by_likeness_is_what_would_be_lifted(
    words: list[str], between: str, others: list[str], at: int
) -> None:
    text = between.join(words).encode()
    found = lift(text)
    pieces = pieces_of(text, found) if found is not None else None
    if found is None or pieces is None:
        return
    assert lift_like(text, pieces, booleans_of(found)) == found.literals
    swapped = b"".join(piece + others[n % len(others)].encode() for n, piece in enumerate(pieces[:-1])) + pieces[-1]
    for other in (swapped, text[:at] + others[0].encode() + text[at:], text[:at]):
        literals = lift_like(other, pieces, booleans_of(found))
        if literals is not None:
            again = lift(other)
            assert again is not None
            assert (again.shape, again.literals) == (found.shape, literals)


def test_only_short_unsigned_integers_are_lifted_by_likeness() -> None:
    text = b"SELECT a FROM t WHERE b = 1 AND c = 22"
    found = lift(text)
    assert found is not None
    pieces = pieces_of(text, found)
    assert pieces == (b"SELECT a FROM t WHERE b = ", b" AND c = ", b"")
    assert lift_like(b"SELECT a FROM t WHERE b = 345 AND c = 6", pieces) == (b"345", b"6")
    for one in (b"-1", b"'1'", b"1.5", b"1234567890", b"", b"1 OR b = 2", b"1--", b"1;DELETE FROM t"):
        assert lift_like(b"SELECT a FROM t WHERE b = " + one + b" AND c = 6", pieces) is None
        assert lift_like(b"SELECT a FROM t WHERE b = 345 AND c = " + one, pieces) is None
    for odd in (b"SELECT a", b"SELECT 'x' WHERE a = 1", b"SELECT a WHERE b = -1"):
        lifted = lift(odd)
        assert lifted is not None
        assert pieces_of(odd, lifted) is None
