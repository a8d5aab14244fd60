"""Stand-ins: what takes the place of calls that would tell of the server connection, or of everybody's rows.

current_query() would name the rewritten text: the client's own takes its place. Sizes count every tenant's rows: of
what a catalog lists they are NULL, which PostgreSQL says of what it does not know, and by name they are refused
elsewhere. The data is that of catalogs.py; arguments go with the call, so nothing can be asked by them. verify lets no
such call through.
"""

from __future__ import annotations

from typing import Any

from proxy.sql.catalogs import parsed, rules
from proxy.sql.parse import walk
from proxy.sql.world import World

Node = dict[str, Any]
PLAIN = frozenset({"funcname", "args", "funcformat", "location"})


def stand_in(tree: Node, world: World) -> Node:
    """The statement with every plain call of such a function replaced. The input is not changed."""
    if not any(name == "FuncCall" and _stands_for(body) for name, body in walk(tree)):
        return tree
    found: Node = _copy(tree, world)
    return found


def _copy(node: Any, world: World) -> Any:
    if isinstance(node, list):
        return [_copy(one, world) for one in node]
    if not isinstance(node, dict):
        return node
    if "FuncCall" in node:
        value = _stands_for(node["FuncCall"])
        if value is not None:
            return _parsed(value, world)
    if "ResTarget" in node and "name" not in node["ResTarget"]:
        call = node["ResTarget"].get("val", {}).get("FuncCall", {})
        value = _stands_for(call)
        if value is not None:  # the column keeps the name that the call gave it
            name = call["funcname"][-1]["String"]["sval"]
            return {"ResTarget": {**node["ResTarget"], "name": name, "val": _parsed(value, world)}}
    if "RangeFunction" in node:
        return node  # FROM takes calls only; what would be one is refused there
    return {name: _copy(value, world) for name, value in node.items()}


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
