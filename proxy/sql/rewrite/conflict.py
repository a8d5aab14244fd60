"""Conflict: ON CONFLICT DO UPDATE changes own rows only. That every key of the table contains the tenant column,
keys.py has checked."""

from __future__ import annotations

from proxy.sql.rewrite.edit import Edit, conjunction


def confine_conflicts(edit: Edit) -> None:
    """Put the tenant predicate first in the WHERE of every DO UPDATE."""
    for level in edit.analysis.levels:
        clause = next((one for one in level.clauses if one.kind == "conflict"), None)
        if clause is None or clause.body.get("action") != "ONCONFLICT_UPDATE":
            continue
        if level.target is None or not level.target.tenant:
            continue
        own = edit.predicate(level.target, clause.env)
        clause.body["whereClause"] = conjunction(
            [own, *([clause.body["whereClause"]] if "whereClause" in clause.body else [])]
        )
        edit.note("row.conflict")
