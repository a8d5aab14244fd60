"""Update: no statement may set the tenant column; the row would move to another tenant. The answer is the same
whatever the value."""

from __future__ import annotations

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.rewrite.edit import Edit
from proxy.sql.scope import Level


def assigned(level: Level) -> list[str]:
    """The columns that SET assigns, also that of ON CONFLICT DO UPDATE."""
    targets = level.body.get("targetList", []) if level.kind == "UpdateStmt" else []
    targets = targets + level.body.get("onConflictClause", {}).get("targetList", [])
    return [str(one["ResTarget"].get("name")) for one in targets]


def refuse_key_assignment(edit: Edit) -> None:
    """Raise InsufficientPrivilege for SET of the tenant column, FeatureNotSupported for WHERE CURRENT OF."""
    for level in edit.analysis.levels:
        visible = level.target.visible if level.target is not None else None
        if visible is None or visible.column is None:
            continue
        if visible.column.name in assigned(level):
            raise InsufficientPrivilege(
                f'new row violates row-level security policy for table "{visible.relation.name}"'
            )
        if "CurrentOfExpr" in level.body.get("whereClause", {}):
            raise FeatureNotSupported("WHERE CURRENT OF is not supported yet")
