"""What a tree looks like, whatever its relations: questions that need no levels."""

from __future__ import annotations

from typing import Any

from proxy.sql.verify.harmless import Harmless
from proxy.sql.verify.levels import Level, Node, Unproven, strings


def soft(select: Node, harmless: Harmless) -> bool:
    """Every output is harmless, in every arm; VALUES hold literals only, cast or not."""
    if select.get("op", "SETOP_NONE") != "SETOP_NONE":
        return soft(select["larg"], harmless) and soft(select["rarg"], harmless)
    if "valuesLists" in select:
        cells = [one for row in select["valuesLists"] for one in row["List"].get("items", ())]
        return all("A_Const" in one or ("TypeCast" in one and harmless(one)) for one in cells)
    for one in select.get("targetList", ()):
        value = one["ResTarget"]["val"]
        fields = value.get("ColumnRef", {}).get("fields", ())
        if fields and "A_Star" in fields[-1]:
            continue
        if not harmless(value):
            return False
    return True


def tables_only(node: Node) -> bool:
    """Nothing but tables, joins of them and fences in FROM."""
    if "JoinExpr" in node:
        return tables_only(node["JoinExpr"]["larg"]) and tables_only(node["JoinExpr"]["rarg"])
    if "RangeSubselect" in node:  # the one row of a fence
        return not set(node["RangeSubselect"]["subquery"].get("SelectStmt", {"x": 1})) - {"op", "limitOption"}
    return "RangeVar" in node


def references(node: Any) -> tuple[list[list[str]], bool]:
    """The columns that an expression names outside sub-selects, and whether it has one."""
    columns: list[list[str]] = []
    has_link = False
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            for name, body in one.items():
                if name == "ColumnRef":
                    columns.append(strings(body.get("fields", ())))
                elif name == "SubLink":
                    has_link = True
                else:
                    waiting.append(body)
    return columns, has_link


def constant(node: Any) -> bool:
    """No function, no column, no sub-select: the same whatever the row, and computed before any."""
    return not any(word in repr(node) for word in ("'FuncCall'", "'ColumnRef'", "'SubLink'"))


def names_itself(query: Any, name: str) -> bool:
    """Whether a WITH item is recursive in fact."""
    waiting = [query]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            body = one.get("RangeVar")
            if isinstance(body, dict) and "schemaname" not in body and body.get("relname") == name:
                return True
            waiting += one.values()
    return False


def is_ordering(body: Node, catalog: Any) -> bool:
    """An operator of a B-tree class: < <= = >= > under any name."""
    names = strings(body.get("name", ()))
    return bool(names) and names[-1] in catalog.ordering_names


def has_ordering(node: Any, catalog: Any) -> bool:
    """Whether such an operator stands anywhere below."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if "A_Expr" in one and is_ordering(one["A_Expr"], catalog):
                return True
            waiting += one.values()
    return False


def output_names(select: Node, alias: Node) -> frozenset[str]:
    """The columns of a derived table that are certain: those that its alias or its query names outright."""
    renamed = strings(alias.get("colnames", ()))
    while select.get("op", "SETOP_NONE") != "SETOP_NONE":
        select = select["larg"]
    names: list[str | None] = []
    for one in select.get("targetList", ()):
        target = one["ResTarget"]
        fields = target["val"].get("ColumnRef", {}).get("fields", ())
        if fields and "A_Star" in fields[-1]:
            return frozenset(renamed)  # how many columns come before it is not known
        names.append(target.get("name") or (strings(fields)[-1] if fields else None))
    return frozenset([*renamed, *(name for name in names[len(renamed) :] if name is not None)])


def positioned(body: Node, level: Level) -> bool:
    """UPDATE or DELETE WHERE CURRENT OF a named cursor, with no other table. A cursor is made of a query that was
    proved, so the row that it is on is the tenant's own.
    """
    where = body.get("whereClause", {}).get("CurrentOfExpr")
    if where is None:
        return False
    if set(where) != {"cursor_name"} or len(level.items) != 1:
        raise Unproven("WHERE CURRENT OF in another form")
    return True
