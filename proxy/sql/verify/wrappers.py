"""Statements that wrap a query, as the verifier knows them: the query that must be proved.

A table of its own: a field or statement that is not in it is not proved. A table that is made is a temporary one, and
a copy goes to the client.
"""

from __future__ import annotations

from proxy.sql.verify.levels import Node, Unproven

KNOWN = {
    "DeclareCursorStmt": {"portalname", "options", "query"},
    "PrepareStmt": {"name", "argtypes", "query"},
    "ExplainStmt": {"options", "query"},
    "CreateTableAsStmt": {"query", "into", "objtype", "if_not_exists"},
    "CopyStmt": {"query", "options"},
}


def query_of(tree: Node) -> Node:
    """What a statement wraps, or the statement itself."""
    while True:
        ((name, body),) = tree.items()
        fields = KNOWN.get(name)
        if fields is None:
            return tree
        if "query" not in body or set(body) - fields:
            raise Unproven(f"a {name} of another form")
        if name == "CreateTableAsStmt":
            made = body["into"]["rel"]
            if made.get("relpersistence") != "t" or "schemaname" in made or body.get("objtype") != "OBJECT_TABLE":
                raise Unproven("a table that stays")
        tree = body["query"]
