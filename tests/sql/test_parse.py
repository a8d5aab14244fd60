"""What is no statement of this server is refused before anything looks at it, with the server's own words."""

from __future__ import annotations

import pytest

from proxy.errors import Refusal, StatementTooComplex
from proxy.sql.parse import masked, parse, walk


def refused(text: bytes, *, size_limit: int = 1 << 20, server_major: int = 15) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(text, size_limit=size_limit, server_major=server_major)
    return caught.value


def test_every_statement_knows_its_bytes() -> None:
    text = "SELECT 'ä'; ;\n  DELETE FROM x".encode()
    first, second = parse(text, size_limit=100, server_major=15)
    assert text[first.location : first.location + first.length] == "SELECT 'ä'".encode()
    assert text[second.location : second.location + second.length].strip() == b"DELETE FROM x"
    assert list(second.tree) == ["DeleteStmt"]


@pytest.mark.parametrize("text", [b"", b" \n", b";;", b"-- nothing", b"/* /* nested */ */"])
def test_an_empty_text_holds_no_statement(text: bytes) -> None:
    assert parse(text, size_limit=100, server_major=15) == ()


@pytest.mark.parametrize(
    ("text", "sqlstate", "position"),
    [
        (b"SELECT 'open", "42601", 8),
        ("SELECT 'ä' FRM x".encode(), "42601", 16),
        (b"SELECT \xff", "22021", None),
        (b"SELECT '\xed\xa0\x80'", "22021", None),
        (b"SELECT 1\0; DROP TABLE x", "22021", None),
        (b"SELECT " + b"(" * 20000 + b"1" + b")" * 20000, "42601", None),
        (b"SELECT " + b"+".join([b"1"] * 30001), "54001", None),
        (b"SELECT 1\v", "42601", 9),
        (b"SELECT 0x1F", "42601", None),
        (b"MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE RETURNING 1", "42601", None),
    ],
)
def test_what_this_server_could_not_read_is_refused(text: bytes, sqlstate: str, position: int | None) -> None:
    refusal = refused(text)
    assert refusal.sqlstate == sqlstate
    if position is not None:
        assert refusal.position == position


def test_the_same_text_is_read_where_the_server_reads_it() -> None:
    for text in (b"SELECT 1\v", b"SELECT 0x1F", b"SELECT 1_000"):
        assert len(parse(text, size_limit=100, server_major=18)) == 1
    merge = b"MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE RETURNING 1"
    assert len(parse(merge, size_limit=100, server_major=17)) == 1


def test_a_text_above_the_limit_is_refused_unread() -> None:
    refusal = refused(b"this is not SQL", size_limit=5)
    assert (refusal.sqlstate, bool(refusal.hint)) == ("54000", True)


def test_walking_meets_every_node_however_deep() -> None:
    deep: dict[str, object] = {"A_Const": {}}
    for _ in range(5000):
        deep = {"A_Expr": {"lexpr": deep}}
    assert sum(1 for name, _ in walk(deep) if name == "A_Expr") == 5000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT /* s3cret */ a,b FROM t -- s3cret\n WHERE c = 's3cret'", "SELECT a,b FROM t WHERE c = ?"),
        (
            "SELECT $$s3cret$$, $x$s3cret$x$, E's3\\'cret', U&'s3cret', B'01', X'5e', 1e5, -0x1F",
            "SELECT ?, ?, ?, ?, ?, ?, ?, -?",
        ),
        ("SELECT 's3'\n'cret', N's3cret', $1, \"col 1\"", 'SELECT ?, N?, $1, "col 1"'),
        ("SELECT 'ä s3cret', \"ä\"; DELETE FROM t WHERE x = 5", 'SELECT ?, "ä"; DELETE FROM t WHERE x = ?'),
    ],
)
def test_a_masked_text_has_no_literal_and_no_comment(text: str, shown: str) -> None:
    assert masked(text.encode(), 1000) == shown


@pytest.mark.parametrize("literal", ["'s3cret s3cret'", "$$s3cret s3cret$$", "E's3cret s3cret'", "/* s3cret s3cret */"])
def test_a_masked_text_may_be_cut_anywhere(literal: str) -> None:
    text = f"SELECT a FROM t WHERE b = {literal}, 4711".encode()
    for limit in range(len(text) + 1):
        shown = masked(text, limit)
        assert "s3" not in shown
        assert "4" not in shown
    assert masked(text, len(text)).startswith("SELECT a FROM t WHERE b = ")


@pytest.mark.parametrize("limit", [1, 2, 7, 100, 450])
def test_nesting_is_counted_in_operators(limit: int) -> None:
    def chain(length: int) -> bytes:
        return b"SELECT 1" + b" + 1" * length

    assert parse(chain(limit), size_limit=10_000, server_major=15, nesting=limit)
    with pytest.raises(StatementTooComplex) as caught:
        parse(chain(limit + 1), size_limit=10_000, server_major=15, nesting=limit)
    assert (caught.value.sqlstate, caught.value.message) == ("54001", "stack depth limit exceeded")
    assert caught.value.detail == f"The limit is {limit} nested operators, as statement_nesting has it."


def test_sub_selects_and_calls_nest_too_and_length_is_no_depth() -> None:
    for deep in (b"SELECT (SELECT (SELECT (SELECT 1)))", b"SELECT f(f(f(f(f(1)))))"):
        assert parse(deep, size_limit=1000, server_major=15, nesting=20)
        with pytest.raises(StatementTooComplex):
            parse(deep, size_limit=1000, server_major=15, nesting=5)
    wide = b"SELECT " + b", ".join([b"1 + 1"] * 500) + b"; " + b"SELECT 1; " * 50
    assert len(parse(wide, size_limit=10_000, server_major=15, nesting=2)) == 51


def test_no_limit_allows_more_than_the_program_can_walk() -> None:
    with pytest.raises(StatementTooComplex) as caught:
        parse(b"SELECT 1" + b" + 1" * 700, size_limit=10_000, server_major=15, nesting=100_000)
    assert caught.value.detail is None
