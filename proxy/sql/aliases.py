"""Which columns the names of a statement certainly have, for telling `row.column` from a call of a function."""

from __future__ import annotations

from typing import Any

from proxy.sql.nodes import Nodes
from proxy.sql.world import World

SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


def certain_columns(nodes: Nodes, world: World) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """What each name of a relation is sure to have as columns, whatever the scope it is used in, and every column or
    output name of the statement. A name that anything but a relation also has is left out of the first.
    """
    ctes = {body.get("ctename", "") for body in nodes.of("CommonTableExpr")}
    aliases: dict[str, frozenset[str]] = {}
    every_name: set[str] = set()
    others = {"excluded", "new", "old"} | ctes
    for kind, body in nodes.every:
        if kind == "RangeVar":
            alias = body.get("alias", {})
            name = alias.get("aliasname") or body.get("relname", "")
            visible = world.relation(body.get("schemaname"), body.get("relname", ""))
            if visible is None or ("schemaname" not in body and body.get("relname") in ctes):
                others.add(name)
                continue
            renamed = strings(alias.get("colnames", ()))
            columns = (
                frozenset(renamed + [one.name for one in visible.relation.columns][len(renamed) :]) | SYSTEM_COLUMNS
            )
            aliases[name] = aliases.get(name, columns) & columns
            every_name |= columns
        elif kind == "ResTarget":
            every_name.add(body.get("name", ""))
        elif kind in {"Alias", "CommonTableExpr"}:
            every_name |= {*strings(body.get("colnames", ())), *strings(body.get("aliascolnames", ()))}
        elif kind == "ColumnDef":
            every_name.add(body.get("colname", ""))
        if kind == "JoinExpr" or (kind.startswith("Range") and kind != "RangeVar"):
            others |= {body.get(one, {}).get("aliasname", "") for one in ("alias", "join_using_alias")}
    return {name: columns for name, columns in aliases.items() if name not in others}, frozenset(every_name)


def strings(parts: Any) -> list[str]:
    """The texts of String nodes."""
    return [one["String"].get("sval", "") for one in parts if "String" in one]
