"""Which lifted literals become holes: those at places where only the server looks at the value.

The planner decides nothing by the value of an operand, of a VALUES item, of an assigned value or of LIMIT and OFFSET;
where a rule
does look at one (a LIKE pattern, a function argument), its hole is taken away again and the plan is kept for that
value only.
Shape and token classes fix the tree, so a hole's place is the same in every text of the shape.
"""

from __future__ import annotations

from typing import Any

from proxy.sql.lift import Lifted
from proxy.sql.plan import Forward, LiteralHole, Planned

Node = dict[str, Any]
Holes = dict[int, LiteralHole]
OPERATOR_KINDS = frozenset({
    "AEXPR_OP", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT", "AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN",
    "AEXPR_OP_ANY", "AEXPR_OP_ALL",
})  # fmt: skip
# Casts of a literal to these types: the server alone looks at its value. Not bool, whose literals are printed as words.
CAST_TYPES = frozenset({
    "bpchar", "bytea", "cidr", "date", "float4", "float8", "inet", "int2", "int4", "int8", "interval", "json", "jsonb",
    "macaddr", "numeric", "text", "time", "timestamp", "timestamptz", "timetz", "uuid", "varchar",
})  # fmt: skip


def mark_literals(tree: Node, lifted: Lifted) -> Node:
    """A copy of the tree whose constants at liftable places carry their LiteralHole."""
    by_offset = {
        offset: LiteralHole(index, kind)
        for index, (offset, kind) in enumerate(zip(lifted.offsets, lifted.kinds, strict=True))
    }
    marked: Node = _copy(tree, by_offset, False)
    return marked


def without_holes(tree: Any, sensitive: set[int]) -> Any:
    """The tree with the holes of the literals at these byte offsets taken away: their values decided something."""
    if not sensitive:
        return tree
    if isinstance(tree, list):
        return [without_holes(item, sensitive) for item in tree]
    if not isinstance(tree, dict):
        return tree
    hole = tree.get("_hole")
    if isinstance(hole, LiteralHole) and tree.get("location", 0) in sensitive:
        return {name: value for name, value in tree.items() if name != "_hole"}
    return {name: without_holes(value, sensitive) for name, value in tree.items()}


def remaining_literals(planned: Planned) -> frozenset[int]:
    """The literals that are holes in some plan's template, or asked for at admission, and nowhere baked in: free to
    differ under the same plan.
    """
    return frozenset(
        hole.index
        for plan in planned.plans
        if isinstance(plan, Forward)
        for hole in (*plan.template.holes, *(one.value for one in plan.checks))
        if isinstance(hole, LiteralHole)
    )


def _copy(node: Any, holes: Holes, liftable: bool) -> Any:
    if isinstance(node, list):
        return [_copy(item, holes, liftable) for item in node]
    if not isinstance(node, dict):
        return node
    constant = node.get("A_Const")
    if constant is not None:
        hole = holes.get(constant.get("location", 0)) if liftable else None
        return {"A_Const": constant if hole is None else {**constant, "_hole": hole}}
    if liftable and "TypeCast" in node:
        body = node["TypeCast"]
        names = [one["String"].get("sval") for one in body.get("typeName", {}).get("names", ())]
        plain = names[-1:] and names[-1] in CAST_TYPES and names[:-1] in ([], ["pg_catalog"])
        if plain and "A_Const" in body.get("arg", {}):
            return {"TypeCast": {**body, "arg": _copy(body["arg"], holes, True)}}
    return {name: _copy_body(name, value, holes) for name, value in node.items()}


def _copy_body(name: str, value: Any, holes: Holes) -> Any:
    if name == "A_Expr":
        operands = ("lexpr", "rexpr") if value.get("kind") in OPERATOR_KINDS else ()
        return {
            key: _operand(part, holes) if key in operands else _copy(part, holes, False) for key, part in value.items()
        }
    if name in ("UpdateStmt", "onConflictClause"):
        return {
            key: _assignments(part, holes) if key == "targetList" else _copy({key: part}, holes, False)[key]
            for key, part in value.items()
        }
    if name == "MergeWhenClause":
        return {
            key: _assignments(part, holes) if key == "targetList" else _copy(part, holes, key == "values")
            for key, part in value.items()
        }
    if name == "valuesLists":
        return [{"List": {"items": _copy(row["List"].get("items", []), holes, True)}} for row in value]
    return _copy(value, holes, name in ("limitCount", "limitOffset"))


def _operand(node: Any, holes: Holes) -> Any:
    """An operand itself, or the items of a list or an array that is one."""
    if "List" in node:
        return {"List": {**node["List"], "items": [_copy(one, holes, True) for one in node["List"].get("items", [])]}}
    if "A_ArrayExpr" in node:
        elements = [_copy(one, holes, True) for one in node["A_ArrayExpr"].get("elements", [])]
        return {"A_ArrayExpr": {**node["A_ArrayExpr"], "elements": elements}}
    return _copy(node, holes, True)


def _assignments(targets: list[Node], holes: Holes) -> list[Node]:
    """SET column = value: the value itself is a liftable place."""
    return [
        {"ResTarget": {key: _copy(part, holes, key == "val") for key, part in one["ResTarget"].items()}}
        for one in targets
    ]
