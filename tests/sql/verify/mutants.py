"""Mutants: a confined tree with one thing changed. Those of the second half of CHANGES are never harmless; those of the
first half may be, where what they took away was not needed: `python -m tests.equivalence.mutate` asks a real server.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import orjson

Node = dict[str, Any]
# A node that any change acts on has one of these.
PLACES = frozenset({
    "whereClause", "quals", "joinCondition", "RangeVar", "relation", "sourceRelation", "CaseExpr", "limitOffset",
    "ctematerialized", "JoinExpr", "fromClause", "TypeCast", "jointype", "funcname", "matchKind", "mergeWhenClauses",
    "targetList", "condition", "RangeSubselect", "cols",
})  # fmt: skip
TRUE = {"A_Const": {"boolval": {"boolval": True}}}


def mutants(tree: Node, names: Collection[str] | None = None) -> Iterator[tuple[str, Node]]:
    """Every mutant by these changes, or by all, with the name of what was done to it."""
    printed = orjson.dumps(tree)
    for at, node in enumerate(_nodes(tree)):
        if not PLACES & node.keys():
            continue
        here = orjson.dumps(node)
        for name, change in CHANGES.items():
            if (names is None or name in names) and change(orjson.loads(here)):
                mutant = orjson.loads(printed)
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
    value = clauses[0]["CaseWhen"]["expr"].get("A_Expr", {}).get("lexpr", {})
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


def _guard(node: Node) -> Node | None:
    """The body of a CASE that is a guard: one arm, no ELSE."""
    body = node.get("CaseExpr")
    if not isinstance(body, dict) or len(body.get("args", ())) != 1 or {"arg", "defresult"} & set(body):
        return None
    test = repr(body["args"][0]["CaseWhen"]["expr"])
    return body if "IS_NOT_FALSE" in test or "agg_star" in test else None


def _guard_dropped(node: Node) -> bool:
    body = _guard(node)
    if body is None:
        return False
    result = body["args"][0]["CaseWhen"]["result"]
    node.clear()
    node.update(result)
    return True


def _guard_lessened(node: Node) -> bool:
    """The guard forgets one of its relations."""
    body = _guard(node)
    tests = body["args"][0]["CaseWhen"]["expr"].get("BoolExpr", {}).get("args", []) if body else []
    if len(tests) < 2:
        return False
    tests.pop(0)
    return True


def _boundary_dropped(node: Node) -> bool:
    if node.get("limitOffset") != {"A_Const": {"ival": {}, **_place(node.get("limitOffset"))}} or "limitCount" in node:
        return False
    del node["limitOffset"]
    node["limitOption"] = "LIMIT_OPTION_DEFAULT"
    return True


def _place(constant: Any) -> Node:
    at = constant.get("A_Const", {}).get("location") if isinstance(constant, dict) else None
    return {} if at is None else {"location": at}


def _materialized(how: str) -> Any:
    def change(node: Node) -> bool:
        if node.get("ctematerialized") != "CTEMaterializeAlways":
            return False
        node["ctematerialized"] = how
        return True

    return change


def _fence_dropped(node: Node) -> bool:
    """(t JOIN (SELECT) AS _iso1 ON predicate) becomes t."""
    body = node.get("JoinExpr")
    select = body.get("rarg", {}).get("RangeSubselect", {}).get("subquery", {}).get("SelectStmt") if body else None
    if select is None or set(select) - {"op", "limitOption"}:
        return False
    left = body["larg"]  # type: ignore[index]  # select came out of it
    node.clear()
    node.update(left)
    return True


def _joins(items: Any) -> list[Node]:
    """The joins of a FROM clause, the outer ones first."""
    found: list[Node] = []
    waiting = list(items)
    while waiting:
        body = waiting.pop(0).get("JoinExpr")
        if body is not None:
            found.append(body)
            waiting += [body["larg"], body["rarg"]]
    return found


def _and(holder: Node, name: str, more: Node) -> None:
    present = holder.get(name)
    holder[name] = more if present is None else {"BoolExpr": {"boolop": "AND_EXPR", "args": [present, more]}}


def _taken(holder: Node, name: str) -> Node | None:
    """Takes the first predicate out of a clause; TRUE stays."""
    clause: Node = {"whereClause": holder.get(name)}
    for place, key in _conjunct(clause):
        taken: Node = place[key]  # type: ignore[index]  # a dict by name or a list by number
        place[key] = TRUE  # type: ignore[index]  # as above
        holder[name] = clause["whereClause"]
        return taken
    return None


def _from_on_to_where(node: Node) -> bool:
    for join in _joins(node.get("fromClause", ())):
        taken = _taken(join, "quals")
        if taken is not None:
            _and(node, "whereClause", taken)
            return True
    return False


def _from_where_to_on(node: Node) -> bool:
    joins = [one for one in _joins(node.get("fromClause", ())) if "quals" in one]
    taken = _taken(node, "whereClause") if joins and "whereClause" in node else None
    if taken is None:
        return False
    _and(joins[0], "quals", taken)
    return True


def _aliases(items: Any) -> list[str]:
    found: list[str] = []
    for one in items:
        for name, body in one.items():
            if name == "JoinExpr":
                found += _aliases([body["larg"], body["rarg"]])
            elif name == "RangeVar":
                found.append(body.get("alias", {}).get("aliasname", body["relname"]))
    return found


def _alias_swapped(node: Node) -> bool:
    """The predicate of one relation is put on another of the same FROM."""
    names = _aliases(node.get("fromClause", ()))
    for holder, key in _conjunct({"whereClause": node.get("whereClause")}):
        fields = holder[key]["A_Expr"]["lexpr"]["ColumnRef"]["fields"]  # type: ignore[index]  # as above
        others = [one for one in names if one != fields[0]["String"]["sval"]]
        if others and len(fields) == 2:
            fields[0]["String"]["sval"] = others[0]
            return True
    return False


def _relation_added(node: Node) -> bool:
    if "fromClause" not in node or "targetList" not in node:
        return False
    more = {"schemaname": "public", "relname": "notes", "inh": True, "relpersistence": "p"}
    node["fromClause"].append({"RangeVar": {**more, "alias": {"aliasname": "_more"}}})
    return True


def _not_null(predicate: Node) -> Node:
    return {"NullTest": {"arg": predicate["A_Expr"]["lexpr"], "nulltesttype": "IS_NOT_NULL"}}


def _row_key(node: Node) -> bool:
    """The key of a new row is another's."""
    cast = node.get("TypeCast", {})
    constant = cast.get("arg", {}).get("A_Const", {}).get("sval", {})
    if constant.get("sval") != "1" or cast.get("typeName", {}).get("names", [{}])[-1] != {"String": {"sval": "int4"}}:
        return False
    constant["sval"] = "2"
    return True


CHANGES = {
    "a guard is dropped": _guard_dropped,
    "a guard forgets a relation": _guard_lessened,
    "a boundary is dropped": _boundary_dropped,
    "a CTE is inlined": _materialized("CTEMaterializeNever"),
    "a CTE is left to the planner": _materialized("CTEMaterializeDefault"),
    "a fence is dropped": _fence_dropped,
    "the predicate goes from ON to WHERE": _from_on_to_where,
    "the predicate goes from WHERE to ON": _from_where_to_on,
    "the predicate is another relation's": _alias_swapped,
    "one more relation": _relation_added,
    "the column is any": lambda node: _replace(node, _not_null),
    "a key of the statement is another's": _row_key,
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

ALWAYS_UNSAFE = frozenset(list(CHANGES)[list(CHANGES).index("the predicate is true") :])
