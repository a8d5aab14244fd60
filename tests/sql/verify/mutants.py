"""Mutants: a confined tree with one thing taken away, each of which must not be provable."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]
TRUE = {"A_Const": {"boolval": {"boolval": True}}}


def mutants(tree: Node) -> Iterator[tuple[str, Node]]:
    """Every mutant with the name of what was done to it."""
    for at, node in enumerate(_nodes(tree)):
        for name, change in CHANGES.items():
            if not change(copy.deepcopy(node)):
                continue
            mutant = copy.deepcopy(tree)
            change(_nodes(mutant)[at])
            yield name, mutant


def _nodes(tree: Node) -> list[Node]:
    found: list[Node] = []
    waiting: list[Any] = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found.append(one)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def _predicate(node: Node) -> Node | None:
    """The body of `column OPERATOR(pg_catalog.=) 'key'::type`, where a conjunct is one."""
    body = node.get("A_Expr")
    pinned = body is not None and [one["String"]["sval"] for one in body.get("name", ())] == ["pg_catalog", "="]
    return body if body is not None and pinned and "TypeCast" in body.get("rexpr", {}) else None


def _conjunct(node: Node) -> list[tuple[Node, str | int]]:
    """Where the predicates stand that confine: directly in a WHERE, an ON or an AND of them."""
    places: list[tuple[Node, str | int]] = []
    for name in ("whereClause", "quals", "joinCondition"):
        part = node.get(name)
        if isinstance(part, dict):
            if _predicate(part):
                places.append((node, name))
            elif part.get("BoolExpr", {}).get("boolop") == "AND_EXPR":
                arms = part["BoolExpr"]["args"]
                places += [(arms, at) for at, one in enumerate(arms) if _predicate(one)]
    return places


def _replace(node: Node, by: Any) -> bool:
    places = _conjunct(node)
    for holder, key in places[:1]:
        holder[key] = by(holder[key])  # type: ignore[index]  # a dict by name or a list by number
    return bool(places)


def _edit(node: Node, edit: Any) -> bool:
    places = _conjunct(node)
    for holder, key in places[:1]:
        edit(holder[key]["A_Expr"])  # type: ignore[index]  # as above
    return bool(places)


def _operator(name: list[str]) -> Any:
    return lambda node: _edit(node, lambda body: body.update(name=[{"String": {"sval": one}} for one in name]))


def _other_key(body: Node) -> None:
    body["rexpr"]["TypeCast"]["arg"]["A_Const"]["sval"] = {"sval": "2"}


def _unqualified(body: Node) -> None:
    fields = body["lexpr"]["ColumnRef"]["fields"]
    body["lexpr"]["ColumnRef"]["fields"] = fields[-1:]


def _relation(**changes: str | None) -> Any:
    def change(node: Node) -> bool:
        for place in ("RangeVar", "relation"):
            body = node.get(place)
            if isinstance(body, dict) and body.get("schemaname") == "public":
                for name, value in changes.items():
                    body.pop(name) if value is None else body.update({name: value})
                return True
        return False

    return change


def _guard_true(node: Node) -> bool:
    clauses = node.get("CaseExpr", {}).get("args", ())
    if len(clauses) != 1 or "IS_NOT_FALSE" not in repr(clauses[0]["CaseWhen"]["expr"]):
        return False
    clauses[0]["CaseWhen"]["expr"] = TRUE
    return True


def _unveiled(node: Node) -> bool:
    clauses = node.get("CaseExpr", {}).get("args", ())
    link = clauses[0]["CaseWhen"]["expr"].get("SubLink", {}) if len(clauses) == 1 else {}
    if link.get("subLinkType") != "EXPR_SUBLINK" or "fromClause" in link["subselect"]["SelectStmt"]:
        return False
    result = clauses[0]["CaseWhen"]["result"]
    node.clear()
    node.update(result)
    return True


def _join_turned(node: Node) -> bool:
    turned = {"JOIN_LEFT": "JOIN_RIGHT", "JOIN_RIGHT": "JOIN_LEFT"}.get(node.get("jointype", ""))
    if turned is None or not _conjunct(node):
        return False
    node["jointype"] = turned
    return True


def _columns_turned(node: Node) -> bool:
    columns: list[Any] = node.get("cols") or []
    if node.get("commandType") == "CMD_INSERT":
        columns = node.get("targetList") or []
    columns.reverse()
    return len(columns) > 1


def _key_otherwise(node: Node) -> bool:
    """CASE WHEN value = key THEN key END, with what is not the key for an ELSE."""
    clauses = node.get("CaseExpr", {}).get("args", ())
    if len(clauses) != 1 or "TypeCast" not in clauses[0]["CaseWhen"]["result"]:
        return False
    node["CaseExpr"]["defresult"] = {"A_Const": {"ival": {"ival": 2}}}
    return True


def _key_bare(node: Node) -> bool:
    """The value itself instead of CASE WHEN value = key THEN key END."""
    clauses = node.get("CaseExpr", {}).get("args", ())
    if len(clauses) != 1 or "TypeCast" not in clauses[0]["CaseWhen"]["result"]:
        return False
    value = clauses[0]["CaseWhen"]["expr"]["A_Expr"]["lexpr"]
    node.clear()
    node.update(value)
    return True


def _by_source(node: Node) -> bool:
    """WHEN NOT MATCHED BY SOURCE without its predicate."""
    if node.get("matchKind") != "MERGE_WHEN_NOT_MATCHED_BY_SOURCE":
        return False
    node["condition"] = TRUE
    return True


def _by_source_later(node: Node) -> bool:
    """The same with the predicate behind what it must go before."""
    condition = node.get("condition") or {}
    parts: list[Node] = condition.get("BoolExpr", {}).get("args", [])
    if node.get("matchKind") != "MERGE_WHEN_NOT_MATCHED_BY_SOURCE" or len(parts) < 2:
        return False
    parts.reverse()
    return True


def _source_bare(node: Node) -> bool:
    """A source of MERGE without its fence."""
    fence = node.get("sourceRelation", {}).get("JoinExpr", {})
    if "RangeVar" not in fence.get("larg", {}):
        return False
    node["sourceRelation"] = fence["larg"]
    return True


def _column_left_out(node: Node) -> bool:
    """An INSERT of MERGE without its last column."""
    if node.get("commandType") != "CMD_INSERT" or len(node.get("targetList", ())) < 2:
        return False
    node["targetList"].pop()
    node["values"].pop()
    return True


def _function(*names: str) -> Any:
    def change(node: Node) -> bool:
        if "funcname" in node:
            node["funcname"] = [{"String": {"sval": one}} for one in names]
        return "funcname" in node

    return change


CHANGES = {
    "the predicate is true": lambda node: _replace(node, lambda _: TRUE),
    "or true": lambda node: _replace(node, lambda one: {"BoolExpr": {"boolop": "OR_EXPR", "args": [one, TRUE]}}),
    "not": lambda node: _replace(node, lambda one: {"BoolExpr": {"boolop": "NOT_EXPR", "args": [one]}}),
    "another's key": lambda node: _edit(node, _other_key),
    "a column of whichever relation": lambda node: _edit(node, _unqualified),
    "another operator": _operator(["pg_catalog", "<>"]),
    "whichever operator is first in the path": _operator(["="]),
    "whichever relation is first in the path": _relation(schemaname=None),
    "a hidden relation": _relation(relname="leaky_stats"),
    "another schema": _relation(schemaname="evil"),
    "a guard that is true": _guard_true,
    "a veil lifted": _unveiled,
    "a join turned": _join_turned,
    "the columns of an INSERT turned": _columns_turned,
    "no predicate by source": _by_source,
    "the predicate by source too late": _by_source_later,
    "a source without its fence": _source_bare,
    "a column left out": _column_left_out,
    "another key otherwise": _key_otherwise,
    "the value itself": _key_bare,
    "a function that runs text": _function("query_to_xml"),
    "a hidden function": _function("public", "order_secret"),
}
