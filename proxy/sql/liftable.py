"""Which lifted literals become holes: those at places where only the server looks at the value.

The planner decides nothing by the value of an operand, of a VALUES item, of an assigned value or of LIMIT and OFFSET;
where a rule
does look at one (a LIKE pattern, a function argument), its hole is taken away again and the plan is kept for that
value only.
Shape and token classes fix the tree, so a hole's place is the same in every text of the shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.sql.lift import Lifted
from proxy.sql.nodes import Node, Nodes
from proxy.sql.plan import Forward, LiteralHole, Planned

OPERATOR_KINDS = frozenset({
    "AEXPR_OP", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT", "AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN",
    "AEXPR_OP_ANY", "AEXPR_OP_ALL",
})  # fmt: skip
# Casts of a literal to these types: the server alone looks at its value. Not bool, whose literals are printed as words.
CAST_TYPES = frozenset({
    "bpchar", "bytea", "cidr", "date", "float4", "float8", "inet", "int2", "int4", "int8", "interval", "json", "jsonb",
    "macaddr", "numeric", "text", "time", "timestamp", "timestamptz", "timetz", "uuid", "varchar",
})  # fmt: skip


def mark_literals(nodes: Nodes, lifted: Lifted) -> set[int]:
    """Gives the constants at liftable places their LiteralHole, in the tree itself. Their byte offsets."""
    by_offset = {
        offset: LiteralHole(index, kind)
        for index, (offset, kind) in enumerate(zip(lifted.offsets, lifted.kinds, strict=True))
    }
    marked = set()
    for value in _values(nodes):
        constant = _constant(value)
        hole = None if constant is None else by_offset.get(constant.get("location", -1))
        if constant is not None and hole is not None:
            constant["_hole"] = hole
            marked.add(constant["location"])
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


def _values(nodes: Nodes) -> Iterator[Node]:
    """What stands at liftable places: operands, items of lists, arrays and VALUES, what is assigned, LIMIT, OFFSET."""
    for body in nodes.of("A_Expr"):
        if body.get("kind") in OPERATOR_KINDS:
            for side in ("lexpr", "rexpr"):
                yield from _operands(body.get(side, {}))
    for body in nodes.of("SelectStmt"):
        yield from (body[name] for name in ("limitCount", "limitOffset") if name in body)
        for row in body.get("valuesLists", ()):
            yield from row["List"].get("items", ())
    for kind in ("UpdateStmt", "OnConflictClause", "MergeWhenClause"):
        for body in nodes.of(kind):
            yield from (one["ResTarget"].get("val", {}) for one in body.get("targetList", ()))
            yield from body.get("values", ())


def _operands(node: Node) -> Sequence[Node]:
    """An operand itself, or the items of a list or an array that is one."""
    if "List" in node:
        return node["List"].get("items", ())  # type: ignore[no-any-return]  # a tree
    if "A_ArrayExpr" in node:
        return node["A_ArrayExpr"].get("elements", ())  # type: ignore[no-any-return]  # a tree
    return (node,)


def _constant(node: Node) -> Node | None:
    """The body of a constant, cast to one of CAST_TYPES or not."""
    cast = node.get("TypeCast")
    if cast is not None:
        names = [one["String"].get("sval") for one in cast.get("typeName", {}).get("names", ())]
        if not names or names[-1] not in CAST_TYPES or names[:-1] not in ([], ["pg_catalog"]):
            return None
        node = cast.get("arg", {})
    return node.get("A_Const")
