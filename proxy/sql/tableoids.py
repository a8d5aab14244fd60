"""tableoid::regclass of a tenant's own rows: the name of the table that a row is in, if the tenant sees that table.

A view may have a column of that name with any number in it, and whether a name is a view's or a table's the planner
cannot know of what was made in this transaction. So the number is looked for among those of pg_class first, which
confine_catalogs then confines; another one is NULL.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from proxy.sql.nodes import Nodes, rebuilt
from proxy.sql.outputs import still_named
from proxy.sql.parse import parse

Node = dict[str, Any]
GUARDED = (
    "SELECT CASE WHEN _1 OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT _c.oid FROM pg_catalog.pg_class _c)) THEN _1 END"
)


def is_tableoid(argument: Node) -> bool:
    """Is it a column of that name?"""
    fields = argument.get("ColumnRef", {}).get("fields", ())
    return bool(fields) and fields[-1].get("String", {}).get("sval") == "tableoid"


def guard_tableoids(nodes: Nodes) -> Node:
    """The statement with every such cast guarded. The input is not changed."""
    if not any(_casts(body) for body in nodes.of("TypeCast")):
        return nodes.tree
    found: Node = rebuilt(nodes.tree, _guarded)
    return found


def _casts(body: Node) -> bool:
    names = body.get("typeName", {}).get("names", [{}])
    return names[-1].get("String", {}).get("sval") == "regclass" and is_tableoid(body.get("arg", {}))


def _guarded(value: Node, edited: Node) -> Node:
    if "TypeCast" in value and _casts(value["TypeCast"]):
        edited["TypeCast"]["arg"] = _put(_template(), value["TypeCast"]["arg"])
    if "ResTarget" in value:
        edited["ResTarget"] = still_named(edited["ResTarget"], value["ResTarget"])
    return edited


@cache
def _template() -> Node:
    (statement,) = parse(GUARDED.encode(), size_limit=1 << 16, server_major=14)
    found: Node = statement.tree["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    return found


def _put(value: Any, argument: Node) -> Any:
    """A copy with the argument in its places, and no place in the client's text."""
    if isinstance(value, list):
        return [_put(one, argument) for one in value]
    if not isinstance(value, dict):
        return value
    fields = value.get("ColumnRef", {}).get("fields", ())
    if len(fields) == 1 and fields[0].get("String", {}).get("sval") == "_1":
        return _put(argument, {})
    return {name: -1 if name == "location" else _put(one, argument) for name, one in value.items()}
