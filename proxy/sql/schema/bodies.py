"""The code of a function or block, statement by statement: each is one that the tenant may have kept as it stands.

Nothing in a body is rewritten, for the server keeps and runs it as it was written. So each statement and expression is
looked at like a definition (within.py does it), and what would have to be rewritten is refused. The pieces that a body
in PL/pgSQL was found to be made of go to the verifier, which trusts none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from proxy.errors import FeatureNotSupported, Refusal, SyntaxRefused
from proxy.sql.nodes import Node
from proxy.sql.parse import parse
from proxy.sql.schema.functions import check_options, check_signature
from proxy.sql.schema.plpgsql import read_plpgsql
from proxy.sql.schema.tokens import Piece
from proxy.sql.world import World

CODE = frozenset({"AlterFunctionStmt", "CreateFunctionStmt", "DoStmt"})
# What is put around a piece so that it is a statement.
MODES = {
    "collation": ("SELECT '' COLLATE ", ""),
    "expression": ("SELECT ", ""),
    "row": ("SELECT ROW(", "\n)"),
    "statement": ("", ""),
    "table": ("TABLE ", ""),
    "type": ("SELECT NULL::", ""),
    "values": ("SELECT NULL IN (", "\n)"),
}
BRIEF = "Write one statement or expression at a time."


def check_code(tree: Node, world: World, check: Callable[[Node], None]) -> tuple[Piece, ...]:
    """The pieces of a body in PL/pgSQL; none for one in SQL. check: a Refusal for a statement that may not be in it.
    Raises what that raises, and 42601 for a body that does not parse.
    """
    ((name, body),) = tree.items()
    language, text = check_options(tree)
    check_signature(body, world)
    if name == "AlterFunctionStmt":
        return ()
    try:
        if language == "sql":
            for one in _statements(body, text, world.catalog.major):
                check(one)
            return ()
        pieces = read_plpgsql(text or "")
        for piece in pieces:
            check(_tree(piece, text or "", world.catalog.major))
    except Refusal as refusal:
        refusal.location = refusal.position = None  # they are of the body, and not of the text
        raise
    return tuple(pieces)


def _statements(body: Node, text: str | None, major: int) -> Iterator[Node]:
    """The statements of a body in SQL: of its text, or of the statement's own."""
    if text is not None:
        for one in _parsed(text, major):
            yield one
    waiting: list[Any] = [body["sql_body"]] if "sql_body" in body else []
    while waiting:
        one = waiting.pop(0)
        if "List" in one:
            waiting = [*one["List"].get("items", ()), *waiting]
        elif "ReturnStmt" in one:
            yield {"SelectStmt": {"targetList": [{"ResTarget": {"val": one["ReturnStmt"]["returnval"]}}]}}
        elif one:
            yield one


def _parsed(text: str, major: int) -> list[Node]:
    encoded = text.encode()
    return [one.tree for one in parse(encoded, size_limit=len(encoded) + 1, server_major=major)]


def joined(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """A piece's text, with blanks for what was cut out of it."""
    parts, at = [], spans[0][0]
    for begin, end in spans:
        parts += [" " * (begin - at), text[begin:end]]
        at = end
    return "".join(parts)


def _tree(piece: Piece, text: str, major: int) -> Node:
    before, behind = MODES[piece.mode]
    found = _parsed(before + joined(text, piece.spans) + behind, major)
    if len(found) != 1:
        raise SyntaxRefused("syntax error in a statement of the body", hint=BRIEF)
    (tree,) = found
    if piece.mode == "type" and not _is_cast(tree):
        raise FeatureNotSupported("this type is not supported here", hint="Name the type by itself.")
    if piece.mode != "statement" and ("SelectStmt" not in tree or "intoClause" in tree["SelectStmt"]):
        raise SyntaxRefused("syntax error in an expression of the body", hint=BRIEF)
    return tree


def _is_cast(tree: Node) -> bool:
    body = tree.get("SelectStmt", {})
    targets = body.get("targetList", [])
    cast = targets[0].get("ResTarget", {}).get("val", {}).get("TypeCast") if len(targets) == 1 else None
    return (
        cast is not None
        and "isnull" in cast["arg"].get("A_Const", {})
        and set(body) <= {"targetList", "limitOption", "op"}
    )
