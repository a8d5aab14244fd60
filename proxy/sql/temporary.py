"""Temporary tables of a session: CREATE, DROP, indexes, and what a query put into one.

Promises: a temporary table has a name that means nothing else in the database, columns of types that a tenant may use,
and takes nothing from a shared table; it stands in what is sent as pg_temp.name. Permanent tables are the operator's.
What is known of its columns is what CREATE said; a query's columns are known as far as its types are (0: unknown).
Source: isolation.md 1.3; PostgreSQL documentation, CREATE TABLE, CREATE TABLE AS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.catalog.model import Column, Type
from proxy.errors import FeatureNotSupported, InsufficientPrivilege, UndefinedObject
from proxy.sql.classified import Classified, Node
from proxy.sql.naming import looks_up
from proxy.sql.oids import INT2, INT4, INT8, TEXT, UNTYPED
from proxy.sql.parse import walk
from proxy.sql.plan import Effects, StatementKind, Temporary
from proxy.sql.scope import Named, strings
from proxy.sql.types import Types
from proxy.sql.world import SYSTEM_SCHEMAS, World

SCHEMA = "pg_temp"
TABLE_FIELDS = frozenset({"relation", "tableElts", "oncommit", "if_not_exists"})
INTO_FIELDS = frozenset({"rel", "colNames", "onCommit", "skipData"})
RELATION_FIELDS = frozenset({"relname", "schemaname", "inh", "relpersistence", "location"})
COLUMN_FIELDS = frozenset({"colname", "typeName", "constraints", "is_local", "collClause", "location"})
CONSTRAINT_FIELDS = frozenset({
    "contype", "conname", "raw_expr", "keys", "is_enforced", "initially_valid", "deferrable", "initdeferred",
    "generated_when", "generated_kind", "nulls_not_distinct", "location",
})  # fmt: skip
CONSTRAINTS = frozenset({
    "CONSTR_NULL", "CONSTR_NOTNULL", "CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED", "CONSTR_CHECK",
    "CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_ATTR_DEFERRABLE", "CONSTR_ATTR_NOT_DEFERRABLE", "CONSTR_ATTR_DEFERRED",
    "CONSTR_ATTR_IMMEDIATE",
})  # fmt: skip
INDEX_FIELDS = frozenset({
    "idxname", "relation", "accessMethod", "indexParams", "whereClause", "unique", "if_not_exists",
    "nulls_not_distinct",
})  # fmt: skip
SERIAL: Mapping[str, int] = {
    "smallserial": INT2, "serial2": INT2, "serial": INT4, "serial4": INT4, "bigserial": INT8, "serial8": INT8,
}  # fmt: skip
DEFAULT_COLLATION = 100
SHARED = "Tenants share the schema: create a temporary table, or ask the operator."
NAMES = "The name belongs to the database; choose another."
FORM = "Create it without this clause."


def create(tree: Node, body: Node) -> Classified:
    """CREATE TABLE: only a temporary one, of columns of its own."""
    require_temporary(body["relation"])
    if set(body) & {"inhRelations", "partbound", "partspec", "ofTypename"}:
        raise InsufficientPrivilege("permission denied to take a temporary table's columns from another", hint=FORM)
    _require(body, TABLE_FIELDS)
    return Classified(StatementKind.DDL, tree)


def create_as(tree: Node, body: Node) -> Classified:
    """CREATE TABLE AS, and SELECT INTO, which is the same."""
    into = body.get("into", {})
    if body.get("objtype") != "OBJECT_TABLE":
        raise InsufficientPrivilege("permission denied for schema public", hint=SHARED)
    require_temporary(into["rel"])
    _require(into, INTO_FIELDS)
    return Classified(StatementKind.DDL, tree)


def select_into(tree: Node) -> Node:
    """SELECT … INTO as the CREATE TABLE AS that it is."""
    ((name, body),) = tree.items()
    query, into = _without_into(body)
    return {"CreateTableAsStmt": {"query": {name: query}, "into": into, "objtype": "OBJECT_TABLE"}}


def drop(tree: Node, body: Node) -> Classified:
    """DROP TABLE; everything else that DROP means is the operator's."""
    if body.get("removeType") != "OBJECT_TABLE" or set(body) - {"objects", "removeType", "behavior", "missing_ok"}:
        raise InsufficientPrivilege("permission denied to drop objects", hint=SHARED)
    return Classified(StatementKind.DDL, tree)


def index(tree: Node, body: Node) -> Classified:
    """CREATE INDEX."""
    _require(body, INDEX_FIELDS)
    return Classified(StatementKind.DDL, tree)


def require_temporary(relation: Node) -> None:
    """InsufficientPrivilege for a table that others could see."""
    if relation.get("relpersistence") != "t" or relation.get("schemaname", SCHEMA) != SCHEMA:
        raise InsufficientPrivilege("permission denied for schema public", hint=SHARED)
    _require(relation, RELATION_FIELDS)


def defined(tree: Node, world: World) -> tuple[Node, Effects, list[Node]]:
    """A CREATE TABLE, DROP TABLE or CREATE INDEX as it is sent, what it does, and its expressions, to be permitted."""
    ((name, body),) = tree.items()
    if name == "CreateStmt":
        return _table(body, world)
    return _dropped(body, world) if name == "DropStmt" else _index(body, world)


def filled(body: Node, outputs: Sequence[Named] | None, world: World) -> tuple[Node, Temporary | None]:
    """A CREATE TABLE AS as it is sent, and the table that it makes of these columns (None: not all known), if it does
    not stay as it was.
    """
    relation = dict(body["into"]["rel"])
    into = {**body["into"], "rel": relation}
    name = free_name(relation, world)
    names = strings(into.get("colNames", [])) or []
    columns = None
    if outputs is not None:
        columns = tuple(
            Column(at + 1, names[at] if at < len(names) else one.name, *_stored(one)) for at, one in enumerate(outputs)
        )
    made = Temporary(name, columns, into.get("onCommit") == "ONCOMMIT_DROP")
    exists = body.get("if_not_exists") and world.relation(SCHEMA, name) is not None
    return {"CreateTableAsStmt": {**body, "into": into}}, None if exists else made


def free_name(relation: Node, world: World) -> str:
    """The name of a table to be made; InsufficientPrivilege where it means something in the database."""
    name = str(relation["relname"])
    schemas = {*world.path, *SYSTEM_SCHEMAS}
    known = (world.catalog.relations, world.catalog.types_by_name, world.policy.relations, world.policy.sequences)
    if any((schema, name) in one for one in known for schema in schemas):
        raise InsufficientPrivilege(f'permission denied to create a temporary table "{name}"', hint=NAMES)
    relation.pop("schemaname", None)
    return name


def _table(body: Node, world: World) -> tuple[Node, Effects, list[Node]]:
    relation = dict(body["relation"])
    name = free_name(relation, world)
    types = Types(world, (), frozenset())
    columns: list[Column] = []
    expressions: list[Node] = []
    for one in body.get("tableElts", ()):
        ((kind, element),) = one.items()
        if kind == "ColumnDef":
            _require(element, COLUMN_FIELDS)
            found = _type(element["typeName"], types, world)
            generated = ""
            for part in element.get("constraints", ()):
                expressions += _constraint(part["Constraint"])
                if part["Constraint"]["contype"] == "CONSTR_GENERATED":
                    generated = part["Constraint"].get("generated_kind", "s")
            collation = 0 if "collClause" in element else found.collation
            columns.append(Column(len(columns) + 1, element["colname"], found.oid, -1, collation, generated=generated))
            if "collClause" in element:
                expressions.append({"CollateClause": element["collClause"]})
        elif kind == "Constraint":
            expressions += _constraint(element)
        else:
            raise InsufficientPrivilege("permission denied to take a temporary table's columns from another", hint=FORM)
    if any("SubLink" in name for one in expressions for name, _ in walk(one)):
        raise FeatureNotSupported("a sub-select in a table's definition is not supported")
    made = Temporary(name, tuple(columns), body.get("oncommit") == "ONCOMMIT_DROP")
    exists = body.get("if_not_exists") and world.relation(SCHEMA, name) is not None
    effects = Effects() if exists else Effects(creates=made)
    return {"CreateStmt": {**body, "relation": relation}}, effects, expressions


def _constraint(body: Node) -> list[Node]:
    if body.get("contype") not in CONSTRAINTS:
        raise FeatureNotSupported("this constraint of a temporary table is not supported", hint=FORM)
    _require(body, CONSTRAINT_FIELDS)
    return [body["raw_expr"]] if "raw_expr" in body else []


def _type(type_name: Node, types: Types, world: World) -> Type:
    names = strings(type_name.get("names", [])) or []
    if len(names) == 1 and names[0] in SERIAL and not type_name.get("arrayBounds"):
        return world.catalog.types[SERIAL[names[0]]]
    found = types.named_type(type_name)
    if found is None or found.schema not in world.path or found.kind in "cp" or world.hides_type(found.oid):
        raise UndefinedObject(f'type "{".".join(names)}" does not exist', location=type_name.get("location"))
    if looks_up(world.catalog, found.oid):
        raise FeatureNotSupported(f"a column of type {found.name} is not supported", hint="Declare it as oid or text.")
    return found


def _dropped(body: Node, world: World) -> tuple[Node, Effects, list[Node]]:
    objects, names = [], []
    for one in body["objects"]:
        parts = strings(one["List"]["items"]) or []
        name = parts[-1]
        if parts[:-1] in ([], [SCHEMA]) and world.relation(SCHEMA, name) is not None:
            names.append(name)
            objects.append({"List": {"items": [{"String": {"sval": part}} for part in (SCHEMA, name)]}})
        elif len(parts) == 1 and not any((schema, name) in world.catalog.relations for schema in world.path):
            objects.append(one)  # that it is not there, the server says
        else:
            seen = world.relation(parts[-2] if len(parts) > 1 else None, name)
            what = "permission denied to drop objects" if seen is None else f"must be owner of table {name}"
            raise InsufficientPrivilege(what, hint=SHARED)
    return {"DropStmt": {**body, "objects": objects}}, Effects(drops=tuple(names)), []


def _index(body: Node, world: World) -> tuple[Node, Effects, list[Node]]:
    relation = body["relation"]
    found = world.relation(relation.get("schemaname"), relation["relname"])
    if found is None or found.access != "own":
        raise InsufficientPrivilege("permission denied to create an index", hint=SHARED)
    expressions = list(body.get("indexParams", ()))
    if "whereClause" in body:
        expressions.append(body["whereClause"])
    return {"IndexStmt": {**body, "relation": {**relation, "schemaname": SCHEMA}}}, Effects(), expressions


def _stored(output: Named) -> tuple[int, int, int]:
    """Type, typmod and collation of the column that a query's output becomes; type 0 where they are not known."""
    value = output.value
    if value.type == UNTYPED:
        return TEXT, -1, DEFAULT_COLLATION
    if value.type is None or value.collation is None:
        return 0, -1, 0
    return value.type, -1, value.collation


def _without_into(body: Node) -> tuple[Node, Any]:
    if "intoClause" in body:
        return {name: value for name, value in body.items() if name != "intoClause"}, body["intoClause"]
    left, into = _without_into(body["larg"])
    return {**body, "larg": left}, into


def _require(body: Node, fields: frozenset[str]) -> None:
    unknown = sorted(set(body) - fields)
    if unknown:
        raise FeatureNotSupported("this form of a temporary table is not supported", hint=FORM)
