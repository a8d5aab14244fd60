"""Given: what becomes of a value that the client gives for the tenant column.

Promises: the row gets the key itself, or NULL, whatever the value. A literal is replaced by the key and a parameter
keeps its place beside it; both leave a check that admission.py asks with the value at hand (42501). Any other
expression must provably be the own key already, such as the tenant column of a confined relation. No decision here
looks at a value, so one plan serves all tenants and all literals.
"""

from __future__ import annotations

from proxy.errors import InsufficientPrivilege, Refusal
from proxy.sql.oids import INTEGERS, TEXT, VARCHAR
from proxy.sql.outputs import column_name
from proxy.sql.rewrite.edit import Edit, case, equals, key_constant
from proxy.sql.scope import Env, Tree
from proxy.sql.types import node
from proxy.sql.world import Visible


def refusal(visible: Visible) -> InsufficientPrivilege:
    """The one answer to a value that is not the key."""
    return InsufficientPrivilege(f'new row violates row-level security policy for table "{visible.relation.name}"')


def own_value(edit: Edit, wrapped: Tree, env: Env | None, visible: Visible) -> Tree:
    """What stands for this value; InsufficientPrivilege where it cannot be the key."""
    found = _checked(edit, wrapped, visible) or _proved(edit, wrapped, env, visible)
    if found is None:
        raise refusal(visible)
    return found


def own_output(edit: Edit, select: Tree, at: int, visible: Visible, refused: Refusal, parameters: bool) -> None:
    """The same for an output of a query, in every arm; `refused` where one is not provably the key. parameters:
    whether one may stand there: below a set operation or a sub-link its type does not come from the column."""
    query = edit.analysis.types.queries[id(select)]
    if select.get("op", "SETOP_NONE") != "SETOP_NONE":
        own_output(edit, select["larg"], at, visible, refused, False)
        own_output(edit, select["rarg"], at, visible, refused, False)
        return
    if "valuesLists" in select:
        for row in select["valuesLists"]:
            items = row["List"].get("items", [])
            if at < len(items):
                items[at] = own_value(edit, items[at], query.level.env, visible)
        return
    targets = [one["ResTarget"] for one in select.get("targetList", [])]
    if at < len(targets) and not any(_starred(one["val"]) for one in targets[: at + 1]):
        target = targets[at]
        if not parameters and _is_parameter(target["val"]):
            raise refused
        env = query.level.env
        if _plain_column(edit, target["val"], env, visible):
            return
        found = _checked(edit, target["val"], visible) or _proved(edit, target["val"], env, visible)
        if found is None:
            raise refused
        if "ColumnRef" in target["val"]:
            target.setdefault("name", column_name(target["val"]))  # ORDER BY may name it
        target["val"] = found
        return
    if query.outputs is None or at >= len(query.outputs) or query.outputs[at].value.key != visible.key:
        raise refused


def _checked(edit: Edit, wrapped: Tree, visible: Visible) -> Tree | None:
    """A literal or parameter, cast to the column's type or not cast."""
    name, body = node(wrapped)
    type_ = visible.column.type if visible.column is not None else 0
    if name == "TypeCast":
        given = edit.analysis.types.named_type(body.get("typeName", {}))
        if given is None or body["typeName"].get("typmods") or not _converts(given.oid, type_):
            return None
        type_ = given.oid
        name, body = node(body["arg"])
    if name == "A_Const" and {"sval", "ival", "fval"} & set(body):
        edit.check(visible, type_, body)
        return key_constant(visible)
    if name == "ParamRef":
        edit.check(visible, type_, int(body.get("number", 0)))
        if "TypeCast" not in wrapped:  # ParameterDescription must say what it would have said
            wrapped = {"TypeCast": {**key_constant(visible)["TypeCast"], "arg": wrapped}}
        return _if_own(wrapped, visible)
    return None


def _is_parameter(wrapped: Tree) -> bool:
    name, body = node(wrapped)
    return name == "ParamRef" or (name == "TypeCast" and "ParamRef" in body["arg"])


def _proved(edit: Edit, wrapped: Tree, env: Env | None, visible: Visible) -> Tree | None:
    value = None if env is None else edit.analysis.types.value(wrapped, env)
    if value is None or value.key != visible.key or visible.column is None or value.type != visible.column.type:
        return None
    return _if_own(wrapped, visible)


def _plain_column(edit: Edit, wrapped: Tree, env: Env | None, visible: Visible) -> bool:
    """The tenant column of a relation of this level: nothing has to be said of it."""
    if env is None or "ColumnRef" not in wrapped:
        return False
    value = edit.analysis.types.value(wrapped, env)
    return value.source is not None and value.key == visible.key


def _if_own(wrapped: Tree, visible: Visible) -> Tree:
    """CASE WHEN value = key THEN key END: the key or NULL, which the column does not take."""
    return case(equals(wrapped, key_constant(visible)), key_constant(visible))


def _converts(given: int, wanted: int) -> bool:
    return given == wanted or any(given in one and wanted in one for one in (INTEGERS, {TEXT, VARCHAR}))


def _starred(wrapped: Tree) -> bool:
    return any("A_Star" in one for one in node(wrapped)[1].get("fields", node(wrapped)[1].get("indirection", ())))
