"""Having: a conjunct that is not silent becomes CASE WHEN count(*) >= 0 THEN conjunct END, so that it stays above
the aggregation (isolation.md 2.5, rule 4), also one with aggregates: they may belong to an outer level."""

from __future__ import annotations

from proxy.sql.rewrite.edit import Edit, case, conjunction, operation, references, string
from proxy.sql.scope import Tree
from proxy.sql.silent import conjuncts


def _grouped() -> Tree:
    count: Tree = {
        "FuncCall": {
            "funcname": [string("pg_catalog"), string("count")],
            "agg_star": True,
            "funcformat": "COERCE_EXPLICIT_CALL",
            "location": -1,
        }
    }
    return operation(">=", count, {"A_Const": {"ival": {}, "location": -1}})


def guard_having(edit: Edit) -> None:
    """Guard the HAVING of every level."""
    for level in edit.analysis.levels:
        for clause in level.clauses:
            if clause.kind != "having":
                continue
            parts = []
            for part in conjuncts(clause.body[clause.key]):
                if edit.analysis.silence.conjunct(part, clause.env):
                    parts.append(part)
                    continue
                columns, has_sublink = references(part)
                level.loud = level.loud or bool(columns) or has_sublink
                parts.append(case(_grouped(), part))
                edit.note("row.having")
            clause.body[clause.key] = conjunction(parts)
