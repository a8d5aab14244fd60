"""Numbers: columns whose default draws from a per-tenant sequence are given the tenant's next number.

Promises: where an INSERT or MERGE leaves such a column out or says DEFAULT, the call that the server would make is put
in, of the tenant's own sequence; where the number of calls would not be that of the rows, the statement is refused.
A key over such a column must hold the tenant column, for every tenant counts from one. Runs after the key was supplied,
so that columns and rows are there."""

from __future__ import annotations

from proxy.errors import FeatureNotSupported
from proxy.sql.rewrite.edit import Edit, into
from proxy.sql.scope import Tree
from proxy.sql.sequences import next_number
from proxy.sql.world import Visible

HINT = "Give the column a value: nextval() of its sequence."


def supply_numbers(edit: Edit) -> None:
    """Put the tenant's next number into every new row of a table that has such a column."""
    for level in edit.analysis.levels:
        visible = level.target.visible if level.target is not None else None
        if visible is None or not visible.numbers:
            continue
        if level.kind == "InsertStmt":
            _check_keys(visible)
            _supply(level.body, visible)
            edit.note("shared.number")
        for action, _ in level.actions:
            if action.get("commandType") == "CMD_INSERT":
                _check_keys(visible)
                _give(action["targetList"], [action.setdefault("values", [])], visible)
                edit.note("shared.number")
        _refuse_default([*level.body.get("targetList", []), *_assignments(level.body)], visible)
        for action, _ in level.actions:
            if action.get("commandType") == "CMD_UPDATE":
                _refuse_default(action.get("targetList", []), visible)


def _check_keys(visible: Visible) -> None:
    relation, own = visible.relation, visible.column
    numbers = {column.number for name, _ in visible.numbers if (column := relation.column(name)) is not None}
    for key in relation.keys:
        if own is not None and numbers & set(key.columns) and own.number not in key.columns:
            raise FeatureNotSupported(
                f'table "{relation.name}" cannot be given numbers of the tenant\'s own: '
                f'its key "{key.name}" does not contain the tenant column',
                hint="Add the tenant column to the key.",
            )


def _assignments(body: Tree) -> list[Tree]:
    found: list[Tree] = body.get("onConflictClause", {}).get("targetList", [])
    return found


def _refuse_default(targets: list[Tree], visible: Visible) -> None:
    names = {name for name, _ in visible.numbers}
    for one in targets:
        target = one.get("ResTarget", {})
        if target.get("name") in names and "SetToDefault" in target.get("val", {}):
            raise FeatureNotSupported(f'column "{target["name"]}" cannot be set to DEFAULT here', hint=HINT)


def _supply(body: Tree, visible: Visible) -> None:
    select = body["selectStmt"]["SelectStmt"]
    if "valuesLists" in select:
        _give(body["cols"], [row["List"].setdefault("items", []) for row in select["valuesLists"]], visible)
        return
    given = {one["ResTarget"]["name"] for one in body["cols"]}
    for name, key in visible.numbers:
        if name in given:
            continue
        if select.get("op", "SETOP_NONE") != "SETOP_NONE" or "distinctClause" in select:
            raise FeatureNotSupported(f'column "{name}" cannot be given a number for the rows of this query', hint=HINT)
        body["cols"].append(into(name))
        select.setdefault("targetList", []).append({"ResTarget": {"val": next_number(key), "location": -1}})


def _give(columns: list[Tree], rows: list[list[Tree]], visible: Visible) -> None:
    names = [one["ResTarget"]["name"] for one in columns]
    for name, key in visible.numbers:
        if name not in names:
            columns.append(into(name))
            for row in rows:
                row.append(next_number(key))
            continue
        at = names.index(name)
        for row in rows:
            if at < len(row) and "SetToDefault" in row[at]:
                row[at] = next_number(key)
