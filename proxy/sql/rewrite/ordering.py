"""Ordering: operators that an index can order by (`<->` and its like, pg_amop.amoppurpose = 'o') are guarded in
every clause: an index scan evaluates them on all its entries, min(a <-> b) too (isolation.md 2.5, rule 3). WHERE
and ON are left to guards.py."""

from __future__ import annotations

from typing import Any

from proxy.sql.rewrite.edit import Edit, replace_node
from proxy.sql.rewrite.guards import guarded
from proxy.sql.scope import Env, Level

_CLAUSES = (
    *(
        "targetList",
        "groupClause",
        "sortClause",
        "windowClause",
        "distinctClause",
        "havingClause",
        "limitCount",
        "limitOffset",
    ),
    *("valuesLists", "returningClause", "onConflictClause"),
)


def guard_ordering_operators(edit: Edit) -> None:
    """Guard every use of an ordering operator outside WHERE and ON."""
    names = edit.world.catalog.ordering_names
    if not any(_is_ordering({"A_Expr": body}, names) for body in edit.analysis.nodes.of("A_Expr")):
        return
    for level in edit.analysis.levels:
        if level.env is None:
            continue
        for clause in _CLAUSES:
            if clause in level.body:
                _walk(edit, level, level.env, level.body[clause], names)
        for action, env in level.actions:
            _walk(edit, level, env, action, names)


def _walk(edit: Edit, level: Level, env: Env, value: Any, names: frozenset[str]) -> None:
    if isinstance(value, list):
        for one in value:
            _walk(edit, level, env, one, names)
        return
    if not isinstance(value, dict):
        return
    for name, body in list(value.items()):
        if name == "SubLink":
            _walk(edit, level, env, body.get("testexpr"), names)
            continue
        if name == "ResTarget" and _is_ordering(body.get("val"), names):
            body.setdefault("name", "?column?")
        _walk(edit, level, env, body, names)
        if name == "A_Expr" and _is_ordering(value, names):
            changed = guarded(edit, level, env, {name: body})
            if "CaseExpr" in changed:
                replace_node(value, changed)
                level.loud = True
                edit.note("row.guard")


def _is_ordering(wrapped: Any, names: frozenset[str]) -> bool:
    body = wrapped.get("A_Expr") if isinstance(wrapped, dict) else None
    if body is None or body.get("kind") != "AEXPR_OP":
        return False
    return body["name"][-1].get("String", {}).get("sval") in names
