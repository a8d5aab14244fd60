"""DECLARE, FETCH, MOVE and CLOSE: a cursor's query is confined like any other, its name is the client's.

Names reach the server as they are: a connection belongs to one session as long as a cursor of its lives. Promises:
nothing of a cursor's query is a session command, and only options and directions that are known here are sent.
Source: PostgreSQL documentation, DECLARE, FETCH; nodes/parsenodes.h for the option bits.
"""

from __future__ import annotations

from proxy.errors import FeatureNotSupported
from proxy.sql.classified import Classified, Node
from proxy.sql.plan import CursorEffect, Effects, StatementKind

# BINARY, SCROLL, NO SCROLL, INSENSITIVE, ASENSITIVE, WITH HOLD, and that its first rows are wanted fast.
OPTIONS = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20 | 0x100
HOLD = 0x20
FETCH_FIELDS = frozenset({"direction", "howMany", "portalname", "ismove", "direction_keyword", "location"})
DIRECTIONS = frozenset({"FETCH_FORWARD", "FETCH_BACKWARD", "FETCH_ABSOLUTE", "FETCH_RELATIVE"})


def declare(tree: Node, body: Node) -> Classified:
    """DECLARE CURSOR."""
    options = int(body.get("options", 0))
    if options & ~OPTIONS:
        raise FeatureNotSupported("this option of DECLARE CURSOR is not supported")
    return Classified(
        StatementKind.CURSOR, tree, Effects(declares=CursorEffect(body["portalname"], bool(options & HOLD)))
    )


def fetch(tree: Node, body: Node) -> Classified:
    """FETCH and MOVE: of a cursor that is not there the server says so itself."""
    if set(body) - FETCH_FIELDS or body.get("direction", "FETCH_FORWARD") not in DIRECTIONS:
        raise FeatureNotSupported("this form of FETCH is not supported")
    return Classified(StatementKind.CURSOR, tree)


def close(tree: Node, body: Node) -> Classified:
    """CLOSE of one cursor, or of all."""
    return Classified(StatementKind.CURSOR, tree, Effects(closes=body.get("portalname", "")))
