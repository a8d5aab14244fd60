"""The only door to pglast's parser: text in, statements as plain dicts out, or a Refusal in PostgreSQL's words.

Limits come before parsing: size, UTF-8, NUL. The C parser refuses deep nesting cleanly; a tree deeper than our own
walkers like is
refused here, so that nothing behind this door needs to fear recursion. What a newer grammar accepts and the server's
major does not is
a syntax error here as it is there. Offsets in trees are bytes; positions in refusals are characters, from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from pglast.parser import ParseError, parse_sql_json, scan

from proxy.errors import InvalidText, ProgramLimitExceeded, Refusal, StatementTooComplex, SyntaxRefused

Node = dict[str, Any]

# Trees of long chains are as deep as they are long; whoever plans sets this limit first, for the planner answers
# RecursionError with 54001. A planner process that dies takes nobody with it.
RECURSION_LIMIT = 20_000
MAX_DEPTH = 1200  # levels of dicts and lists: some 600 nested operators
PLAIN_DEPTH = 8  # of SELECT 1
DEPTH_HINT = "Split the statement, or nest its expressions less deeply."
NEW_NUMERAL = re.compile(rb"0[xXoObB]|[0-9]_[0-9]")

# Node or field -> the first major that knows it. Fields as "Node.field".
SINCE_MAJOR = {
    "JsonObjectConstructor": 16,
    "JsonArrayConstructor": 16,
    "JsonArrayQueryConstructor": 16,
    "JsonObjectAgg": 16,
    "JsonArrayAgg": 16,
    "JsonIsPredicate": 16,
    "JsonParseExpr": 17,
    "JsonScalarExpr": 17,
    "JsonSerializeExpr": 17,
    "JsonFuncExpr": 17,
    "JsonTable": 17,
    "MergeSupportFunc": 17,
    "MergeStmt.returningClause": 17,
    "ReturningOption": 18,
    "ReturningExpr": 18,
    "MergeStmt": 15,
}
RETURNING_OPTIONS = 18
GROWING = frozenset({"InsertStmt", "UpdateStmt", "MergeStmt"})
CHANGES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
WATCHED = CHANGES | SINCE_MAJOR.keys() | {"A_Const", "RangeSubselect"}
NEWER = ('"Json', '"Merge', '"Returning', '"returningClause')  # so begins in JSON all that some major does not know

# Tokens of the scanner: what masked() leaves out and what it hides. PARAM is $1.
COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
FOLDED = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
LITERALS = frozenset({"SCONST", "ICONST", "FCONST", "BCONST", "XCONST", "USCONST"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: the inner node, such as {"SelectStmt": {…}}, and its span in bytes."""

    tree: Node
    location: int
    length: int


def parse(text: bytes, *, size_limit: int, server_major: int, nesting: int | None = None) -> tuple[Statement, ...]:
    """Every statement of the text; none for an empty one. nesting: how many operators may stand in one another, where
    that is less than MAX_DEPTH allows. Raises a Refusal: 54000, 22021, 42601, 54001.
    """
    return statements_in(grammar_of(text, size_limit=size_limit), text, server_major=server_major, nesting=nesting)


def grammar_of(text: bytes, *, size_limit: int) -> str:
    """What the C parser makes of the text, in its JSON. Raises a Refusal: 54000, 22021, 42601, 54001."""
    if len(text) > size_limit:
        raise ProgramLimitExceeded(
            f"statement is too large: {len(text)} bytes, the limit is {size_limit}",
            hint="Send it in smaller parts, use COPY, or have statement_size raised.",
        )
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidText(f'invalid byte sequence for encoding "UTF8": {_hexadecimal(text, error.start)}') from None
    if "\0" in decoded:
        raise InvalidText('invalid byte sequence for encoding "UTF8": 0x00')
    try:
        return str(parse_sql_json(decoded))
    except ParseError as error:
        raise _syntax(error, decoded) from None


def statements_in(grammar: str, text: bytes, *, server_major: int, nesting: int | None = None) -> tuple[Statement, ...]:
    """The statements in what grammar_of() gave for this text. Raises a Refusal: 42601, 54001."""
    deepest = MAX_DEPTH if nesting is None else min(MAX_DEPTH, PLAIN_DEPTH + 2 * nesting)
    try:
        parsed = orjson.loads(grammar)
    except (orjson.JSONDecodeError, RecursionError):
        raise _too_deep() from None
    if server_major < 16 and b"\v" in text:
        _check_vertical_tabs(text.decode())
    suspect = _is_suspect(grammar, text, server_major, deepest)
    statements = []
    for raw in parsed.get("stmts", ()):
        start = raw.get("stmt_location", 0)
        statement = Statement(raw["stmt"], start, raw.get("stmt_len", 0) or len(text) - start)
        if suspect:
            _check(statement.tree, text, server_major, deepest, nesting)
        statements.append(statement)
    return tuple(statements)


class Token(NamedTuple):
    """A token of the scanner. start, end: characters of the text; word: an identifier or key word as it is folded, ""
    where it is quoted or no word.
    """

    kind: str
    text: str
    word: str
    start: int
    end: int


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text without its comments. Raises a Refusal: 42601."""
    try:
        scanned = scan(text)
    except ParseError as error:
        raise _syntax(error, text) from None
    found = []
    for one in scanned:
        if one.name not in COMMENTS:
            part = text[one.start : one.end + 1]
            is_word = one.name == "IDENT" or one.kind != "NO_KEYWORD"
            word = part.translate(FOLDED) if is_word and part[0] != '"' else ""
            found.append(Token(one.name, part, word, one.start, one.end + 1))
    return found


def masked(text: bytes, limit: int) -> str:
    """The beginning of a text, some `limit` bytes of it, without comments and with ? for each literal: for people who
    may not see literals. A literal that the limit cuts, and what the lexer does not know, ends it.
    """
    begun = text[:limit].decode("utf-8", "ignore")
    try:
        tokens = scan(begun)
    except ParseError as error:
        begun = begun[: error.args[1] if len(error.args) > 1 and error.args[1] is not None else 0]
        try:
            tokens = scan(begun)
        except ParseError:
            return ""
    pieces: list[str] = []
    done = -1
    for token in tokens:
        if token.name in COMMENTS:
            continue
        space = " " if pieces and token.start > done + 1 else ""
        pieces.append(space + ("?" if token.name in LITERALS else begun[token.start : token.end + 1]))
        done = token.end
    return "".join(pieces)


def walk(node: Any) -> Iterator[tuple[str, Node]]:
    """Every (node name, body) at and below a node, in no particular order; iterative."""
    stack = [node]
    while stack:
        current = stack.pop()
        if type(current) is dict:
            for name, value in current.items():
                if type(value) is dict:
                    if name[0].isupper():
                        yield name, value
                    stack.append(value)
                elif type(value) is list:
                    stack += value
        elif type(current) is list:
            stack += current


def _check_vertical_tabs(text: str) -> None:
    """A vertical tab is white space since PostgreSQL 16; before, it is no character of SQL outside strings and
    comments.
    """
    end = -1
    for token in [*scan(text), None]:
        start = len(text) if token is None else token.start
        at = text.find("\v", end + 1, start)
        if at != -1:
            raise SyntaxRefused('syntax error at or near "\v"', position=at + 1)
        end = end if token is None else token.end


def _hexadecimal(text: bytes, start: int) -> str:
    """The offending sequence as PostgreSQL prints it (report_invalid_encoding in utils/mb/mbutils.c)."""
    first = text[start]
    length = 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4 if first < 0xF8 else 1
    return " ".join(f"0x{byte:02x}" for byte in text[start : start + length])


def _syntax(error: ParseError, text: str) -> Refusal:
    """libpg_query gives the message and the character index, or no index for the end of the text."""
    message = str(error.args[0]) if error.args else "syntax error"
    if "nested too deeply" in message or "stack depth limit" in message:
        return _too_deep()
    index = error.args[1] if len(error.args) > 1 and error.args[1] is not None else len(text)
    return SyntaxRefused(message, position=int(index) + 1)


def _too_deep(nesting: int | None = None) -> Refusal:
    detail = None if nesting is None else f"The limit is {nesting} nested operators, as statement_nesting has it."
    return StatementTooComplex("stack depth limit exceeded", detail=detail, hint=DEPTH_HINT)


def _is_suspect(grammar: str, text: bytes, major: int, deepest: int) -> bool:
    """Could _check() find anything? No tree is deeper than it has brackets, and a node's name stands in the JSON."""
    if grammar.count("{") + grammar.count("[") > deepest or any(name in grammar for name in NEWER):
        return True
    return major < 16 and ('"RangeSubselect"' in grammar or NEW_NUMERAL.search(text) is not None)


def _check(tree: Node, text: bytes, major: int, deepest: int, nesting: int | None) -> None:
    """Level by level: not too deep, and no node that the server's major does not know."""
    level: list[Any] = [tree]
    depth = 0
    while level:
        depth += 1
        if depth > deepest:
            raise _too_deep(nesting if deepest < MAX_DEPTH else None)
        below: list[Any] = []
        for node in level:
            if type(node) is dict:
                for name, value in node.items():
                    if type(value) is dict:
                        below.append(value)
                        if name in WATCHED:
                            _check_major(name, value, text, major)
                    elif type(value) is list:
                        below.append(value)
            else:
                below += [value for value in node if type(value) is dict or type(value) is list]
        level = below


def _check_major(name: str, body: Node, text: bytes, major: int) -> None:
    since = SINCE_MAJOR.get(name, 0)
    if since > major or (name == "MergeStmt" and major < 17 and _newer_merge(body)):
        raise _unknown_to_server(text, body)
    if name == "A_Const" and major < 16 and ("ival" in body or "fval" in body):
        start = body.get("location", 0)
        if NEW_NUMERAL.match(text, start) or NEW_NUMERAL.search(text, start, _numeral_end(text, start)):
            raise _unknown_to_server(text, body)
    if name == "RangeSubselect" and major < 16 and "alias" not in body:
        raise SyntaxRefused(
            "VALUES in FROM must have an alias" if _is_values(body) else "subquery in FROM must have an alias",
            hint=f"For example, FROM ({'VALUES ...' if _is_values(body) else 'SELECT ...'}) [AS] foo.",
        )
    if major < RETURNING_OPTIONS and name in CHANGES:
        clause = body.get("returningClause")
        if clause and clause.get("options"):
            raise _unknown_to_server(text, body)


def _newer_merge(body: Node) -> bool:
    clauses = body.get("mergeWhenClauses", ())
    by_source = any(one["MergeWhenClause"].get("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE" for one in clauses)
    return by_source or "returningClause" in body


def _is_values(body: Node) -> bool:
    return "valuesLists" in body.get("subquery", {}).get("SelectStmt", {})


def _numeral_end(text: bytes, start: int) -> int:
    end = start
    while end < len(text) and (text[end : end + 1].isalnum() or text[end : end + 1] in (b"_", b".", b"-")):
        end += 1
    return end


def _unknown_to_server(text: bytes, body: Node) -> Refusal:
    """The server's own grammar would stop near here; where exactly, only it knows."""
    start = body.get("location", 0)
    word = re.match(rb"-?\s*\w+|.", text[start:])
    near = word.group(0).decode("utf-8", "replace") if word else "end of input"
    return SyntaxRefused(f'syntax error at or near "{near}"', position=len(text[:start].decode("utf-8", "replace")) + 1)
