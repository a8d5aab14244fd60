"""Stand-ins: what takes the place of calls that would tell of the server connection, or of everybody's rows.

current_query() would name the rewritten text: the client's own takes its place. Sizes count every tenant's rows: of
what a catalog lists they are NULL, which PostgreSQL says of what it does not know, and by name they are refused
elsewhere. The data is that of catalogs.py; arguments go with the call, so nothing can be asked by them. verify lets no
such call through.
"""

from __future__ import annotations

from typing import Any

from proxy.sql.catalogs import parsed, rules
from proxy.sql.nodes import Nodes
from proxy.sql.outputs import still_named
from proxy.sql.settings import showable
from proxy.sql.world import World

Node = dict[str, Any]
NO_TEXT = "NULL::pg_catalog.text"
PLAIN = frozenset({"funcname", "args", "funcformat", "location"})


def stand_in(nodes: Nodes, world: World) -> Node:
    """The statement with every plain call of such a function replaced. The input is not changed."""
    tree = nodes.tree
    if _of_absent_setting(tree):
        (target,) = tree["SelectStmt"]["targetList"]
        nothing = {"ResTarget": {**target["ResTarget"], "name": "set_config", "val": _parsed(NO_TEXT, world)}}
        return {"SelectStmt": {**tree["SelectStmt"], "targetList": [nothing]}}
    if not any(_stands_for(body) or _called_in_from(body, world) for body in nodes.of("FuncCall")):
        return tree
    found: Node = _copy(tree, world)
    return found


def _of_absent_setting(tree: Node) -> bool:
    """SELECT set_config(name, …) FROM pg_settings WHERE name = '…' of a setting that pg_settings does not show: there
    is no row, and so no call. pg_dump asks like this for what its server may not know.
    """
    body = tree.get("SelectStmt", {})
    if set(body) - {"targetList", "fromClause", "whereClause", "limitOption", "op"}:
        return False
    targets = [one["ResTarget"].get("val", {}).get("FuncCall", {}) for one in body.get("targetList", ())]
    tables = [one.get("RangeVar", {}).get("relname") for one in body.get("fromClause", ())]
    test = body.get("whereClause", {}).get("A_Expr", {})
    wanted = test.get("rexpr", {}).get("A_Const", {}).get("sval", {}).get("sval", "")
    if len(targets) != 1 or tables != ["pg_settings"] or test.get("kind") != "AEXPR_OP" or not wanted:
        return False
    column = [{"String": {"sval": "name"}}]
    return (
        [one["String"]["sval"] for one in targets[0].get("funcname", ())]
        in (["set_config"], ["pg_catalog", "set_config"])
        and [one["String"]["sval"] for one in test.get("name", ())] == ["="]
        and test.get("lexpr", {}).get("ColumnRef", {}).get("fields") == column
        and targets[0].get("args", [{}])[0].get("ColumnRef", {}).get("fields") == column
        and not showable(wanted)
    )


def _called_in_from(call: Node, world: World) -> bool:
    """Counters of sequences: in a schema of its own a tenant sees them."""
    if world.policy.schema:
        return False
    return call.get("funcname", [{}])[-1].get("String", {}).get("sval") in rules()["in_from"]


def _copy(node: Any, world: World) -> Any:
    if isinstance(node, list):
        return [_copy(one, world) for one in node]
    if not isinstance(node, dict):
        return node
    if "FuncCall" in node:
        value = _stands_for(node["FuncCall"])
        if value is not None:
            return _parsed(value, world)
    if "RangeFunction" in node:
        return _in_from(node, world)
    copied = {name: _copy(value, world) for name, value in node.items()}
    if "ResTarget" in node:
        copied["ResTarget"] = still_named(copied["ResTarget"], node["ResTarget"])
    return copied


def _in_from(node: Node, world: World) -> Node:
    """FROM takes calls and queries only: what has no query in its place stays, and is refused there."""
    body = node["RangeFunction"]
    calls = [one["List"]["items"][0].get("FuncCall", {}) for one in body.get("functions", ())]
    names = [one["String"].get("sval", "") for one in calls[0].get("funcname", ())] if len(calls) == 1 else [""]
    query = rules()["in_from"].get(names[-1]) if names[:-1] in ([], ["pg_catalog"]) else None
    if world.policy.schema or query is None or set(body) - {"functions", "alias", "lateral"}:
        return node
    return {
        "RangeSubselect": {"subquery": parsed(query, world), "alias": body.get("alias") or {"aliasname": names[-1]}}
    }


def _stands_for(call: Node) -> str | None:
    """What stands in the place of a plain call of a function of pg_catalog; None where the call stays."""
    names = [one["String"].get("sval", "") for one in call.get("funcname", ())]
    if names[:-1] not in ([], ["pg_catalog"]) or not names or set(call) - PLAIN:
        return None
    value: str | None = rules()["functions"].get(names[-1])
    if value is None and "ColumnRef" in next(iter(call.get("args", ())), {}):
        value = rules()["of_columns"].get(names[-1])
    return value


def _parsed(value: str, world: World) -> Node:
    select = parsed(f"SELECT {value}", world)
    tree: Node = select["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    return tree
