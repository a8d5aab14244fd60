"""Statements that make, drop or index a session's own temporary table, as the verifier knows them.

What is made is temporary, what is dropped or indexed is in pg_temp or nowhere, and expressions call nothing that may
not be called. Fields are allow-listed here apart from the planner's tables.
"""

from __future__ import annotations

from typing import Any

from proxy.sql.verify.calls import Calls
from proxy.sql.verify.levels import Level, Node, Unproven, strings
from proxy.sql.verify.nodes import EXPRESSIONS
from proxy.sql.verify.relations import Relations

FIELDS = {
    "CreateStmt": {"relation", "tableElts", "oncommit", "if_not_exists"},
    "DropStmt": {"objects", "removeType", "behavior", "missing_ok"},
    "IndexStmt": {
        "idxname", "relation", "accessMethod", "indexParams", "whereClause", "unique", "if_not_exists",
        "nulls_not_distinct",
    },
}  # fmt: skip
PARTS = (EXPRESSIONS - {"SubLink", "ParamRef"}) | {"ColumnDef", "Constraint"}
FOREIGN = {"CONSTR_FOREIGN", "CONSTR_EXCLUSION"}


def defines(tree: Node) -> bool:
    """Is it such a statement?"""
    return next(iter(tree)) in FIELDS


def prove(tree: Node, relations: Relations) -> None:
    """Unproven unless it touches the session's own only."""
    ((name, body),) = tree.items()
    if set(body) - FIELDS[name]:
        raise Unproven(f"fields {set(body) - FIELDS[name]} of {name}")
    if name == "CreateStmt":
        _made(body["relation"])
        _parts(body.get("tableElts", []), relations)
    elif name == "DropStmt":
        _dropped(body, relations)
    else:
        if body["relation"].get("schemaname") != "pg_temp":
            raise Unproven("an index of a table that is not the session's")
        _parts([body.get("indexParams", []), body.get("whereClause")], relations)


def _made(relation: Node) -> None:
    if relation.get("relpersistence") != "t" or {"schemaname", "catalogname"} & set(relation):
        raise Unproven("a table that stays")


def _dropped(body: Node, relations: Relations) -> None:
    if body.get("removeType") != "OBJECT_TABLE":
        raise Unproven("a DROP of something else")
    for one in body["objects"]:
        parts = strings(one["List"]["items"])
        taken = any(name == parts[-1] for _, name in relations.catalog.relations)
        if parts[:-1] != ["pg_temp"] and (len(parts) > 1 or taken):
            raise Unproven("a DROP of a table that is not the session's")


def _parts(value: Any, relations: Relations) -> None:
    calls = Calls(relations, {})  # without keys no call can be the tenant's own among others
    nowhere = Level((), {})
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            for name, body in one.items():
                if name[0].isupper() and name not in PARTS:
                    raise Unproven(f"a node {name}")
                if name == "FuncCall":
                    calls.function(body)
                if name in {"ColumnRef", "A_Indirection"}:
                    calls.attribute(name, body, [], nowhere)
                if name == "Constraint" and body.get("contype") in FOREIGN:
                    raise Unproven("a constraint that reaches another table")
                waiting.append(body)
