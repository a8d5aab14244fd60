"""What a statement names besides relations: functions, types, operators, sequences and settings; deny by default.

A name that policy hides is answered as PostgreSQL answers a name that does not exist. Relations are resolve's and
rewrite's business. Unqualified names are looked up as the server does: pg_catalog first, then the pinned search path;
a name is allowed only when everything that it could mean is. Refusals carry byte offsets; the planner makes positions
of them.
Source: PostgreSQL documentation, 10.3 "Functions" (how overloads are chosen).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

from proxy.catalog.model import Function
from proxy.errors import (
    FeatureNotSupported,
    InsufficientPrivilege,
    Refusal,
    UndefinedFunction,
    UndefinedObject,
    UndefinedTable,
)
from proxy.sql.absent import with_types
from proxy.sql.aliases import certain_columns, strings
from proxy.sql.classify import setting_calls
from proxy.sql.functions import allowed, by_number
from proxy.sql.mapped import ARITIES, fits
from proxy.sql.names import split_name
from proxy.sql.nodes import Node, Nodes, uncast
from proxy.sql.objects import check_objects
from proxy.sql.sequences import FUNCTIONS as SEQUENCES
from proxy.sql.sequences import check_sequence
from proxy.sql.settings import showable
from proxy.sql.types import COMPARISONS
from proxy.sql.world import World
from proxy.tenancy.policy import FunctionRule

NO_MATCH = "No function matches the given name and argument types. You might need to add explicit type casts."
WRITES = {"InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE"}
LOCKS = {
    "LCS_FORKEYSHARE": "KEY SHARE",
    "LCS_FORSHARE": "SHARE",
    "LCS_FORNOKEYUPDATE": "NO KEY UPDATE",
    "LCS_FORUPDATE": "UPDATE",
}
# Types whose input looks a name up: only constants that policy shows, and values that are numbers already.
REG_TYPES = frozenset({
    "regclass", "regproc", "regprocedure", "regoper", "regoperator", "regtype", "regrole", "regnamespace",
    "regconfig", "regdictionary", "regcollation",
})  # fmt: skip
SYSTEM_SCHEMAS = ("pg_catalog",)
COUNTER = "pg_get_sequence_data"
# Functions of information_schema that only compute: what JDBC makes a key's columns with.
INFORMATION = frozenset({"_pg_expandarray"})


def permit(nodes: Nodes, world: World, parameter_types: Sequence[int] = ()) -> None:
    """A Refusal for the first name that is not allowed."""
    tree = nodes.tree
    if world.policy.read_only:
        _refuse_writes(nodes)
    if world.hidden_types and nodes.of("TypeName"):
        _refuse_declared(tree, world)
    for oid in parameter_types:
        if world.hides_type(oid):
            raise UndefinedObject(f"type with OID {oid} does not exist")
    try:
        _Permit(world, nodes).walk()
    except UndefinedFunction as refusal:
        raise with_types(refusal, tree, world, parameter_types) from None
    check_objects(nodes, world)


def _refuse_declared(tree: Any, world: World) -> None:
    """Types of extensions that are not listed: of casts, and of what json_to_record(), XMLTABLE, JSON_TABLE declare."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            declared = one.get("typeName")
            names = strings(declared.get("names", ())) if isinstance(declared, dict) else []
            for schema in world.path if len(names) == 1 else names[-2:-1]:
                found = world.catalog.types_by_name.get((schema, names[-1]))
                if found is not None and world.hides_type(found.oid):
                    location = one["typeName"].get("location")
                    raise UndefinedObject(f'type "{".".join(names)}" does not exist', location=location)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _refuse_writes(nodes: Nodes) -> None:
    for name, body in nodes.every:
        what = WRITES.get(name)
        if name == "LockingClause":
            what = f"SELECT FOR {LOCKS.get(body.get('strength', ''), 'UPDATE')}"
        if what is not None:
            raise Refusal(f"cannot execute {what} in a read-only transaction", sqlstate="25006")


class _Permit:
    def __init__(self, world: World, nodes: Nodes) -> None:
        self._world = world
        self._nodes = nodes
        self._sets = setting_calls(nodes.tree)
        self._checks: Mapping[str, Callable[[Node], None]] = {
            "FuncCall": self._function,
            "TypeCast": self._cast,
            "TypeName": self._type,
            "A_Expr": self._operator,
            "SortBy": self._sort,
            "SubLink": self._sublink,
            "ColumnRef": self._column,
            "A_Indirection": self._indirection,
            "CollateClause": self._collation,
            "IndexElem": self._index_element,
        }

    @property
    def _home(self) -> tuple[str, ...]:
        """Schemas that the tenant may name, besides the server's."""
        return self._world.policy.path if self._world.policy.schema else self._world.search_path

    def _may_be_made(self, schema: str | None) -> bool:
        """May what is not in the picture have been made since, in a schema of the tenant's own? The server says."""
        return schema in (None, self._world.policy.schema) and self._world.policy.schema != ""

    @cached_property
    def _certain(self) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
        return certain_columns(self._nodes, self._world)

    def walk(self) -> None:
        """Looks at every node, FROM before the rest of its level, as the server does."""
        for name, body in self._nodes.every:
            check = self._checks.get(name)
            if check is not None:
                check(body)

    # -- functions

    def _function(self, call: Node) -> None:
        names = strings(call.get("funcname", ()))
        schema, name = (names[-2] if len(names) > 1 else None), names[-1]
        if len(names) > 2 and names[0] != self._world.catalog.database:
            raise FeatureNotSupported(f"cross-database references are not implemented: {'.'.join(names)}")
        self._call(schema, name, call.get("args", []), call)

    def _call(self, schema: str | None, name: str, args: list[Node], call: Node) -> None:
        location = call.get("location")
        if schema == "information_schema" and name in INFORMATION:
            return
        if schema not in (None, *SYSTEM_SCHEMAS, *self._home) and not self._foreign(schema, name):
            self._require_schema(schema, location)
            self._absent(schema, name, args, location)
        found = self._world.function_candidates(schema, name)
        if not found and self._may_be_made(schema):
            return
        for one in found:
            if one.schema != "pg_catalog" and not self._listed(one):
                self._absent(schema, name, args, location)
        builtin = any(one.schema == "pg_catalog" for one in found)
        if not found:
            self._absent(schema, name, args, location)
        if not builtin:
            return
        if name in SEQUENCES:
            check_sequence(name, args, self._world.policy, self._world.search_path, location)
        elif name in ARITIES:
            if not fits(name, args):
                self._absent(schema, name, args, location)
        elif name == "set_config":
            if location not in self._sets:
                _denied(name, location, "Use SET, or set_config() with constants as the whole statement.")
        elif name == "current_setting":
            setting = _text(args[0]) if args else None
            later = bool(args) and {"ParamRef", "ColumnRef"} & set(uncast(args[0]))  # of a column, objects tells
            if not later and (setting is None or not showable(setting)):
                _denied(name, location, "Name one of the settings that a session may change, as a constant.")
        elif self._world.policy.schema and name == COUNTER:
            return  # the server shows it of sequences that the role may read, and NULL of everything else
        elif name not in allowed() or len(args) not in by_number().get(name, (len(args),)):
            _denied(name, location, None)

    def _listed(self, function: Function) -> bool:
        rules = self._world.function_rules.get((function.schema, function.name), ())
        return any(self._matches(rule, function) for rule in rules)

    def _matches(self, rule: FunctionRule, function: Function) -> bool:
        if rule.extension and rule.extension != function.extension:
            return False
        if rule.arguments is None:
            return True
        types = self._world.catalog.types
        return rule.arguments == tuple(
            _type_name(types[one].name) if one in types else "?" for one in function.arguments
        )

    def _foreign(self, schema: str | None, name: str) -> bool:
        return schema is not None and (schema, name) in self._world.function_rules

    def _absent(self, schema: str | None, name: str, args: list[Node], location: int | None) -> NoReturn:
        full, types = name if schema is None else f"{schema}.{name}", ", ".join(_argument_type(one) for one in args)
        raise UndefinedFunction(f"function {full}({types}) does not exist", hint=NO_MATCH, location=location)

    # -- types

    def _cast(self, cast: Node) -> None:
        type_name = cast.get("typeName", {})
        names = strings(type_name.get("names", ()))
        self._type(type_name)
        if names and (plain := names[-1].lstrip("_")) in REG_TYPES:  # of an array, its element's
            self._reg(plain, cast.get("arg", {}), cast.get("location"))

    def _reg(self, kind: str, arg: Node, location: int | None) -> None:
        is_text = False
        while set(arg) == {"TypeCast"} and strings(arg["TypeCast"]["typeName"].get("names", ()))[-1:] in (
            ["text"],
            ["varchar"],
        ):
            arg, is_text = arg["TypeCast"].get("arg", {}), True
        text = _text(arg)
        if text is None:
            called = strings(arg.get("FuncCall", {}).get("funcname", ()))[-1:]
            if set(arg) <= {"ColumnRef", "ParamRef", "A_Const"} or called == ["pg_get_serial_sequence"]:
                # a column of a reg or oid type shows what the catalogs show; text columns cannot hold what is hidden
                return
            raise FeatureNotSupported(
                f"this cast to {kind} is not supported", hint="Cast a constant or a column.", location=location
            )
        if text.isdigit() or text == "-":
            return
        if kind == "regclass":
            schema, name = split_name(text)
            sequence = any((one, name) in self._world.policy.sequences for one in (schema, *self._world.search_path))
            if self._world.relation(schema, name) is None and not sequence and not self._index(schema, name):
                # regclassin() asks for the relation at once since 16; the cast from text is another function
                if is_text or self._world.catalog.major < 16:
                    self._require_schema(schema, location)
                raise UndefinedTable(f'relation "{_shown(text)}" does not exist', location=location)
        elif kind in {"regproc", "regprocedure"}:
            schema, name = split_name(text.partition("(")[0])
            found = self._world.function_candidates(schema, name)
            if not found and self._may_be_made(schema):
                return
            if not found or any(one.schema != "pg_catalog" and not self._listed(one) for one in found):
                raise UndefinedFunction(f'function "{text}" does not exist', location=location)
        elif kind not in {"regtype", "regnamespace", "regconfig", "regdictionary", "regcollation"}:
            raise FeatureNotSupported(f"a constant of type {kind} is not supported", location=location)

    def _index(self, schema: str | None, name: str) -> bool:
        """Is it an index of a relation that the tenant sees?"""
        for one in self._world.catalog.relations.values():
            if (schema is None or one.schema == schema) and any(key.name == name for key in one.keys):
                return self._world.relation(one.schema, one.name) is not None
        return False

    def _type(self, type_name: Node) -> None:
        names = strings(type_name.get("names", ()))
        if not names:
            return
        schema, name = (names[-2] if len(names) > 1 else None), names[-1]
        types = self._world.catalog.types_by_name
        path = self._world.path if schema is None else (schema,)
        found = next((types[one, name] for one in path if (one, name) in types), None)
        if found is None and self._may_be_made(schema):
            return
        visible = found is not None and (found.schema == "pg_catalog" or found.schema in self._home)
        if found is not None and found.relation:
            row = self._world.catalog.relations_by_oid.get(found.relation)
            visible = visible and (
                row is None or row.kind == "c" or self._world.relation(row.schema, row.name) is not None
            )
        if not visible and not (schema == "information_schema" and found is not None):
            self._require_schema(schema, type_name.get("location"))
            full = name if schema is None else f"{schema}.{name}"
            raise UndefinedObject(f'type "{full}" does not exist', location=type_name.get("location"))

    # -- operators and the rest

    def _operator(self, body: Node) -> None:
        self._operator_name(strings(body.get("name", ())), body.get("location"))

    def _sort(self, body: Node) -> None:
        self._operator_name(strings(body.get("useOp", ())), body.get("location"))

    def _sublink(self, body: Node) -> None:
        self._operator_name(strings(body.get("operName", ())), body.get("location"))

    def _operator_name(self, names: list[str], location: int | None) -> None:
        if not names:
            return
        schema = names[-2] if len(names) > 1 else None
        if schema not in (None, *SYSTEM_SCHEMAS, *self._home):
            self._require_schema(schema, location)
            raise UndefinedFunction(f"operator does not exist: {'.'.join(names)}")
        for one in self._world.catalog.own_operators.get(names[-1], ()):
            if schema is not None and one.schema != schema:
                continue
            function = self._world.catalog.functions_by_oid.get(one.function)
            if names[-1] in COMPARISONS and {one.left, one.right} <= self._world.types_out_of_reach:
                continue  # no expression is of these types, and what is of no type yet becomes text
            if function is None or (function.schema != "pg_catalog" and not self._listed(function)):
                raise UndefinedFunction(f"operator does not exist: {'.'.join(names)}")

    def _collation(self, body: Node) -> None:
        self._qualified('collation "{}" for encoding "UTF8"', strings(body.get("collname", ())), body.get("location"))

    def _index_element(self, body: Node) -> None:
        self._qualified('collation "{}" for encoding "UTF8"', strings(body.get("collation", ())), None)
        self._qualified('operator class "{}" for access method "btree"', strings(body.get("opclass", ())), None)

    def _qualified(self, what: str, names: list[str], location: int | None) -> None:
        if len(names) > 1 and names[-2] not in (*SYSTEM_SCHEMAS, *self._home):
            self._require_schema(names[-2], location)
            raise UndefinedObject(f"{what.format('.'.join(names))} does not exist", location=location)

    def _require_schema(self, schema: str | None, location: int | None) -> None:
        if schema not in (None, "pg_temp") and not self._world.shows_schema(schema):
            raise UndefinedObject(f'schema "{schema}" does not exist', sqlstate="3F000", location=location)

    def _column(self, body: Node) -> None:
        fields = body.get("fields", ())
        if len(fields) > 1 and "String" in fields[-1] and "String" in fields[-2]:
            name = fields[-1]["String"].get("sval", "")
            if name in self._world.catalog.functions:
                columns = self._certain[0].get(fields[-2]["String"].get("sval", ""), frozenset())
                self._attribute(name, name in columns, body)

    def _indirection(self, body: Node) -> None:
        for one in body.get("indirection", ()):
            if "String" in one:
                self._attribute(one["String"].get("sval", ""), False, body)

    def _attribute(self, name: str, is_column: bool, body: Node) -> None:
        """`row.name` is name(row) where the row has no such column (PostgreSQL documentation, 4.2.6 and 38.4.3).
        Whose row it is shows only in full analysis: a column of that name elsewhere in the statement proves nothing,
        so what could be a call is one.
        """
        if is_column:
            return
        found = [one for one in self._world.function_candidates(None, name) if self._takes_a_row(one)]
        if found and not (name in self._certain[1] and all(self._harmless(one) for one in found)):
            self._call(None, name, [{"ColumnRef": body}], body)

    def _takes_a_row(self, function: Function) -> bool:
        """Can it be called with one argument that is a row of a table or a record?"""
        if not function.arguments or len(function.arguments) - function.defaults - bool(function.variadic) > 1:
            return False
        first = self._world.catalog.types.get(function.arguments[0])
        return first is None or first.kind in "cpd"

    def _harmless(self, function: Function) -> bool:
        return function.name in allowed() if function.schema == "pg_catalog" else self._listed(function)


def _text(node: Node) -> str | None:
    """A string constant, cast to text or not."""
    body = uncast(node).get("A_Const")
    return str(body["sval"].get("sval", "")) if body is not None and "sval" in body else None


def _shown(text: str) -> str:
    schema, name = split_name(text)
    return name if schema is None else f"{schema}.{name}"


TYPE_NAMES = {
    "integer": "int4",
    "bigint": "int8",
    "smallint": "int2",
    "boolean": "bool",
    "character varying": "varchar",
    "int": "int4",
}


def _type_name(name: str) -> str:
    return next((spelt for spelt, known in TYPE_NAMES.items() if known == name and spelt != "int"), name)


def _argument_type(node: Node) -> str:
    """A type as PostgreSQL prints it in "function f(…) does not exist", as far as the text alone says it."""
    body = node.get("A_Const")
    if body is not None:
        if "ival" in body:
            return "integer"
        if "boolval" in body:
            return "boolean"
        return "numeric" if "fval" in body else "unknown"
    if "TypeCast" in node:
        names = strings(node["TypeCast"].get("typeName", {}).get("names", ()))
        return _type_name(names[-1]) if names else "unknown"
    return "unknown"


def _denied(name: str, location: int | None, hint: str | None) -> NoReturn:
    raise InsufficientPrivilege(f"permission denied for function {name}", hint=hint, location=location)
