"""Nodes: one walk over the tree of a statement, for all the stations that ask what stands in it.

Promises: every node below is there once, by its kind and in the order in which the server's analysis comes to them:
FROM and WITH before the rest of their level. Strings in lists are left out, for names are half of all nodes. A picture
of the moment: a tree that is edited afterwards needs new ones. Decides nothing. The verifier has walks of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Node = dict[str, Any]
Note = Callable[[tuple[str, Node]], None]

FIRST = frozenset({"fromClause", "withClause", "relation", "usingClause", "sourceRelation"})
# Fields that hold a node's body without its name.
BARE: Mapping[str, str] = {
    "relation": "RangeVar",
    "alias": "Alias",
    "join_using_alias": "Alias",
    "typeName": "TypeName",
    "intoClause": "IntoClause",
    "withClause": "WithClause",
    "collClause": "CollateClause",
    "onConflictClause": "OnConflictClause",
    "infer": "InferClause",
    "returningClause": "ReturningClause",
    "search_clause": "CTESearchClause",
    "cycle_clause": "CTECycleClause",
    "larg": "SelectStmt",  # of a set operation; a join's has its name with it
    "rarg": "SelectStmt",
}


class Nodes:
    """Of one tree. every: (kind, body), in order; by_kind: the same bodies by kind."""

    __slots__ = ("by_kind", "every", "tree")

    def __init__(self, tree: Node) -> None:
        self.tree = tree
        self.every: list[tuple[str, Node]] = []
        _gather(tree, self.every.append)
        self.by_kind: dict[str, list[Node]] = {}
        for kind, body in self.every:
            self.by_kind.setdefault(kind, []).append(body)

    def of(self, kind: str) -> list[Node]:
        """The bodies of all nodes of that kind."""
        return self.by_kind.get(kind, [])


def _gather(body: Node, note: Note) -> None:
    for name in body if FIRST.isdisjoint(body) else sorted(body, key=FIRST.__contains__, reverse=True):
        value = body[name]
        if type(value) is dict:
            if name[0] <= "Z":
                note((name, value))
            elif name in BARE and not is_named(value):
                note((BARE[name], value))
            _gather(value, note)
        elif type(value) is list:
            for one in value:
                if "String" not in one:
                    _gather(one, note)


def uncast(node: Node) -> Node:
    """What a node is without the casts around it."""
    while set(node) == {"TypeCast"}:
        node = node["TypeCast"].get("arg", {})
    return node


def is_named(value: Node) -> bool:
    """Is it a node with its name, and not the body of one?"""
    return len(value) == 1 and next(iter(value))[0] <= "Z"


def rebuilt(value: Any, change: Callable[[Node, Node], Node]) -> Any:
    """A copy of the tree, from the leaves up: change(node as it was, its copy with what is below it changed)."""
    if isinstance(value, list):
        return [rebuilt(one, change) for one in value]
    if not isinstance(value, dict):
        return value
    return change(value, {name: rebuilt(one, change) for name, one in value.items()})
