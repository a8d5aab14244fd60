"""Levels as the verifier sees them: one SELECT arm or DML statement, its FROM items, and the conditions of its
clauses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from proxy.catalog.model import Column
from proxy.sql.verify.relations import Shown

Node = dict[str, Any]


class Unproven(Exception):
    """What could not be proved; for the log, never for a client."""


@dataclass(slots=True, eq=False)
class Item:
    """A FROM item or DML target, under the name it has. names: column -> the name it has here, of relations only;
    columns: by that name.
    """

    alias: str
    kind: str  # table | view | derived | cte | join | function | nothing
    shown: Shown | None = None
    names: dict[str, str] = field(default_factory=dict)
    boundary: bool = True
    hard: bool = False
    fenced: bool = False  # has an OFFSET or LIMIT of its own, or is materialized
    columns: dict[str, Column] = field(default_factory=dict)
    outputs: frozenset[str] = frozenset()  # of a derived table: the columns that it certainly has

    @property
    def tenant(self) -> bool:
        """Rows of others are in it."""
        return self.shown is not None and self.shown.access == "tenant" and self.kind == "table"


@dataclass(slots=True, eq=False)
class Condition:
    """The conjuncts of a WHERE or ON; visible: what they can name of this level; under: what a failing row is kept
    out of.
    """

    parts: list[Node]
    visible: list[Item]
    confines: list[Item]
    full: bool = False


@dataclass(slots=True, eq=False)
class Cte:
    """A WITH item."""

    fenced: bool
    hard: bool
    level: Level | None = None


@dataclass(slots=True, eq=False)
class Level:
    """visible: what expressions above FROM can name; items: everything in FROM, however deep in joins."""

    outer: tuple[Level, ...]
    ctes: dict[str, Cte]
    items: list[Item] = field(default_factory=list)
    visible: list[Item] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    inner: list[Level] = field(default_factory=list)
    loud: bool = False
    above: bool = False  # of a clause above its own filtered scans: a sub-select in it meets no other rows of these

    def tenants(self, visible: list[Item]) -> list[Item]:
        """The tenant relations that an expression over `visible` can name, those of enclosing levels included."""
        found = [one for one in visible if one.tenant]
        for level in self.outer:
            found += [one for one in level.visible if one.tenant and not level.above]
        return found


def conjuncts(node: Node | None) -> list[Node]:
    """The parts between top-level ANDs."""
    if node is None:
        return []
    body = node.get("BoolExpr")
    if body is not None and body.get("boolop") == "AND_EXPR":
        return [part for one in body["args"] for part in conjuncts(one)]
    return [node]


def strings(parts: Any) -> list[str]:
    """The texts of String nodes."""
    return [one["String"].get("sval", "") for one in parts if "String" in one]
