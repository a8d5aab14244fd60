"""Catalog relations as a tenant sees them: each becomes a sub-select that shows what policy shows, and no statistics.

The rows and masks are data (data/catalogs.json); a relation that is not in it, or that has a column the data does not
know, does not exist; what PostgreSQL keeps from every ordinary role gets PostgreSQL's own refusal. One that shows
nothing is not read at all. OFFSET 0 keeps the client's conditions above the filter. verify reads the same data with
code of its own. Nothing here looks at a session: its key and its text are holes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from proxy.errors import InsufficientPrivilege, UndefinedTable
from proxy.sql.functions import unshown
from proxy.sql.nodes import Nodes
from proxy.sql.parse import parse
from proxy.sql.plan import KeyHole
from proxy.sql.world import SYSTEM_SCHEMAS, World
from proxy.tenancy.derived import APPLICATION, PROCESS, QUERY

Node = dict[str, Any]
RELATIONS_OF = (
    "ARRAY(SELECT r.oid FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=)"
    " r.relnamespace WHERE s.nspname OPERATOR(pg_catalog.=) ANY ({schemas})"
    " AND r.relkind OPERATOR(pg_catalog.<>) ALL ('{{i,I,t}}'::pg_catalog.\"char\"[]))"
)
FUNCTIONS_OF = (
    "ARRAY(SELECT f.oid FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=)"
    " f.pronamespace WHERE s.nspname OPERATOR(pg_catalog.=) ANY ({schemas})"
    " OR f.oid OPERATOR(pg_catalog.=) ANY ('{{{listed}}}'::pg_catalog.oid[]))"
)
FACTS = {name: KeyHole(name) for name in (APPLICATION, PROCESS, QUERY)}


@cache
def rules() -> Mapping[str, Any]:
    """data/catalogs.json."""
    found: Mapping[str, Any] = orjson.loads(files("proxy.sql.data").joinpath("catalogs.json").read_bytes())
    return found


def confine_catalogs(nodes: Nodes, world: World) -> tuple[Node, bool]:
    """The tree with a confined sub-select for every catalog relation, and whether there was one. The input is not
    changed.

    UndefinedTable for a catalog relation that a tenant may not see, InsufficientPrivilege for one that no ordinary role
    may read.
    """
    if not (
        any(_concerns(body, world) for body in nodes.of("RangeVar"))
        or any(_has_schema(body) for body in nodes.of("ColumnRef"))
    ):
        return nodes.tree, False
    through = _Walk(world, _wants_tableoid(nodes))
    confined = through.query(nodes.tree, frozenset())
    return confined, through.touched


def _concerns(body: Node, world: World) -> bool:
    """May it be a catalog relation, which CTEs may hide yet?"""
    schema = body.get("schemaname")
    visible = world.relation(schema, body.get("relname", ""))
    return schema in SYSTEM_SCHEMAS or (visible is not None and visible.access == "catalog")


def _wants_tableoid(nodes: Nodes) -> bool:
    """Does the statement name tableoid, and would no star or NATURAL JOIN notice one column more?"""
    if any(body.get("isNatural") for body in nodes.of("JoinExpr")):
        return False
    last = [body.get("fields", [{}])[-1] for body in nodes.of("ColumnRef")]
    names = {one["String"].get("sval") for one in last if "String" in one}
    return "tableoid" in names and not any("A_Star" in one for one in last)


class _Walk:
    def __init__(self, world: World, tableoid: bool) -> None:
        self._world = world
        self._tableoid = tableoid
        self.touched = False

    def query(self, node: Any, ctes: frozenset[str]) -> Any:
        """A copy of anything below a statement; `ctes` are the WITH names visible here."""
        if isinstance(node, list):
            return [self.query(one, ctes) for one in node]
        if not isinstance(node, dict):
            return node
        if "RangeVar" in node and set(node) == {"RangeVar"}:
            return self._range(node, ctes)
        if "ColumnRef" in node and set(node) == {"ColumnRef"}:
            return _without_schema(node)
        found = {}
        inner = ctes
        clause = node.get("withClause")
        if clause is not None:
            found["withClause"], inner = self._with(clause, ctes)
        for name, value in node.items():
            if name != "withClause":
                found[name] = self.query(value, inner)
        return found

    def _with(self, clause: Node, ctes: frozenset[str]) -> tuple[Node, frozenset[str]]:
        items = clause.get("ctes", [])
        names = [one["CommonTableExpr"].get("ctename", "") for one in items]
        recursive = clause.get("recursive", False)
        seen = ctes | frozenset(names) if recursive else ctes
        done = []
        for name, one in zip(names, items, strict=True):
            done.append(self.query(one, seen))
            seen |= {name}
        return {**clause, "ctes": done}, seen

    def _range(self, node: Node, ctes: frozenset[str]) -> Node:
        body = node["RangeVar"]
        schema, name = body.get("schemaname"), body.get("relname", "")
        if schema is None and name in ctes:
            return node
        visible = self._world.relation(schema, name)
        if visible is None or visible.access != "catalog":
            if schema in SYSTEM_SCHEMAS:
                raise UndefinedTable(f'relation "{schema}.{name}" does not exist', location=body.get("location", 0))
            return node
        select = _select(self._world, visible.relation.schema, visible.relation.name, self._tableoid)
        if select is None:
            if f"{visible.relation.schema}.{visible.relation.name}" in rules()["denied"]:
                what = "view" if visible.relation.kind == "v" else "table"
                raise InsufficientPrivilege(f"permission denied for {what} {visible.relation.name}")
            full = name if schema is None else f"{schema}.{name}"
            raise UndefinedTable(f'relation "{full}" does not exist', location=body.get("location", 0))
        self.touched = True
        alias = body.get("alias") or {"aliasname": name}
        return {"RangeSubselect": {"subquery": select, "alias": alias}}


def _without_schema(node: Node) -> Node:
    """pg_catalog.pg_class.relname: the sub-select has the relation's name, but stands in no schema."""
    body = node["ColumnRef"]
    return {"ColumnRef": {**body, "fields": body["fields"][1:]}} if _has_schema(body) else node


def _has_schema(body: Node) -> bool:
    fields = body.get("fields", [])
    return len(fields) > 2 and fields[0].get("String", {}).get("sval") in SYSTEM_SCHEMAS


def _select(world: World, schema: str, name: str, tableoid: bool) -> Node | None:
    """The sub-select of one catalog relation; None where a tenant may not see it."""
    key = (schema, name, tableoid)
    found = world.confined_catalogs
    if key not in found:
        text = confined_text(world, schema, name, tableoid)
        found[key] = None if text is None else parsed(text, world)
    select: Node | None = found[key]
    return select


def confined_text(world: World, schema: str, name: str, tableoid: bool = False) -> str | None:
    """The sub-select as SQL; `tableoid` asks for that column as the last one, where it is a table."""
    rule = rules()["relations"].get(f"{schema}.{name}")
    relation = world.catalog.relations.get((schema, name))
    if rule is None or relation is None:
        return None
    known = rule["columns"]
    if world.policy.schema:
        known = {**known, **rules()["beside"].get(f"{schema}.{name}", {})}
    if any(column.name not in known for column in relation.columns):
        return None
    columns = [
        f"{known[one.name]} AS {_quoted(one.name)}" if known[one.name] else _quoted(one.name)
        for one in relation.columns
    ]
    nothing = rule["where"] == "false"
    if tableoid and relation.kind == "r":
        columns.append("NULL::pg_catalog.oid AS tableoid" if nothing else "tableoid")
    text = f"SELECT {', '.join(columns)}"
    if not nothing:
        text += f" FROM {_quoted(schema)}.{_quoted(name)}"
    if rule["where"]:
        text += f" WHERE {rule['where']}"
    if "with" in rule:
        text = f"WITH {rule['with']} {text}"
    return _filled(f"{text} OFFSET 0", world)


def parsed(text: str, world: World) -> Node:
    """The tree of a text of ours, with holes for what only the session knows."""
    (statement,) = parse(text.encode(), size_limit=1 << 26, server_major=world.catalog.major)
    tree: Node = _without_locations(statement.tree)
    return tree


def _filled(text: str, world: World) -> str:
    for placeholder, value in _placeholders(world).items():
        text = text.replace(f"{{{placeholder}}}", value)
    return text


def _placeholders(world: World) -> dict[str, str]:
    if world.policy.schema:
        return _of_schemas(world)
    shown = []
    schemas = set(world.search_path)
    for (schema, name), relation in world.catalog.relations.items():
        if schema in SYSTEM_SCHEMAS:
            continue
        if relation.kind == "S":
            visible = (schema, name) in world.policy.sequences
        else:
            visible = world.relation(schema, name) is not None
        if visible:
            shown.append(relation.oid)
            schemas.add(schema)
    functions = [
        one.oid
        for many in world.catalog.functions.values()
        for one in many
        if one.schema != "pg_catalog"
        and any((rule.schema, rule.name) == (one.schema, one.name) for rule in world.policy.functions)
    ]
    return {
        "relations": f"'{{{','.join(map(str, sorted(shown)))}}}'::pg_catalog.oid[]",
        "functions": f"'{{{','.join(map(str, sorted(functions)))}}}'::pg_catalog.oid[]",
        "schemas": _name_array(schemas),
        **_same(world),
    }


def _of_schemas(world: World) -> dict[str, str]:
    """What is in the tenant's own schema and in the shared ones as of the moment when the statement runs: the tenant
    may have made it just now. Of functions in shared schemas only what the rules list.
    """
    policy = world.policy
    listed = {(one.schema, one.name) for one in policy.functions}
    functions = [
        one.oid
        for some in world.catalog.functions.values()
        for one in some
        if one.schema in policy.shared_schemas and (one.schema, one.name) in listed
    ]
    return {
        "relations": RELATIONS_OF.format(schemas=_name_array(policy.path)),
        "functions": FUNCTIONS_OF.format(
            schemas=_name_array([policy.schema]), listed=",".join(map(str, sorted(functions)))
        ),
        "schemas": _name_array(policy.path),
        **_same(world),
    }


def _same(world: World) -> dict[str, str]:
    return {
        "unshown": f"'{{{','.join(unshown())}}}'::pg_catalog.name[]",
        "database": "'" + world.catalog.database.replace("'", "''") + "'",
    }


def _name_array(names: Iterable[str]) -> str:
    text = ",".join('"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in sorted(names))
    return "'{" + text.replace("'", "''") + "}'::pg_catalog.name[]"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _without_locations(node: Any) -> Any:
    """A parsed tree whose constants and columns point at nothing in the client's text."""
    if isinstance(node, list):
        return [_without_locations(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {
        name: _without_locations(value)
        for name, value in node.items()
        if name not in {"location", "list_start", "list_end"}
    }
    fact = FACTS.get(node["sval"].get("sval", "")) if set(node) == {"sval", "location"} else None
    return found if fact is None else {**found, "_hole": fact}
