"""Statements that wrap a query: DECLARE CURSOR, PREPARE, EXPLAIN, CREATE TABLE AS, COPY (query); and EXECUTE, whose
arguments are looked at as the VALUES of a query.

Promises: the table of wrappers is total, each with all the fields that it may have; what lies within is confined as
if it stood alone, and the wrapper is printed around it. What a wrapper does is classify's business; here nothing but
its query is looked at. The verifier has a table of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.errors import FeatureNotSupported

Node = dict[str, Any]

QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})

# Node -> the fields that it may have. The query stands in `query`, and may be a wrapper again.
WRAPPERS: Mapping[str, frozenset[str]] = {
    "DeclareCursorStmt": frozenset({"portalname", "options", "query"}),
    "PrepareStmt": frozenset({"name", "argtypes", "query"}),
    "ExplainStmt": frozenset({"options", "query"}),
    "CreateTableAsStmt": frozenset({"query", "into", "objtype", "if_not_exists"}),
    "CopyStmt": frozenset({"query", "options"}),
}
EXECUTE = frozenset({"name", "params"})


def query_in(tree: Node) -> Node | None:
    """The query that a statement is or wraps; None where there is none. FeatureNotSupported for an unknown field."""
    ((name, body),) = tree.items()
    if name in QUERIES:
        return tree
    if name == "ExecuteStmt":
        _require(body, EXECUTE)
        return {"SelectStmt": _values(body.get("params", []))}
    fields = WRAPPERS.get(name)
    if fields is None or "query" not in body:
        return None
    _require(body, fields)
    return query_in(body["query"])


def with_query(tree: Node, query: Node) -> Node:
    """The statement with another query in that place. The input is not changed."""
    ((name, body),) = tree.items()
    if name in QUERIES:
        return query
    if name == "ExecuteStmt":
        rows = query["SelectStmt"].get("valuesLists", ())
        return {name: {**body, **({"params": rows[0]["List"]["items"]} if rows else {})}}
    return {name: {**body, "query": with_query(body["query"], query)}}


def _require(body: Node, fields: frozenset[str]) -> None:
    if set(body) - fields:
        raise FeatureNotSupported("this form of the statement is not supported")


def _values(expressions: list[Node]) -> Node:
    rows = {"valuesLists": [{"List": {"items": expressions}}]} if expressions else {}
    return {**rows, "limitOption": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}
