"""Locking: FOR UPDATE and FOR SHARE lock own rows only. A lock on a shared row would make other tenants wait."""

from __future__ import annotations

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.rewrite.edit import Edit
from proxy.sql.scope import Level, Query, Source


def refuse_foreign_locks(edit: Edit) -> None:
    """Raise InsufficientPrivilege where a locking clause reaches a shared relation, FeatureNotSupported where it
    reaches a view."""
    for level in edit.analysis.levels:
        for one in level.body.get("lockingClause", []):
            named = [name["RangeVar"].get("relname") for name in one["LockingClause"].get("lockedRels", [])]
            for source in level.sources:
                if not named or source.alias in named:
                    if named and source.kind == "join":
                        raise FeatureNotSupported("FOR UPDATE cannot be applied to a join")
                    _check(source)


def _check(source: Source) -> None:
    if source.kind == "view":
        raise FeatureNotSupported("row locks through a view are not supported", hint="Lock the rows of its table.")
    visible = source.visible
    if visible is not None and visible.access in ("shared", "catalog"):
        raise InsufficientPrivilege(f"permission denied for table {visible.relation.name}")
    if source.kind == "derived" and source.query is not None:
        _check_query(source.query)


def _check_query(query: Query) -> None:
    """A lock on a sub-select is one on every relation in its FROM."""
    waiting: list[Level] = [query.level]
    while waiting:
        level = waiting.pop()
        for source in level.sources:
            _check(source)
        if level.kind == "setop":
            waiting += level.children
