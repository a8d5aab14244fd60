"""Ranges: the columns of what stands in FROM and is neither a sub-select nor a table: functions, XMLTABLE, views by
their definition.

Promises: a column is named and typed only where that is certain; else the item is open. A view's definition is read
with the catalog alone, without any policy: it only tells which of the view's columns are silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.catalog.model import Catalog, Relation
from proxy.errors import Refusal
from proxy.sql.oids import INT8, RECORD
from proxy.sql.parse import parse
from proxy.sql.scope import UNKNOWN, Env, Named, Tree, Value, strings
from proxy.sql.types import Types, node
from proxy.sql.world import Scenery, Visible

# Functions of records whose columns are known.
OUT = {"pg_get_sequence_data": ("last_value", "is_called")}
_DEFINITION_LIMIT = 1_048_576


def function_columns(body: Tree, env: Env, types: Types, world: Scenery) -> tuple[tuple[Named, ...], bool]:
    """The columns of a RangeFunction, and whether there may be others."""
    found: list[Named] = []
    is_open = False
    entries = [one["List"]["items"] for one in body.get("functions", [])]
    for items in entries:
        definitions = node(items[1])[1].get("items", []) if len(items) > 1 else []
        definitions = definitions or body.get("coldeflist", [])
        if definitions:
            for one in definitions:
                declared = types.named_type(one["ColumnDef"].get("typeName", {}))
                value = UNKNOWN if declared is None else Value(types.base(declared.oid), declared.collation)
                found.append(Named(one["ColumnDef"]["colname"], value))
            continue
        name, call = node(items[0])
        function = (strings(call.get("funcname", [])) or [""])[-1] if name == "FuncCall" else name.lower()
        arguments = call.get("args", []) if name == "FuncCall" else []
        if function == "unnest" and len(arguments) > 1:
            found += [Named("unnest", types.called(["unnest"], [types.value(one, env)])) for one in arguments]
            continue
        if function in OUT:
            found += [Named(one, UNKNOWN) for one in OUT[function]]
            continue
        value = types.value(items[0], env)
        composite = world.catalog.types.get(value.type or 0)
        if composite is not None and composite.kind == "c" and composite.relation in world.catalog.relations_by_oid:
            relation = world.catalog.relations_by_oid[composite.relation]
            found += [Named(one.name, Value(types.base(one.type), one.collation)) for one in relation.columns]
            continue
        scalar = function == "unnest" and composite is not None and composite.kind in ("b", "e")
        is_open = is_open or not scalar  # an OUT parameter may give the column another name
        if value.type in (None, RECORD):
            return tuple(found), True
        alias = body.get("alias", {}).get("aliasname")
        found.append(Named(alias if alias and len(entries) == 1 else function, value))
    if body.get("ordinality"):
        found.append(Named("ordinality", Value(INT8, 0)))
    return tuple(found), is_open


def table_function_columns(name: str, body: Tree) -> tuple[Named, ...]:
    """The columns of XMLTABLE by name; their types do not matter to any rule. JSON_TABLE's are left open."""
    if name != "RangeTableFunc":
        return ()
    return tuple(Named(one["RangeTableFuncCol"]["colname"], UNKNOWN) for one in body.get("columns", []))


class _Everything:
    """All relations of a catalog, as a view's definition sees them."""

    def __init__(self, catalog: Catalog, search_path: tuple[str, ...]) -> None:
        self.catalog = catalog
        self.search_path = search_path

    def relation(self, schema: str | None, name: str) -> Visible | None:
        for one in (schema,) if schema is not None else ("pg_catalog", *self.search_path):
            found = self.catalog.relations.get((one, name))
            if found is not None:
                return Visible(found, "shared")
        return None


def view_columns(
    relation: Relation, world: Scenery, resolve: Callable[..., Any]
) -> tuple[tuple[Named, ...] | None, bool]:
    """The view's columns by their expressions and whether the view is hard; (None, True) where the definition is
    not understood."""
    try:
        statements = parse(relation.definition.encode(), size_limit=_DEFINITION_LIMIT, server_major=world.catalog.major)
        analysis = resolve(statements[0].tree, _Everything(world.catalog, world.search_path))
    except (Refusal, IndexError):
        return None, True
    outputs = analysis.query.outputs
    if outputs is None or len(outputs) != len(relation.columns):
        return None, True
    return outputs, analysis.query.hard
