"""COPY: what is sent for one, and what the session must know of its rows.

COPY table TO becomes COPY (SELECT its columns) TO, which is confined as any query. COPY table FROM gets a condition
that the server asks of each row: the row is the tenant's, or the statement fails. That confines it, whatever the client
sends; the session's scanner only supplies the tenant column where the client's list has none, and a mistake of it can
be no more than an error. Options are the server's to refuse; here they are read as it would. Source: isolation.md 1.2,
decision 0021; PostgreSQL's commands/copy.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from proxy.errors import FeatureNotSupported, InsufficientPrivilege, Refusal, SyntaxRefused, UndefinedTable
from proxy.sql.copied import CopyIn, CopyOut, Insertion
from proxy.sql.copyoptions import shape_of
from proxy.sql.insertion import insert_of, types_of
from proxy.sql.mapped import map_calls
from proxy.sql.nodes import Nodes
from proxy.sql.permit import permit
from proxy.sql.plan import FOREIGN_ROW, Template
from proxy.sql.rewrite import rewrite
from proxy.sql.rewrite.edit import column_ref, conjunction, equals, key_constant, operation, string
from proxy.sql.world import KEY_TYPES, Visible, World
from proxy.wire.copyformat import CopyFormat

Node = dict[str, Any]

FIELDS = frozenset({"relation", "attlist", "query", "is_from", "options", "whereClause"})
OPTIONS: Mapping[str, int] = {  # name -> the first major that knows it
    "format": 0, "delimiter": 0, "null": 0, "header": 0, "quote": 0, "escape": 0, "force_quote": 0, "encoding": 0,
    "force_not_null": 0, "force_null": 0, "freeze": 0, "default": 16, "on_error": 17, "log_verbosity": 17,
    "reject_limit": 18,
}  # fmt: skip
FORMATS = ("text", "csv", "binary")
BOOLEANS = {"true": "skip", "on": "skip", "1": "skip", "false": "", "off": "", "0": "", "match": "match"}
WORDS = {"skip": "true", "": "false", "match": "match"}
KINDS = {"v": "view", "m": "materialized view", "f": "foreign table", "p": "partitioned table"}
MARKER_IN_CSV = 18  # before, a line of \. ended the data of CSV, too
COPY_OF_VIEWS = 18  # the first major that copies from a materialized view
QUERY_HINT = "Try the COPY (SELECT ...) TO variant."
ANYONE = "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone."


def settle(tree: Node, world: World) -> tuple[Node, CopyIn | CopyOut]:
    """The COPY to send, with a query still to be confined where it is one to STDOUT, and what is to be done with the
    rows of one from STDIN. A Refusal in PostgreSQL's words. The input is not changed."""
    body = tree["CopyStmt"]
    _refuse_files(body, world)
    if set(body) - FIELDS:
        raise FeatureNotSupported("this form of COPY is not supported")
    relation = None if "query" in body else _relation(body["relation"], world)
    options = _options(body, world)
    kept = [{"DefElem": _printable(one)} for one in _given(body) if one["defname"] != "freeze"]
    body = {name: value for name, value in body.items() if name != "options"}
    if kept:
        body["options"] = kept
    if relation is None:
        return {"CopyStmt": body}, CopyOut()
    if world.policy.schema and relation.access != "catalog":
        return _own_table(body, relation, world)
    if not body.get("is_from"):
        return {"CopyStmt": {"query": _table_query(body, relation, world), **_kept(body, "options")}}, CopyOut()
    return _incoming(body, relation, options, world)


def _own_table(body: Node, visible: Visible, world: World) -> tuple[Node, CopyIn | CopyOut]:
    """A table of a schema of the tenant's own, or a shared one, is copied as it is; what cannot be, the server says."""
    incoming = bool(body.get("is_from"))
    if incoming and world.policy.read_only and visible.relation.schema != "pg_temp":
        raise Refusal("cannot execute COPY FROM in a read-only transaction", sqlstate="25006")
    if body.get("whereClause") is not None:
        _check_condition(body["whereClause"], body["relation"], world)
    table = {name: value for name, value in body["relation"].items() if name != "catalogname"}
    if visible.relation.schema:
        table["schemaname"] = visible.relation.schema
    copied = CopyIn(visible.relation.name, 0, CopyFormat()) if incoming else CopyOut()
    return {"CopyStmt": {**body, "relation": table}}, copied


def _kept(body: Node, *names: str) -> Node:
    return {name: body[name] for name in names if name in body}


def _refuse_files(body: Node, world: World) -> None:
    incoming, major = body.get("is_from", False), world.catalog.major
    if body.get("is_program"):
        what, role = "COPY to or from an external program", "pg_execute_server_program"
    elif "filename" in body:
        what = "COPY from a file" if incoming else "COPY to a file"
        role = "pg_read_server_files" if incoming else "pg_write_server_files"
    else:
        return
    if major < 16:
        raise InsufficientPrivilege(f"must be superuser or have privileges of the {role} role to {what}", hint=ANYONE)
    detail = f'Only roles with privileges of the "{role}" role may {what}.'
    raise InsufficientPrivilege(f"permission denied to {what}", detail=detail, hint=ANYONE)


def _relation(node: Node, world: World) -> Visible:
    schema, name = node.get("schemaname"), node.get("relname", "")
    if node.get("catalogname", world.catalog.database) != world.catalog.database:
        full = f"{node['catalogname']}.{schema}.{name}"
        raise FeatureNotSupported(f'cross-database references are not implemented: "{full}"')
    visible = world.relation(schema, name)
    if visible is None:
        raise UndefinedTable(f'relation "{name if schema is None else f"{schema}.{name}"}" does not exist')
    return visible


def _columns(body: Node, visible: Visible) -> list[str]:
    """The columns of the rows: as listed, or all that are not generated, as far as they are known."""
    relation = visible.relation
    if "attlist" not in body:
        return [one.name for one in relation.columns if not one.generated]
    names: list[str] = []
    for name in (one["String"].get("sval", "") for one in body["attlist"]):
        column = relation.column(name)
        if column is None and visible.open:
            names.append(name)
            continue
        if column is None:
            raise Refusal(f'column "{name}" of relation "{relation.name}" does not exist', sqlstate="42703")
        if column.generated:
            detail = "Generated columns cannot be used in COPY."
            raise Refusal(f'column "{name}" is a generated column', detail=detail, sqlstate="42P10")
        if name in names:
            raise Refusal(f'column "{name}" specified more than once', sqlstate="42701")
        names.append(name)
    return names


# ---------------------------------------------------------------------------------------------- TO


def _table_query(body: Node, visible: Visible, world: World) -> Node:
    """SELECT columns FROM ONLY table: COPY leaves the rows of children out."""
    relation = visible.relation
    names = ["*"] if visible.open and "attlist" not in body else _columns(body, visible)
    if relation.kind in KINDS and not (relation.kind == "m" and world.catalog.major >= COPY_OF_VIEWS):
        raise Refusal(f'cannot copy from {KINDS[relation.kind]} "{relation.name}"', hint=QUERY_HINT, sqlstate="42809")
    table = {**body["relation"], "schemaname": relation.schema}
    if visible.access != "catalog" and relation.kind == "r":
        table.pop("inh", None)
    return {
        "SelectStmt": {
            "targetList": [{"ResTarget": {"val": _column(one), "location": -1}} for one in names],
            "fromClause": [{"RangeVar": table}],
            "limitOption": "LIMIT_OPTION_DEFAULT",
            "op": "SETOP_NONE",
        }
    }


# ---------------------------------------------------------------------------------------------- FROM


def _incoming(body: Node, visible: Visible, options: Mapping[str, Node], world: World) -> tuple[Node, CopyIn]:
    relation = visible.relation
    condition = body.get("whereClause")
    behind_rls = world.policy.behind_rls and visible.access == "tenant"
    if condition is not None:
        _check_condition(condition, body["relation"], world)
    columns = _columns(body, visible)
    if visible.access == "own":
        table = {**body["relation"], "schemaname": relation.schema}
        return {"CopyStmt": {**body, "relation": table}}, CopyIn(relation.name, len(columns), CopyFormat())
    if world.policy.read_only:
        raise Refusal("cannot execute COPY FROM in a read-only transaction", sqlstate="25006")
    if relation.kind in "vmf":
        raise Refusal(f'cannot copy to {KINDS[relation.kind]} "{relation.name}"', sqlstate="42809")
    if behind_rls:
        shape = shape_of(_given(body), options, columns, relation, _text, world.catalog.major)
        form = format_of(options, world.catalog.major)
        insert = Insertion(Template((b"",)), (), frozenset(), types_of(visible, columns), shape)
        return insert_of(body, visible, columns, 2), CopyIn(relation.name, len(columns), form, insert=insert)
    tenant = visible.column
    name = "" if tenant is None else tenant.name
    _check_target(body["relation"], [one for one in columns if one != name], world)
    for one, _ in visible.numbers:
        if one not in columns:
            raise FeatureNotSupported(
                f'COPY FROM needs the column "{one}": its default is a number of the tenant\'s own',
                hint="Give it values, or use INSERT.",
            )
    if tenant is None:  # the check has refused it
        raise AssertionError("COPY FROM into a relation without the tenant column")
    supplied = name not in columns
    if supplied:
        _check_forced(options, name)
    copy = CopyIn(
        relation.name,
        len(columns),
        format_of(options, world.catalog.major) if supplied else CopyFormat(),
        name if supplied else "",
        visible.key if supplied else "",
        KEY_TYPES[tenant.type],
    )
    condition = conjunction([_own_row(visible, relation.name), *([condition] if condition else [])])
    sent: Node = {
        "relation": {**_kept(body["relation"], "relname", "inh", "relpersistence"), "schemaname": relation.schema},
        "attlist": [string(one) for one in ([name, *columns] if supplied else columns)],
        "is_from": True,
        "whereClause": condition,
    }
    if "options" in body:
        sent["options"] = [_spread(one, columns) for one in body["options"]] if supplied else body["options"]
    return {"CopyStmt": sent}, copy


def _check_target(relation: Node, columns: list[str], world: World) -> None:
    """What an INSERT of the same columns may not do, COPY may not do."""
    insert: Node = {"relation": relation, "override": "OVERRIDING_NOT_SET"}
    if columns:
        row = {"List": {"items": [{"A_Const": {"isnull": True, "location": -1}} for _ in columns]}}
        insert["cols"] = [{"ResTarget": {"name": one, "location": -1}} for one in columns]
        insert["selectStmt"] = {
            "SelectStmt": {"valuesLists": [row], "limitOption": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}
        }
    rewrite({"InsertStmt": insert}, world)


def _check_condition(condition: Node, relation: Node, world: World) -> None:
    """Its names may be used, and it does nothing to the session. It needs no guard, for it is asked of the client's
    own rows only.
    """
    nodes = Nodes(condition)
    for body in nodes.of("SubLink"):
        raise FeatureNotSupported("cannot use subquery in COPY FROM WHERE condition", location=body.get("location"))
    query: Node = {"fromClause": [{"RangeVar": relation}], "whereClause": condition, "op": "SETOP_NONE"}
    permit(Nodes({"SelectStmt": query}), world)
    if map_calls(nodes, world).acted:
        raise FeatureNotSupported("this function is not supported in COPY", hint="Call it in a statement of its own.")


def _own_row(visible: Visible, table: str) -> Node:
    """CASE WHEN column = key THEN true ELSE an error END: the server asks it of each row, before anything is stored."""
    column = column_ref(table, visible.column.name if visible.column is not None else "")
    text = {"TypeCast": {"arg": column, "typeName": _type("text"), "location": -1}}
    shown = {"CoalesceExpr": {"args": [text, _constant(sval={"sval": ""})], "location": -1}}
    message = operation("||", _constant(sval={"sval": FOREIGN_ROW}), shown)
    otherwise = {"TypeCast": {"arg": message, "typeName": _type("bool"), "location": -1}}
    own = equals(column, key_constant(visible))
    when = {"CaseWhen": {"expr": own, "result": _constant(boolval={"boolval": True}), "location": -1}}
    return {"CaseExpr": {"args": [when], "defresult": otherwise, "location": -1}}


def _column(name: str) -> Node:
    return {"ColumnRef": {"fields": [{"A_Star": {}}], "location": -1}} if name == "*" else column_ref(name)


def _type(name: str) -> Node:
    return {"names": [string("pg_catalog"), string(name)], "typemod": -1, "location": -1}


def _constant(**value: Any) -> Node:
    return {"A_Const": {**value, "location": -1}}


# ---------------------------------------------------------------------------------------------- options


def _given(body: Node) -> list[Node]:
    return [one["DefElem"] for one in body.get("options", ())]


def _options(body: Node, world: World) -> Mapping[str, Node]:
    """DefElems by name; one that is given twice stays, for the server refuses it."""
    found: dict[str, Node] = {}
    for one in _given(body):
        name = one["defname"]
        if OPTIONS.get(name, world.catalog.major + 1) > world.catalog.major:
            raise SyntaxRefused(f'option "{name}" not recognized', location=one.get("location"))
        if name == "freeze" and BOOLEANS.get(_text(one.get("arg")).lower()) != "":
            raise FeatureNotSupported("COPY FREEZE is not supported", hint="Leave FREEZE out.")
        if name == "format" and _text(one.get("arg")) not in FORMATS:
            text = f'COPY format "{_text(one.get("arg"))}" not recognized'
            raise Refusal(text, location=one.get("location"), sqlstate="22023")
        found[name] = one
    return found


def _printable(option: Node) -> Node:
    """The same option in the form that the deparser prints back: numbers as strings, HEADER by its plain words."""
    name, arg = option["defname"], option.get("arg", {})
    if name == "header" and {"Integer", "String"} & set(arg):
        meant = BOOLEANS.get(_text(arg).lower())
        return option if meant is None else {**option, "arg": string(WORDS[meant])}
    if name in ("delimiter", "null", "quote", "escape", "default") and {"Integer", "Float"} & set(arg):
        return {**option, "arg": string(_text(arg))}
    return option


def _check_forced(options: Mapping[str, Node], column: str) -> None:
    """The tenant column is no column of the client's rows."""
    for name in ("force_not_null", "force_null"):
        items = options.get(name, {}).get("arg", {}).get("List", {}).get("items", ())
        if any(one.get("String", {}).get("sval") == column for one in items):
            raise Refusal(f'{name.upper()} column "{column}" not referenced by COPY', sqlstate="42P10")


def _spread(option: Node, columns: list[str]) -> Node:
    """FORCE_NULL * means the client's columns."""
    body = option["DefElem"]
    if body["defname"] not in ("force_null", "force_not_null") or "A_Star" not in body.get("arg", {}):
        return option
    return {"DefElem": {**body, "arg": {"List": {"items": [string(one) for one in columns]}}}}


def format_of(options: Mapping[str, Node], major: int) -> CopyFormat | None:
    """What the options say about the bytes; None where the server must refuse them."""
    given = {name: _text(one.get("arg")) for name, one in options.items()}
    name = given.get("format", "text")
    header = BOOLEANS.get((given.get("header", "false") or "true").lower())
    if name not in FORMATS or header is None:
        return None
    if re.sub(r"[^a-z0-9]", "", (given.get("encoding", "utf8") or "").lower()) not in ("utf8", "unicode"):
        raise FeatureNotSupported("COPY FROM needs the encoding UTF8", hint="Convert the data before they are sent.")
    csv = name == "csv"
    delimiter = (given.get("delimiter", "," if csv else "\t") or "").encode()
    quote = (given.get("quote", '"') or "").encode()
    escape = (given.get("escape", quote.decode()) or "").encode()
    if any(len(one) != 1 for one in (delimiter, quote, escape)):
        return None
    if csv and any(one in b"\r\n" for one in (quote, escape)):
        raise FeatureNotSupported("COPY with a newline as QUOTE or ESCAPE is not supported")
    markers = [given.get("null", "" if csv else "\\N"), *([given["default"]] if "default" in given else [])]
    return CopyFormat(
        name, delimiter, quote, escape, tuple((one or "").encode() for one in markers), header, major < MARKER_IN_CSV
    )


def _text(arg: Node | None) -> str:
    """An option's value as the server reads it; "" where there is none."""
    if arg is None:
        return ""
    ((name, body),) = arg.items()
    if name == "Boolean":
        return "true" if body.get("boolval") else "false"
    if name == "Integer":
        return str(body.get("ival", 0))
    return str(body.get("sval", body.get("fval", "")))
