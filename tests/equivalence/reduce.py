"""A statement made smaller as long as something holds of it: delta debugging on its tree.

Cuts are tried from the root downwards, so that the largest goes first: a clause, a list's element, a node that makes
way for one inside it. A cut is kept where the printed statement is shorter and `holds` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from pglast.parser import DeparseError, ParseError, deparse_protobuf, parse_sql_json

from proxy.sql.encode import encode

TRIES = 600
CLAUSES = frozenset({
    "whereClause", "havingClause", "groupClause", "sortClause", "limitCount", "limitOffset", "distinctClause",
    "lockingClause", "withClause", "windowClause", "onConflictClause", "returningList", "returningClause", "agg_filter",
    "agg_order", "over", "defresult", "usingClause",
})  # fmt: skip


def reduce(text: str, holds: Callable[[str], bool]) -> str:
    """The shortest text found of which `holds` is still true; `text` itself where it cannot be taken apart."""
    try:
        tree = orjson.loads(parse_sql_json(text))["stmts"][0]["stmt"]
    except (ParseError, orjson.JSONDecodeError, IndexError):
        return text
    tries, found = 0, True
    while found and tries < TRIES:
        found = False
        for variant in cuts(tree):
            printed = _printed(variant)
            if printed is None or len(printed) >= len(text):
                continue
            tries += 1
            if holds(printed):
                text, tree, found = printed, variant, True
                break
            if tries >= TRIES:
                break
    return text


def cuts(tree: Any) -> Iterator[Any]:
    """Copies of the tree with one thing cut out."""
    printed = orjson.dumps(tree)
    for path in _paths(tree):
        node = _at(tree, path)
        if isinstance(node, list) and len(node) > 1:
            for index in range(len(node)):
                copy = orjson.loads(printed)
                del _at(copy, path)[index]
                yield copy
        elif isinstance(node, dict):
            for name in CLAUSES & node.keys():
                copy = orjson.loads(printed)
                del _at(copy, path)[name]
                yield copy
            for inner in _inside(node):
                copy = orjson.loads(printed)
                place = _at(copy, path)
                place.clear()
                place.update(orjson.loads(orjson.dumps(inner)))
                yield copy


def _inside(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nearest nodes that may stand in this one's place; the grammar, by the printer, judges."""
    if len(node) != 1 or not next(iter(node))[0].isupper():
        return
    ((name, body),) = node.items()
    waiting: list[Any] = [body]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if (
                len(one) == 1
                and next(iter(one))[0].isupper()
                and name not in ("ResTarget", "CommonTableExpr", "String")
            ):
                yield one
            else:
                waiting += one.values()


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place, the outer ones first."""
    found, waiting = [], [(value, path)]
    while waiting:
        one, at = waiting.pop(0)
        found.append(at)
        if isinstance(one, dict):
            waiting += [(inner, (*at, name)) for name, inner in one.items()]
        elif isinstance(one, list):
            waiting += [(inner, (*at, index)) for index, inner in enumerate(one)]
    return found


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for one in path:
        value = value[one]
    return value


def _printed(tree: Any) -> str | None:
    try:
        text = deparse_protobuf(encode(tree))
        parse_sql_json(text)
    except (DeparseError, ParseError, KeyError, TypeError, ValueError):
        return None
    return str(text)
