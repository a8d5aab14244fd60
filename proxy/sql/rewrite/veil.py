"""Veil: what the planner would try out on statistics is hidden from it where no guard stands in front.

To estimate `x.c ~~ 'pattern'` PostgreSQL runs the operator on most common values and histogram bounds of the column
that x.c comes from, through sub-selects and OFFSET 0 too (examine_simple_variable in selfuncs.c). These are values of
every tenant, and an operator that throws on one of them tells that it is there. A guard hides its conjunct, being a
CASE; a level that can name no tenant relation has none, so its conjunct becomes CASE WHEN (SELECT true) THEN conjunct
END, which nothing folds and nothing estimates. A conjunct is calm, and stays as it is, where only comparisons that
cannot throw could be tried out.
"""

from __future__ import annotations

from proxy.sql.rewrite.edit import Edit, case, references
from proxy.sql.scope import Env, Tree, strings
from proxy.sql.types import COMPARISONS, node

TRUTH: Tree = {
    "SubLink": {
        "subLinkType": "EXPR_SUBLINK",
        "subselect": {
            "SelectStmt": {
                "targetList": [
                    {"ResTarget": {"val": {"A_Const": {"boolval": {"boolval": True}, "location": -1}}, "location": -1}}
                ],
                "limitOption": "LIMIT_OPTION_DEFAULT",
                "op": "SETOP_NONE",
            }
        },
        "location": -1,
    }
}


def veiled(edit: Edit, env: Env, conjunct: Tree) -> Tree:
    """The conjunct, under a veil unless it is calm or of shared tables' columns alone."""
    columns, has_sublink = references(conjunct)
    sources = [edit.analysis.types.value(one, env).source for one in columns]
    if not has_sublink and all(one is not None and not one.tenant for one in sources):
        return conjunct
    if calm(edit, env, conjunct):
        return conjunct
    edit.note("row.veil")
    return case(dict(TRUTH), conjunct)


def calm(edit: Edit, env: Env, wrapped: Tree) -> bool:
    """True where the planner can run nothing on statistics but comparisons of like types."""
    name, body = node(wrapped)
    match name:
        case "ColumnRef" | "A_Const" | "ParamRef" | "NullTest":
            return True
        case "BooleanTest":
            return calm(edit, env, body["arg"])
        case "BoolExpr":
            return all(calm(edit, env, one) for one in body["args"])
        case "SubLink":
            return str(body.get("subLinkType")) == "EXISTS_SUBLINK"
        case "A_Expr" if body.get("kind") in ("AEXPR_OP", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"):
            return _comparison(edit, env, body)
        case _:
            return False


def _comparison(edit: Edit, env: Env, body: Tree) -> bool:
    """Tried out is `column operator value`, and = on two columns' values; an expression has no statistics here."""
    operator = strings(body.get("name", [])) or []
    if "lexpr" not in body or not operator or operator[-1] not in COMPARISONS:
        return False
    sides = (body["lexpr"], body["rexpr"])
    if not any(_is_column(one) and _is_known(other) for one, other in (sides, sides[::-1])):
        found = edit.world.catalog.operators.get(operator[-1], ())
        return operator[:-1] == ["pg_catalog"] or all(one.schema == "pg_catalog" for one in found)
    values = [edit.analysis.types.value(one, env) for one in sides]
    return edit.analysis.silence.operator_comparable(operator, *values)


def _is_known(wrapped: Tree) -> bool:
    return _is_column(wrapped) or references(wrapped)[0] == []


def _is_column(wrapped: Tree) -> bool:
    name, body = node(wrapped)
    while name in ("TypeCast", "CollateClause"):
        name, body = node(body["arg"])
    return name == "ColumnRef"
