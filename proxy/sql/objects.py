"""Calls and casts that tell of objects by OID or name: pg_get_viewdef(), format_type(), `::regclass` and the like. They
may be asked of what the tenant sees and of nothing else.

Promises: refuses what cannot be shown to name a visible object only. Whose columns and constants these are is for
origins to say; names in constants under a cast are permit's business."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from proxy.errors import FeatureNotSupported, InsufficientPrivilege, UndefinedObject, UndefinedTable
from proxy.sql.names import split_name
from proxy.sql.naming import check_types
from proxy.sql.nodes import Nodes, uncast
from proxy.sql.origins import REG_TYPES, Origins
from proxy.sql.plan import NameCheck
from proxy.sql.scope import Tree
from proxy.sql.tableoids import is_tableoid
from proxy.sql.world import World

# Functions of pg_catalog that tell of an object: the argument that names it. A negative one counts from the end, as a
# role may come before it.
ARGUMENTS: dict[str, int] = {
    **dict.fromkeys(("has_column_privilege",), -3),
    **dict.fromkeys(
        (
            "has_any_column_privilege",
            "has_database_privilege",
            "has_foreign_data_wrapper_privilege",
            "has_function_privilege",
            "has_language_privilege",
            "has_schema_privilege",
            "has_sequence_privilege",
            "has_server_privilege",
            "has_table_privilege",
            "has_tablespace_privilege",
            "has_type_privilege",
            "pg_has_role",
        ),
        -2,
    ),
    **dict.fromkeys(
        (
            "col_description",
            "format_type",
            "obj_description",
            "pg_basetype",
            "pg_column_is_updatable",
            "pg_function_is_visible",
            "pg_get_constraintdef",
            "pg_get_function_arg_default",
            "pg_get_function_arguments",
            "pg_get_function_identity_arguments",
            "pg_get_function_result",
            "pg_get_function_sqlbody",
            "pg_get_functiondef",
            "pg_get_indexdef",
            "pg_get_partkeydef",
            "pg_get_ruledef",
            "pg_get_serial_sequence",
            "pg_get_statisticsobjdef",
            "pg_get_statisticsobjdef_columns",
            "pg_get_statisticsobjdef_expressions",
            "pg_get_triggerdef",
            "pg_get_userbyid",
            "pg_get_viewdef",
            "pg_index_column_has_property",
            "pg_index_has_property",
            "pg_partition_ancestors",
            "pg_partition_root",
            "pg_partition_tree",
            "pg_relation_is_publishable",
            "pg_relation_is_updatable",
            "pg_statistics_obj_is_visible",
            "pg_table_is_visible",
            "pg_type_is_visible",
            "shobj_description",
        ),
        0,
    ),
    **dict.fromkeys(("acldefault", "pg_get_expr"), 1),
}
RELATION_PRIVILEGES = frozenset(
    {"has_any_column_privilege", "has_column_privilege", "has_sequence_privilege", "has_table_privilege"}
)
# These read a relation's name; to_regclass() would answer NULL for one that does not exist, and is refused for it
# instead.
RELATION_NAMES = frozenset({"pg_get_serial_sequence", "pg_get_viewdef", "regclass()", "to_regclass"})
# Functions that read a name as text.
TEXTS = frozenset(
    {
        "regclass",
        "to_regclass",
        "to_regcollation",
        "to_regnamespace",
        "to_regoper",
        "to_regoperator",
        "to_regproc",
        "to_regprocedure",
        "to_regtype",
    }
)
ASKING = TEXTS | ARGUMENTS.keys()
SETTING = "current_setting"
SETTING_HINT = "Name one of the settings that a session may change, as a constant."
HINT = "Give it a column of a catalog, or a constant that names what you see."


def check_objects(nodes: Nodes, world: World) -> None:
    """Refuse a call, or a cast to a reg* type, that could tell of an object which the tenant does not see. What a name
    in a constant means for a cast is permit's business; here it passes.

    Raises FeatureNotSupported, UndefinedTable for a hidden relation, and what resolve raises."""
    tree = nodes.tree
    # Columns of json_to_record() AS t(a regclass), JSON_TABLE, JSON_VALUE(… RETURNING regclass) read names too.
    check_types(nodes.of("TypeName"), nodes.of("TypeCast"), world)
    calls = nodes.of("FuncCall")
    _check_age(nodes.every, calls)
    _check_partitions(calls, world)
    origins = _check_settings(tree, calls, world)
    for what, argument, location, compared in _asked(nodes):
        plain = uncast(argument)
        text = plain.get("A_Const", {}).get("sval", {}).get("sval") if "sval" in plain.get("A_Const", {}) else None
        if text is not None and not (text.isascii() and text.isdigit()):
            _check_name(what, text, world, location)
            continue
        if world.policy.schema and what == "regclass" and is_tableoid(argument):
            continue  # guarded later
        if compared and "ParamRef" in plain:
            continue  # a value that is compared and not printed: drivers look types and relations up so
        if origins is None:
            origins = Origins(tree, world)
        if not origins.shown(argument, what in ("regproc", "regprocedure")):
            raise FeatureNotSupported(f"{what} of this expression is not supported", hint=HINT, location=location)


def bound_names(nodes: Nodes) -> tuple[NameCheck, ...]:
    """The parameters that give names to casts, which the server would look up at Bind, and to current_setting()."""
    found = []
    uses = Counter(int(body.get("number", 0)) for body in nodes.of("ParamRef"))
    for body in nodes.of("TypeCast"):
        if _kind(body) in REG_TYPES:
            given = uncast(body["arg"])
            if "ParamRef" in given:
                number = int(given["ParamRef"].get("number", 0))
                found.append(NameCheck(number, _kind(body), given is body["arg"] and uses[number] == 1))
    for body in nodes.of("FuncCall"):
        if _called(body) == SETTING and body.get("args"):
            given = uncast(body["args"][0])
            if "ParamRef" in given:
                found.append(NameCheck(int(given["ParamRef"].get("number", 0)), SETTING, direct=False))
    return tuple(found)


def _check_settings(tree: Tree, calls: list[Tree], world: World) -> Origins | None:
    """current_setting() of a column reads what the column names: only pg_settings has what a session may read."""
    origins: Origins | None = None
    for body in calls:
        if _called(body) != SETTING or "ColumnRef" not in uncast(body["args"][0]):
            continue
        origins = origins or Origins(tree, world)
        if not origins.is_column(uncast(body["args"][0]), "pg_settings", "name"):
            raise InsufficientPrivilege("permission denied for function current_setting", hint=SETTING_HINT)
    return origins


def _check_name(what: str, text: str, world: World, location: int | None) -> None:
    """A name in a constant, as an argument of a function of ARGUMENTS."""
    if what == "has_database_privilege":
        allowed = text == world.catalog.database
    elif what == "has_schema_privilege":
        allowed = text in world.path or text == "information_schema"
    elif what == "pg_has_role":
        allowed = text.startswith("pg_")  # the server's own; nobody else's may be called so
    elif what.startswith("has_") and what not in RELATION_PRIVILEGES and what in ARGUMENTS:
        allowed = False
    elif what in RELATION_PRIVILEGES or what in RELATION_NAMES:
        schema, name = split_name(text)
        sequence = any((one, name) in world.policy.sequences for one in (world.path if schema is None else (schema,)))
        allowed = sequence or world.relation(schema, name) is not None
        if not allowed and what != "to_regclass":
            full = name if schema is None else f"{schema}.{name}"
            raise UndefinedTable(f'relation "{full}" does not exist', location=location)
    elif what.endswith("regnamespace"):
        allowed = split_name(text)[1] in (*world.path, "information_schema")
        if not allowed and what == "regnamespace":
            raise UndefinedObject(f'schema "{split_name(text)[1]}" does not exist', sqlstate="3F000", location=location)
    elif what.endswith("regtype"):
        allowed = _type_shown(text, world)
        if not allowed and what == "regtype":
            raise UndefinedObject(f'type "{text}" does not exist', location=location)
    elif what.startswith("to_regproc"):
        schema, name = split_name(text.partition("(")[0])
        listed = {(rule.schema, rule.name) for rule in world.policy.functions}
        found = world.function_candidates(schema, name)
        allowed = all(one.schema == "pg_catalog" or (one.schema, one.name) in listed for one in found)
    else:
        allowed = True
    if not allowed:
        raise FeatureNotSupported(f"{what}() of this name is not supported", hint=HINT, location=location)


def _type_shown(text: str, world: World) -> bool:
    """Is it no type of a hidden relation's rows, nor an array of them? A type's name that is no plain one, such as
    "double precision", belongs to pg_catalog."""
    schema, name = split_name(text.partition("[")[0].partition("(")[0])
    types = world.catalog.types_by_name
    for one in world.path if schema is None else (schema,):
        found = types.get((one, name))
        if found is not None:
            element = world.catalog.types.get(found.element, found)
            row = world.catalog.relations_by_oid.get(element.relation)
            if world.hides_type(found.oid):
                return False
            return row is None or row.kind == "c" or world.relation(row.schema, row.name) is not None
    return True


def _asked(nodes: Nodes) -> Iterator[tuple[str, Tree, int | None, bool]]:
    """What is asked of which expression: the function or type, the expression, where, and whether the answer is only
    compared."""
    every = [
        (name, body)
        for name, body in nodes.every
        if (name == "FuncCall" and _called(body) in ASKING) or (name == "TypeCast" and _kind(body) in REG_TYPES)
    ]
    if not every:
        return
    compared = {
        id(body)
        for operation in nodes.of("A_Expr")
        if operation.get("name", [{}])[-1].get("String", {}).get("sval") in ("=", "<>")
        for side in ("lexpr", "rexpr")
        for body in operation.get(side, {}).values()
    }
    for name, body in every:
        location = body.get("location")
        if name == "FuncCall":
            called = _called(body)
            arguments = body.get("args", [])
            if called in TEXTS and arguments:
                yield (
                    called if called.startswith("to_") else f"{called}()",
                    arguments[0],
                    location,
                    id(body) in compared,
                )
            number = ARGUMENTS.get(called)
            if number is None or not -len(arguments) <= number < len(arguments):
                continue
            if number < 0 and len(arguments) + number > 0 and "SQLValueFunction" not in arguments[0]:
                raise FeatureNotSupported(
                    f"{called}() for another role is not supported",
                    hint="Leave the role out: the session's own is meant.",
                    location=location,
                )
            yield called, arguments[number], location, False
        else:
            yield _kind(body), body["arg"], location, id(body) in compared


def _called(call: Tree) -> str:
    return str(call["funcname"][-1]["String"].get("sval", ""))


def _kind(body: Tree) -> str:
    """The last name of the type that a cast or a column definition names; of an array, its element's."""
    return str(body.get("typeName", {}).get("names", [{}])[-1].get("String", {}).get("sval", "")).lstrip("_")


def _check_age(every: list[tuple[str, Tree]], calls: list[Tree]) -> None:
    """age(xid) counts the transactions of everybody; age(timestamp) does not. Which one is meant shows in full analysis
    only, so age() of one argument is refused where a transaction id may be about."""
    if not any(_called(body) == "age" and len(body.get("args", ())) == 1 for body in calls):
        return
    for name, body in every:
        bare = name == "FuncCall" and _called(body) == "age" and "ParamRef" in body.get("args", [{}])[0]
        fields = body.get("fields", []) if name == "ColumnRef" else []
        system = bool(fields) and fields[-1].get("String", {}).get("sval") in ("xmin", "xmax")
        declared = _kind(body) if name in ("TypeCast", "ColumnDef") else ""
        xid = declared == "xid" or declared.startswith("pg_") or (name == "FuncCall" and _called(body) == "xid")
        catalog = name == "RangeVar" and (
            body.get("schemaname") == "pg_catalog" or str(body.get("relname", "")).startswith("pg_")
        )
        if bare or system or catalog or xid:
            raise InsufficientPrivilege("permission denied for function age", hint="Cast its argument to timestamptz.")


def _check_partitions(calls: list[Tree], world: World) -> None:
    """pg_partition_tree() and its like give the whole family, so all of it must be shown."""
    for body in calls:
        if _called(body).startswith("pg_partition_") and world.splits_partitions:
            raise FeatureNotSupported(
                f"{_called(body)}() is not supported", hint="Read pg_inherits.", location=body.get("location")
            )
