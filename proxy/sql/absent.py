"""Absent: the server's words for a function that does not exist, which name the types of its arguments.

permit refuses a hidden function before names are resolved; here the statement is resolved for the types, as far as
they are certain. The refusal stays whatever is found. Source: PostgreSQL, parse_func.c and format_type.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.catalog.model import Type
from proxy.errors import Refusal, UndefinedFunction
from proxy.sql.resolve import Analysis, resolve
from proxy.sql.scope import Env, Level, Tree, Value, strings
from proxy.sql.types import node
from proxy.sql.world import World

# format_type.c spells these otherwise than pg_type.typname
SPELT = {
    "bool": "boolean",
    "bpchar": "character",
    "float4": "real",
    "float8": "double precision",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone",
    "varbit": "bit varying",
    "varchar": "character varying",
}


def with_types(refusal: UndefinedFunction, tree: Tree, world: World, parameter_types: Sequence[int]) -> Refusal:
    """The same refusal with the argument types as the server prints them; as it is where they are not known. A name
    that the server would miss before the function is refused instead.
    """
    try:
        analysis = resolve(tree, world, parameter_types)
    except Refusal as other:
        return other if other.sqlstate == "42P01" else refusal
    for level in analysis.levels:
        for env, call in _calls(level):
            if call.get("location") == refusal.location and refusal.location is not None:
                name = refusal.message.removeprefix("function ").partition("(")[0]
                types = ", ".join(_type(one, env, analysis, world) for one in call.get("args", []))
                return UndefinedFunction(
                    f"function {name}({types}) does not exist", hint=refusal.hint, location=refusal.location
                )
    return refusal


def _calls(level: Level) -> Iterator[tuple[Env, Tree]]:
    """The function calls of a level's own expressions, each with the names that it sees."""
    for clause in level.clauses:
        if clause.kind == "on":
            yield from ((clause.env, call) for call in _own(clause.body.get(clause.key)))
    if level.env is not None:
        parts = [
            value for name, value in level.body.items() if name not in {"fromClause", "withClause", "larg", "rarg"}
        ]
        parts += _functions(level.body.get("fromClause"))
        yield from ((level.env, call) for call in _own(parts))


def _functions(items: Any) -> Iterator[Any]:
    """What the functions among a FROM clause's items are called with."""
    if isinstance(items, list):
        for one in items:
            yield from _functions(one)
    elif isinstance(items, dict):
        for name, body in items.items():
            if name == "RangeFunction":
                yield body
            elif name == "JoinExpr":
                yield from _functions([body.get("larg"), body.get("rarg")])


def _own(value: Any) -> Iterator[Tree]:
    if isinstance(value, list):
        for one in value:
            yield from _own(one)
    elif isinstance(value, dict):
        for name, body in value.items():
            if name == "FuncCall":
                yield body
            if name != "subselect":
                yield from _own(body)


def _type(argument: Tree, env: Env, analysis: Analysis, world: World) -> str:
    value = analysis.types.value(argument, env)
    found = _domain(argument, value, analysis, world) or world.catalog.types.get(value.type or 0)
    if found is None or found.name == "unknown":
        return "unknown"
    if found.element and found.name.startswith("_"):
        element = world.catalog.types.get(found.element)
        return f"{SPELT.get(element.name, element.name)}[]" if element is not None else "unknown"
    return SPELT.get(found.name, found.name)


def _domain(argument: Tree, value: Value, analysis: Analysis, world: World) -> Type | None:
    """The domain that a cast names, or that a column is of: it is printed by its own name."""
    name, body = node(argument)
    found = None
    if name == "TypeCast":
        found = analysis.types.named_type(body.get("typeName", {}))
    elif name == "ColumnRef" and value.source is not None and value.source.visible is not None:
        item = value.source.item.get("RangeVar", value.source.item)
        called = strings(body.get("fields", [])) or [""]
        column = value.source.visible.relation.column(called[-1])
        if column is not None and "colnames" not in repr(item):
            found = world.catalog.types.get(column.type)
    certain = found is not None and found.kind == "d" and analysis.types.base(found.oid) == value.type
    return found if certain and found is not None and found.schema in world.path else None
