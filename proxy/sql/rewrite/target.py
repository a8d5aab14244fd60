"""Target: what INSERT, UPDATE and DELETE may change. Shared relations and catalogs are read only, with PostgreSQL's
text for a missing grant."""

from __future__ import annotations

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.rewrite.edit import Edit


def check_targets(edit: Edit) -> None:
    """Raise InsufficientPrivilege for a shared target, FeatureNotSupported for a view or a table with rules."""
    for level in edit.analysis.levels:
        visible = level.target.visible if level.target is not None else None
        if visible is None:
            continue
        relation = visible.relation
        if visible.access in ("shared", "catalog"):
            kind = {"v": "view", "m": "materialized view"}.get(relation.kind, "table")
            raise InsufficientPrivilege(f"permission denied for {kind} {relation.name}")
        if visible.access == "view":
            raise FeatureNotSupported(f'view "{relation.name}" cannot be changed', hint="Change its table.")
        if relation.rules and visible.access != "own":
            raise FeatureNotSupported(f'table "{relation.name}" has rules, which cannot be confined')
