"""Values that become names, where a tenant has a schema beside others': what the server looks up of a text tells
whether a schema exists.

Looked for in the text that is sent, apart from the planner's own list: a cast to one of these types takes a constant
that names no schema but the tenant's world, a parameter, or what the planner has shown to be a catalog's; and
tableoid, which a view may call any number, only behind the question whether it is seen. And nothing is of a type that
is made of such names, whatever it is called, nor declared of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from proxy.catalog.model import Catalog, Type
from proxy.sql.parse import walk
from proxy.sql.verify.levels import Node, Unproven, strings
from proxy.sql.verify.relations import SYSTEM, Relations

QUALIFIED = re.compile(r'("(?:[^"]|"")+"|[^\W\d][\w$]*)\s*\.')

NAMES = frozenset({
    "regclass", "regcollation", "regconfig", "regdatabase", "regdictionary", "regnamespace", "regoper", "regoperator",
    "regproc", "regprocedure", "regrole", "regtype",
})  # fmt: skip


def check_types(tree: Node, relations: Relations) -> None:
    """Unproven where anything is declared of a type whose input looks something up, or cast to one that is made of
    such types.
    """
    for field, names in _types(tree):
        if names[-1].lstrip("_") in NAMES | {"aclitem"} and names[-2:-1] in ([], ["pg_catalog"]):
            if field != "TypeCast":
                raise Unproven(f"something of type {names[-1]}")
        elif any(_is_lookup(one.oid, relations.catalog, set()) for one in _meant(names, relations)):
            raise Unproven(f"a type that is made of names: {names[-1]}")


def check_rows(relation: Node, relations: Relations) -> None:
    """Unproven where rows come into a table with a column of such a type, or it is made like one."""
    schema, name = relation.get("schemaname"), relation.get("relname", "")
    for one in [schema] if schema is not None else relations.policy.path:
        found = relations.catalog.relations.get((one, name))
        if found is not None and any(_is_lookup(column.type, relations.catalog, set()) for column in found.columns):
            raise Unproven(f"a table with columns that are names: {name}")


def _types(tree: Node) -> Iterator[tuple[str, list[str]]]:
    """The names of every type, and the kind of node that it stands in."""
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        above, value = waiting.pop()
        if type(value) is list:
            waiting += [(above, one) for one in value]
        elif type(value) is dict:
            if "typemod" in value and "names" in value:
                yield above, strings(value["names"])
            if "AlterDomainStmt" in value:
                yield "AlterDomainStmt", strings(value["AlterDomainStmt"].get("typeName", ()))
            waiting += [
                (name if name[0] <= "Z" else above, one)
                for name, one in value.items()
                if type(one) is dict or type(one) is list
            ]


def _meant(names: list[str], relations: Relations) -> list[Type]:
    """The types that a name may mean: wherever it is, unless it is the server's."""
    catalog = relations.catalog
    if len(names) > 1:
        schemas = [names[-2]]
    elif ("pg_catalog", names[0]) in catalog.types_by_name:
        schemas = [*SYSTEM, *relations.policy.path]
    else:
        return [one for one in catalog.types.values() if one.name == names[0]]
    return [
        catalog.types_by_name[schema, names[-1]] for schema in schemas if (schema, names[-1]) in catalog.types_by_name
    ]


def _is_lookup(oid: int, catalog: Catalog, seen: set[int]) -> bool:
    one = catalog.types.get(oid)
    if one is None or oid in seen:
        return False
    seen.add(oid)
    if one.schema == "pg_catalog" and (one.name.lstrip("_").startswith("reg") or one.name in ("aclitem", "_aclitem")):
        return True
    row = catalog.relations_by_oid.get(one.relation) if one.relation else None
    within = [one.base, one.element, one.subtype, *(column.type for column in (row.columns if row else ()))]
    return any(_is_lookup(part, catalog, seen) for part in within)


def check_values(tree: Node, relations: Relations) -> None:
    """Unproven where a value may name a schema that is not shown."""
    for name, body in walk(tree):
        if name == "TypeCast":
            kind = strings(body.get("typeName", {}).get("names", ()))[-1:]
            if kind and kind[0].lstrip("_") in NAMES:
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
