"""Update: SET leaves the tenant column as it is: the row would move to another tenant. What the client gives for it
must be the key that it has (given.py); DEFAULT is refused, with the same answer."""

from __future__ import annotations

from proxy.sql.rewrite.edit import Edit
from proxy.sql.rewrite.given import own_output, own_value, refusal
from proxy.sql.scope import Env, Level, Tree
from proxy.sql.types import node
from proxy.sql.world import Visible


def assigned(level: Level) -> list[str]:
    """The columns that SET assigns, also that of ON CONFLICT DO UPDATE and of MERGE."""
    return [str(one["ResTarget"].get("name")) for targets, _ in _lists(level) for one in targets]


def keep_key(edit: Edit) -> None:
    """Check every SET of the tenant column."""
    for level in edit.analysis.levels:
        visible = level.target.visible if level.target is not None else None
        if visible is None or visible.column is None:
            continue
        for targets, env in _lists(level):
            for one in targets:
                if one["ResTarget"].get("name") == visible.column.name:
                    _keep(edit, one["ResTarget"], env, visible)


def _lists(level: Level) -> list[tuple[list[Tree], Env | None]]:
    """Every list of assignments of a level, with what its expressions see."""
    found = [(level.body.get("targetList", []), level.env)] if level.kind == "UpdateStmt" else []
    found += [
        (body.get("targetList", []), env) for body, env in level.actions if body.get("commandType") == "CMD_UPDATE"
    ]
    found += [(one.body.get("targetList", []), one.env) for one in level.clauses if one.kind == "conflict"]
    return found


def _keep(edit: Edit, target: Tree, env: Env | None, visible: Visible) -> None:
    name, body = node(target.get("val", {}))
    if name != "MultiAssignRef":
        target["val"] = own_value(edit, target.get("val", {}), env, visible)
        return
    kind, source = node(body["source"])
    at = int(body.get("colno", 0)) - 1
    if kind == "RowExpr" and 0 <= at < len(source.get("args", [])):
        source["args"][at] = own_value(edit, source["args"][at], env, visible)
    elif kind == "SubLink" and "SelectStmt" in source["subselect"]:
        own_output(edit, source["subselect"]["SelectStmt"], at, visible, refusal(visible), False)
    else:
        raise refusal(visible)
