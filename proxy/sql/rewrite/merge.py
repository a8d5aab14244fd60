"""Merge: MERGE reads and changes own rows of its target only, and its new rows have the tenant's key (isolation.md 1.2
and 2.5, rule 7).

The target's predicate stands in ON, so that another tenant's row never matches. WHEN NOT MATCHED BY SOURCE meets every
such row: its condition begins with the predicate, and the rest is guarded. The sources are fenced by placement.py.
"""

from __future__ import annotations

from proxy.sql.rewrite.edit import Edit, conjunction, into, key_constant
from proxy.sql.rewrite.given import own_value
from proxy.sql.rewrite.guards import guarded
from proxy.sql.scope import Env, Level, Tree
from proxy.sql.silent import conjuncts
from proxy.sql.world import Visible


def confine_merges(edit: Edit) -> None:
    """Confine every MERGE into a tenant relation."""
    for level in edit.analysis.levels:
        target = level.target
        if level.kind != "MergeStmt" or target is None or target.visible is None or target.visible.column is None:
            continue
        own = edit.predicate(target, level.env)
        level.body["joinCondition"] = conjunction([own, level.body["joinCondition"]])
        for action, env in level.actions:
            if action.get("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE":
                _keep_to_own(edit, level, action, env)
            if action.get("commandType") == "CMD_INSERT":
                _supply(edit, action, env, target.visible)
        edit.note("row.merge")


def inserted(level: Level, visible: Visible) -> list[str]:
    """The columns that MERGE's inserts give values other than DEFAULT, the tenant column aside."""
    found = []
    for action, _ in level.actions:
        if action.get("commandType") == "CMD_INSERT":
            for name, value in zip(_columns(action, visible), action.get("values", []), strict=False):
                if "SetToDefault" not in value and visible.column is not None and name != visible.column.name:
                    found.append(name)
    return found


def _columns(action: Tree, visible: Visible) -> list[str]:
    """The target columns: as listed, or the first of the table's."""
    if action.get("targetList"):
        return [str(one["ResTarget"]["name"]) for one in action["targetList"]]
    return [one.name for one in visible.relation.columns][: len(action.get("values", []))]


def _supply(edit: Edit, action: Tree, env: Env, visible: Visible) -> None:
    if visible.column is None:  # asked for confined targets only
        raise AssertionError("a key for a relation that is not confined")
    names = _columns(action, visible)
    values = action.setdefault("values", [])
    if not action.get("targetList"):
        action["targetList"] = [into(one) for one in names]
    if visible.column.name not in names:
        action["targetList"].append(into(visible.column.name))
        values.append(key_constant(visible))
        return
    at = names.index(visible.column.name)
    if at < len(values):
        given = values[at]
        values[at] = key_constant(visible) if "SetToDefault" in given else own_value(edit, given, env, visible)


def _keep_to_own(edit: Edit, level: Level, action: Tree, env: Env) -> None:
    if level.target is None:
        raise AssertionError("a MERGE without a target")
    parts = [edit.predicate(level.target, env)]
    for part in conjuncts(action["condition"]) if "condition" in action else []:
        if edit.analysis.silence.conjunct(part, env):
            parts.append(part)
        else:
            parts.append(guarded(edit, level, env, part))
            level.loud = True
            edit.note("row.guard")
    action["condition"] = conjunction(parts)
