"""Statements that wrap a query, as the verifier knows them: the query that must be proved.

A table of its own: a field or statement that is not in it is not proved. A table that is made is a temporary one, and
a copy goes to the client. What EXECUTE runs was proved when it was prepared, under the name that only the proxy gives;
its arguments are proved as the row that they are.
"""

from __future__ import annotations

import re

from proxy.sql.verify.levels import Node, Unproven

OWN_NAME = re.compile(r"pw_[0-9]{8}")

KNOWN = {
    "DeclareCursorStmt": {"portalname", "options", "query"},
    "PrepareStmt": {"name", "argtypes", "query"},
    "ExplainStmt": {"options", "query"},
    "CreateTableAsStmt": {"query", "into", "objtype", "if_not_exists"},
    "CopyStmt": {"query", "options"},
}


def query_of(tree: Node, explain: str) -> Node:
    """What a statement wraps, or the statement itself."""
    while True:
        ((name, body),) = tree.items()
        if name == "ExecuteStmt":
            return _arguments(body)
        fields = KNOWN.get(name)
        if fields is None:
            return tree
        if "query" not in body or set(body) - fields:
            raise Unproven(f"a {name} of another form")
        if name == "PrepareStmt" and OWN_NAME.fullmatch(body["name"]) is None:
            raise Unproven("a name that is the client's")
        if name == "ExplainStmt" and explain != "allowed":
            _without_costs(body, explain)
        if name == "CreateTableAsStmt":
            made = body["into"]["rel"]
            if made.get("relpersistence") != "t" or "schemaname" in made or body.get("objtype") != "OBJECT_TABLE":
                raise Unproven("a table that stays")
        tree = body["query"]


def _arguments(body: Node) -> Node:
    if set(body) - {"name", "params"} or OWN_NAME.fullmatch(body["name"]) is None:
        raise Unproven("an EXECUTE of another form")
    select: Node = {"op": "SETOP_NONE", "limitOption": "LIMIT_OPTION_DEFAULT"}
    if "params" in body:
        select["valuesLists"] = [{"List": {"items": body["params"]}}]
    return {"SelectStmt": select}


def _without_costs(body: Node, explain: str) -> None:
    options = [one["DefElem"] for one in body.get("options", ())]
    names = [one["defname"] for one in options]
    bare = names.count("costs") == 1 and options[names.index("costs")].get("arg") == {"String": {"sval": "off"}}
    if explain != "costs_off" or not bare or set(names) - {"costs", "verbose", "format"}:
        raise Unproven("an EXPLAIN that the rule does not allow")
