"""A trailing comment is split off only where it is one, and behind any text it is nothing but a comment."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pglast import parser

from proxy.session.comments import LONGEST, split

TRACE = b"/*action='%2Fparam*d',traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/"
SENT = ("SELECT note FROM orders WHERE id = 1", "UPDATE orders SET note = 'a'", 'SELECT "a*/" FROM b', "SELECT 2 *3")
PIECES = (
    "SELECT", " 1", "a", " ", "\n", "'", "''", '"', "$", "$1", "$a$", "1$a$", "$$", "--", "-", "/", "*", "/*", "*/",
    "/*+", ";", "\\", "E'", "U&'", "é", "\t", "\x01", ",", "+", "DELETE FROM orders",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@pytest.mark.parametrize("text", [b"SELECT 1", b"SELECT $1 FROM \"t\" WHERE a = 'x'", b"SELECT 1;"])
@pytest.mark.parametrize("between", [b"", b" ", b"\n\t"])
@pytest.mark.parametrize("end", [b"", b";", b" ;\n"])
def test_what_sqlcommenter_writes_is_split_off(text: bytes, between: bytes, end: bytes) -> None:
    assert split(text + between + TRACE + end) == (text, TRACE)


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1",
        b"SELECT 1 -- a",
        b"SELECT 1 /* a */ + 2",
        b"/* a */",
        b" ; /* a */",
        b"SELECT 1 /*/",
        b"SELECT '/* a */",
        b"SELECT '/* a */'",
        b'SELECT 1 AS "/* a */',
        b"SELECT 1 -- /* a */",
        b"SELECT $$ /* a */",
        b"SELECT $a$ b $a$ /* a */",
        b"SELECT 1$a$ 1$a$ /* a */",
        b"SELECT E'\\' /* a */",
        b"SELECT 1 /* /* a */",
        b"SELECT 1 /* /* a */ */",
        b"SELECT 1 /* a */ /* b */",
        b"SELECT 1 /* */ ; DELETE FROM orders -- */",
        b"SELECT 1; SELECT 2 /* a */",
        b"SELECT 1 /* a\\ */",
        b"SELECT 1 /* a\nb */",
        b"SELECT 1 /* a\x1bb */",
        "SELECT 1 /* é */".encode(),
        b"SELECT 1 /*" + b"a" * (LONGEST - 3) + b"*/",
        b"SELECT 1 /*+ SeqScan(a) sEt (search_path b) */",
    ],
)
def test_a_text_without_a_clean_comment_stays_as_it_is(text: bytes) -> None:
    assert split(text) == (text, b"")


@pytest.mark.parametrize("comment", [b"/**/", b"/***/", b"/* a **/", b"/*+ SeqScan(a) */", b"/*" + b"a" * 1020 + b"*/"])
def test_a_clean_comment_is_kept_as_it_is(comment: bytes) -> None:
    assert split(b"SELECT 1 " + comment) == (b"SELECT 1", comment)


def tree(text: str) -> str | None:
    """The parse tree, without places in the text; None where there is none."""
    try:
        return str(parser.fingerprint(text)) + parser.deparse_protobuf(parser.parse_sql_protobuf(text))
    except parser.ParseError:
        return None


@given(TEXTS, st.sampled_from(SENT))
@example("SELECT 1 /* */ ; DELETE FROM orders -- */", SENT[0])
@example("SELECT 1 -- /* a */", SENT[0])
def test_behind_a_text_of_the_proxys_own_it_changes_nothing(text: str, own: str) -> None:
    _, comment = split((text + "*/").encode())
    assert tree(own + " " + comment.decode()) == tree(own)


@given(TEXTS, TEXTS)
@example("SELECT 1$a$ ", " 1$a$ ")
def test_without_it_the_text_says_the_same(text: str, inside: str) -> None:
    whole = f"SELECT {text} /*{inside}*/"
    statement, comment = split(whole.encode())
    assert whole.encode().startswith(statement)
    assert tree(statement.decode()) == tree(whole)
    if comment:
        assert [one.name for one in parser.scan(whole) if one.end == len(whole.encode()) - 1][-1:] == ["C_COMMENT"] or (
            tree(whole) is None
        )
