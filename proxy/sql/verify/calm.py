"""Calm: what the planner may try out on statistics, which hold values of every tenant, must not throw.

PostgreSQL runs operators of WHERE and ON on most common values and histogram bounds at plan time, through sub-selects
too. It looks through AND, OR and NOT, and into nothing else: what stands below a CASE is never tried out. Source:
clausesel.c and selfuncs.c of PostgreSQL.
"""

from __future__ import annotations

from proxy.sql.verify.harmless import COMPARE, Harmless
from proxy.sql.verify.levels import Node, strings
from proxy.sql.verify.shapes import constant

COMPARISONS = frozenset({"AEXPR_OP", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"})


def calm(part: Node, harmless: Harmless) -> bool:
    """True for a condition of which the planner can try out nothing but comparisons, or nothing at all."""
    ((name, body),) = part.items()
    if constant(part) or name in {"ColumnRef", "A_Const", "ParamRef", "NullTest"}:
        return True
    if name == "CaseExpr":
        return _is_veil(body)
    if name == "BooleanTest":
        return calm(body["arg"], harmless)
    if name == "BoolExpr":
        return all(calm(one, harmless) for one in body["args"])
    if name == "SubLink":
        return str(body.get("subLinkType")) == "EXISTS_SUBLINK"
    if name != "A_Expr" or body.get("kind", "AEXPR_OP") not in COMPARISONS:
        return False
    named = strings(body.get("name", ()))
    return (
        named[-1] in COMPARE
        and named[:-1] in ([], ["pg_catalog"])
        and "lexpr" in body
        and harmless.like(named, body["lexpr"], body["rexpr"])
    )


def _is_veil(body: Node) -> bool:
    """CASE WHEN (SELECT true) THEN … END: neither folded nor estimated."""
    clauses = body.get("args", ())
    if len(clauses) != 1 or "arg" in body or "defresult" in body:
        return False
    link = clauses[0]["CaseWhen"]["expr"].get("SubLink", {})
    select = link.get("subselect", {}).get("SelectStmt", {})
    targets = select.get("targetList", ())
    return (
        link.get("subLinkType") == "EXPR_SUBLINK"
        and not set(select) - {"targetList", "limitOption", "op"}
        and len(targets) == 1
        and bool(targets[0]["ResTarget"]["val"].get("A_Const", {}).get("boolval", {}).get("boolval"))
    )
