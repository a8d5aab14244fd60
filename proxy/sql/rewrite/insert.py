"""Insert: the tenant column of every new row is the tenant's key, supplied here (isolation.md 1.2).

Promises: where the client leaves the column out or says DEFAULT, the key is put in; what it gives is given.py's.
Without a column list the columns are the server's: all in order, only as many as there are expressions."""

from __future__ import annotations

from proxy.errors import FeatureNotSupported
from proxy.sql.rewrite.edit import Edit, into, key_constant
from proxy.sql.rewrite.given import own_output, own_value
from proxy.sql.scope import Level, Query, Tree
from proxy.sql.world import Visible


def supply_key(edit: Edit) -> None:
    """Put the key into every INSERT into a tenant relation."""
    for level in edit.analysis.levels:
        visible = level.target.visible if level.target is not None else None
        if level.kind == "InsertStmt" and visible is not None and visible.column is not None:
            _supply(edit, level.body, visible)
            edit.note("row.insert")


def written(edit: Edit, level: Level, visible: Visible) -> list[str]:
    """The columns that an INSERT gives values other than DEFAULT, the tenant column aside."""
    if "selectStmt" not in level.body:
        return []
    select = level.body["selectStmt"]["SelectStmt"]
    names = _columns(edit, level.body, select, visible)
    rows = [one["List"].get("items", []) for one in select.get("valuesLists", [])]
    found = []
    for at, name in enumerate(names):
        defaults = rows and all(at < len(row) and "SetToDefault" in row[at] for row in rows)
        if not defaults and visible.column is not None and name != visible.column.name:
            found.append(name)
    return found


def _columns(edit: Edit, body: Tree, select: Tree, visible: Visible) -> list[str]:
    """The target columns: as listed, or the first of the table's."""
    if "cols" in body:
        return [str(one["ResTarget"]["name"]) for one in body["cols"]]
    names = [one.name for one in visible.relation.columns]
    if "valuesLists" in select:
        return names[: len(select["valuesLists"][0]["List"].get("items", []))]
    query: Query = edit.analysis.types.queries[id(select)]
    if query.outputs is None:
        raise FeatureNotSupported("the number of columns of this INSERT is not known", hint="Give a column list.")
    return names[: len(query.outputs)]


def _supply(edit: Edit, body: Tree, visible: Visible) -> None:
    column = visible.column
    if column is None:  # asked for confined targets only
        raise AssertionError("a key for a relation that is not confined")
    if "selectStmt" not in body:
        body["cols"] = [into(column.name)]
        row: Tree = {"List": {"items": [key_constant(visible)]}}
        body["selectStmt"] = {
            "SelectStmt": {"valuesLists": [row], "limitOption": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}
        }
        return
    select = body["selectStmt"]["SelectStmt"]
    names = _columns(edit, body, select, visible)
    if "cols" not in body:
        body["cols"] = [into(one) for one in names]
    if column.name not in names:
        body["cols"].append(into(column.name))
        _append(select, visible)
        return
    at = names.index(column.name)
    for row in select.get("valuesLists", []):
        items = row["List"].get("items", [])
        if at < len(items) and "SetToDefault" in items[at]:
            items[at] = key_constant(visible)
        elif at < len(items):
            items[at] = own_value(edit, items[at], edit.analysis.types.queries[id(select)].level.env, visible)
    if "valuesLists" not in select:
        refused = FeatureNotSupported(
            f'column "{column.name}" cannot be given a value here: it is the tenant column',
            hint="Leave it out of the column list.",
        )
        own_output(edit, select, at, visible, refused, True)


def _append(select: Tree, visible: Visible) -> None:
    """Add the key as last column to every arm."""
    if select.get("op", "SETOP_NONE") != "SETOP_NONE":
        _append(select["larg"], visible)
        _append(select["rarg"], visible)
    elif "valuesLists" in select:
        for row in select["valuesLists"]:
            row["List"].setdefault("items", []).append(key_constant(visible))
    else:
        select.setdefault("targetList", []).append({"ResTarget": {"val": key_constant(visible), "location": -1}})


__all__ = ["supply_key", "written"]
