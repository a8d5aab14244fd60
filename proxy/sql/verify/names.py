"""Values that become names, where a tenant has a schema beside others': what the server looks up of a text tells
whether a schema exists.

Looked for in the text that is sent, apart from the planner's own list: a cast to one of these types takes a constant
that names no schema but the tenant's world, a parameter, or what the planner has shown to be a catalog's; and
tableoid, which a view may call any number, only behind the question whether it is seen.
"""

from __future__ import annotations

import re
from typing import Any

from proxy.sql.parse import walk
from proxy.sql.verify.levels import Node, Unproven, strings
from proxy.sql.verify.relations import Relations

QUALIFIED = re.compile(r'("(?:[^"]|"")+"|[^\W\d][\w$]*)\s*\.')


def check_values(tree: Node, relations: Relations) -> None:
    """Unproven where a value may name a schema that is not shown."""
    for name, body in walk(tree):
        if name == "TypeCast":
            kind = strings(body.get("typeName", {}).get("names", ()))[-1:]
            if kind and kind[0].lstrip("_").startswith("reg"):
                _check(body.get("arg", {}), relations, "arrayBounds" in body["typeName"] or kind[0].startswith("_"))


def _check(argument: Node, relations: Relations, is_array: bool) -> None:
    while set(argument) == {"TypeCast"}:
        argument = argument["TypeCast"].get("arg", {})
    text: Any = argument.get("A_Const", {}).get("sval", {}).get("sval")
    if text is not None:
        for found in QUALIFIED.findall(text):
            schema = found[1:-1].replace('""', '"') if found[0] == '"' else found.lower()
            if not relations.is_seen(schema):
                raise Unproven("a constant that names a schema which is not shown")
        return
    if is_array and not {"A_Const", "ParamRef"} & set(argument):
        raise Unproven("names in an array")
    fields = strings(argument.get("ColumnRef", {}).get("fields", ())) if "ColumnRef" in argument else []
    if fields[-1:] == ["tableoid"]:
        raise Unproven("tableoid that may be any number")
