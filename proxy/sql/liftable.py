"""Which lifted literals become holes: those at places where only the server looks at the value.

The planner decides nothing by the value of an operand, of a VALUES item, of an assigned value or of LIMIT and OFFSET; where a rule
does look at one (a LIKE pattern, a function argument), its hole is taken away again and the plan is kept for that value only.
Shape and token classes fix the tree, so a hole's place is the same in every text of the shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxy.sql.lift import Lifted
from proxy.sql.plan import Forward, LiteralHole, Planned

Node = dict[str, Any]


def mark_literals(tree: Node, lifted: Lifted) -> Node:
    """A copy of the tree whose constants at liftable places carry their LiteralHole."""
    by_offset = {
        offset: LiteralHole(index, kind)
        for index, (offset, kind) in enumerate(zip(lifted.offsets, lifted.kinds, strict=True))
    }
    marked: Node = _copy(tree, by_offset, False)
    return marked


def remaining_literals(planned: Planned) -> frozenset[int]:
    """The literals that are holes in some plan's template and nowhere baked in: free to differ under the same plan."""
    return frozenset(
        hole.index
        for plan in planned.plans
        if isinstance(plan, Forward)
        for hole in plan.template.holes
        if isinstance(hole, LiteralHole)
    )


def _copy(node: Any, holes: dict[int, LiteralHole], liftable: bool) -> Any:
    if isinstance(node, list):
        return [_copy(item, holes, liftable) for item in node]
    if not isinstance(node, dict):
        return node
    constant = node.get("A_Const")
    if constant is not None and len(node) == 1:
        body = dict(constant)
        hole = holes.get(body.get("location", 0)) if liftable else None
        if hole is not None:
            body["_hole"] = hole
        return {"A_Const": body}
    copied: Node = {}
    for name, value in node.items():
        copied[name] = _copy_body(name, value, holes) if isinstance(value, dict | list) else value
    return copied


def _copy_body(name: str, value: Any, holes: dict[int, LiteralHole]) -> Any:
    if name == "A_Expr" and value.get("kind") in OPERATOR_KINDS:
        return {key: _copy(part, holes, key in ("lexpr", "rexpr")) for key, part in value.items()}
    if name in ("limitCount", "limitOffset"):
        return _copy(value, holes, True)
    if name == "valuesLists":
        return [
            {"List": {"items": [_copy(item, holes, True) for item in row["List"].get("items", ())]}} for row in value
        ]
    if name in ("targetList",):
        return value if not value else [_copy_target(item, holes) for item in value]
    return _copy(value, holes, False)


def _copy_target(item: Node, holes: dict[int, LiteralHole]) -> Node:
    return _copy(item, holes, False)  # type: ignore[no-any-return]  # a dict goes in, so a dict comes out


OPERATOR_KINDS: Iterable[str] = frozenset({"AEXPR_OP", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"})
