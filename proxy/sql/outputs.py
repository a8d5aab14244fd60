"""Outputs: the columns a query puts out, with what is known of each, and whether the query is hard.

Promises: names as PostgreSQL's FigureColname where a later name lookup can depend on them. A query is hard
(isolation.md 2.5, rule 6) where an output may throw when it is computed on another row: everything but silent
expressions and bare stored columns."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.sql.oids import TEXT, UNTYPED
from proxy.sql.scope import UNKNOWN, Env, Named, Query, Tree, Value, strings
from proxy.sql.silent import Silence
from proxy.sql.types import Types, node

_DEFAULT_COLLATION = 100
_NAMES: Mapping[str, str] = {
    "A_ArrayExpr": "array",
    "RowExpr": "row",
    "CoalesceExpr": "coalesce",
    "GroupingFunc": "grouping",
    "XmlSerialize": "xmlserialize",
    "MergeSupportFunc": "merge_action",
    "JsonParseExpr": "json",
    "JsonScalarExpr": "json_scalar",
    "JsonSerializeExpr": "json_serialize",
    "JsonObjectConstructor": "json_object",
    "JsonArrayConstructor": "json_array",
    "JsonArrayQueryConstructor": "json_array",
    "JsonObjectAgg": "json_objectagg",
    "JsonArrayAgg": "json_arrayagg",
}


def column_name(wrapped: Tree) -> str:
    """The name of an output column without AS."""
    return _figured(wrapped)[0] or "?column?"


def still_named(edited: Tree, target: Tree) -> Tree:
    """A target of which something was replaced, under the name that the client's gives the column."""
    if "name" in target or "val" not in target or column_name(target["val"]) == column_name(edited["val"]):
        return edited
    return {**edited, "name": column_name(target["val"])}


def _figured(wrapped: Tree) -> tuple[str | None, bool]:
    """The name, and whether it is a good one: a cast or a CASE around has a name of its own otherwise."""
    name, body = node(wrapped)
    match name:
        case "ColumnRef" | "FuncCall" | "A_Indirection":
            field = {"ColumnRef": "fields", "FuncCall": "funcname", "A_Indirection": "indirection"}[name]
            given = [one["String"].get("sval", "") for one in body.get(field, []) if "String" in one]
            if not given and name == "A_Indirection":
                return _figured(body["arg"])
            return (str(given[-1]), True) if given else (None, False)
        case "TypeCast":
            inner, good = _figured(body["arg"])
            return (inner, True) if good else ((strings(body["typeName"].get("names", [])) or [""])[-1], False)
        case "CollateClause":
            return _figured(body["arg"])
        case "CaseExpr":
            inner, good = _figured(body["defresult"]) if "defresult" in body else (None, False)
            return (inner, True) if good else ("case", False)
        case "SubLink":
            kind = body.get("subLinkType")
            if kind in ("EXISTS_SUBLINK", "ARRAY_SUBLINK"):
                return ("exists" if kind == "EXISTS_SUBLINK" else "array"), True
            return (
                (_of_query(body["subselect"].get("SelectStmt", {})), True) if kind == "EXPR_SUBLINK" else (None, False)
            )
        case "SQLValueFunction":
            return str(body.get("op", "")).removeprefix("SVFOP_").removesuffix("_N").lower(), True
        case "MinMaxExpr":
            return ("greatest" if body.get("op") == "IS_GREATEST" else "least"), True
        case "A_Expr" if body.get("kind") == "AEXPR_NULLIF":
            return "nullif", True
        case "XmlExpr" if body.get("op") != "IS_DOCUMENT":
            return str(body.get("op", "")).removeprefix("IS_").lower(), True
        case "JsonFuncExpr":
            return str(body.get("op", "")).removesuffix("_OP").lower(), True
        case _:
            return _NAMES.get(name), name in _NAMES


def _of_query(body: Tree) -> str:
    """The name of a query's first column."""
    while body.get("op", "SETOP_NONE") != "SETOP_NONE":
        body = body["larg"]
    if "valuesLists" in body:
        return "column1"
    targets = body.get("targetList", [])
    first = targets[0]["ResTarget"] if targets else {}
    return first.get("name") or (column_name(first["val"]) if "val" in first else "?column?")


def _given(wrapped: Tree, env: Env, types: Types, silence: Silence) -> Value:
    """What a derived table's column made of this expression is."""
    value = types.value(wrapped, env)
    stored = value.stored and node(wrapped)[0] == "ColumnRef"
    silent = silence.silent(wrapped, env)
    key = value.key if node(wrapped)[0] in ("ColumnRef", "SubLink") else None
    if value.type == UNTYPED:
        return Value(TEXT, _DEFAULT_COLLATION, silent=silent and value.literal)
    return Value(value.type, value.collation, silent, False, stored, None, key)


def expanded(targets: list[Tree], env: Env, types: Types, silence: Silence) -> tuple[tuple[Named, ...] | None, bool]:
    """The outputs of a target list, stars expanded, and whether they are hard. Outputs are None where they are not
    all known."""
    found: list[Named] = []
    known = True
    hard = False
    for one in targets:
        target = one["ResTarget"]
        name, body = node(target["val"])
        fields = body.get("fields", []) if name == "ColumnRef" else []
        if fields and "A_Star" in fields[-1]:
            items = [item for item in env.items if item.by_column]
            if len(fields) > 1:
                item = env.relation(strings(fields[-2:-1])[0])  # type: ignore[index]  # a qualifier is always a String
                items = [] if item is None else [item]
                known = known and item is not None
            for item in items:
                known = known and not item.open
                for column in item.columns:
                    value = column.value
                    hard = hard or not (value.silent or value.stored)
                    found.append(
                        Named(
                            column.name,
                            Value(value.type, value.collation, value.silent, False, value.stored, None, value.key),
                        )
                    )
            continue
        if name == "A_Indirection" and "A_Star" in body.get("indirection", [{}])[-1]:
            known, hard = False, True
            continue
        value = _given(target["val"], env, types, silence)
        hard = hard or not (value.silent or value.stored)
        found.append(Named(target.get("name") or column_name(target["val"]), value))
    return (tuple(found) if known else None), hard or not known


def of_values(query: Query, types: Types, silence: Silence) -> None:
    """Set the outputs of a VALUES query."""
    env = query.level.env
    if env is None:  # a level without names is not resolved yet
        raise AssertionError("VALUES without an environment")
    rows = [one["List"].get("items", []) for one in query.body["valuesLists"]]
    width = len(rows[0])
    found = []
    for at in range(width):
        cells = [row[at] for row in rows if at < len(row)]
        for cell in cells:
            name, body = node(cell)
            if name == "A_Const" and ("ival" in body or "fval" in body):
                silence.sensitive.add(int(body.get("location", 0)))  # int4, int8 or numeric by its digits
        shared = types.common([types.value(cell, env) for cell in cells])
        silent = all(silence.silent(cell, env) for cell in cells)
        query.hard = query.hard or not silent or shared.type is None
        found.append(Named(f"column{at + 1}", Value(shared.type, shared.collation, silent and shared.type is not None)))
    query.outputs = tuple(found)


def combined(query: Query, left: Query, right: Query, types: Types) -> None:
    """Set the outputs of a set operation: known where both arms agree, hard where an arm is hard or is cast."""
    query.hard = left.hard or right.hard
    if left.outputs is None or right.outputs is None or len(left.outputs) != len(right.outputs):
        query.hard = True
        return
    found = []
    for one, other in zip(left.outputs, right.outputs, strict=True):
        a, b = one.value, other.value
        if a.type is None or a.type != b.type:
            query.hard = True
            found.append(Named(one.name, UNKNOWN))
            continue
        collation = a.collation if a.collation == b.collation else None
        key = a.key if a.key == b.key else None
        found.append(
            Named(one.name, Value(a.type, collation, a.silent and b.silent, False, a.stored and b.stored, None, key))
        )
    query.outputs = tuple(found)


def renamed(columns: tuple[Named, ...], alias: Tree, is_open: bool) -> tuple[Named, ...]:
    """The columns under an alias's column list; an open item may have more columns than are known."""
    names = [one["String"]["sval"] for one in alias.get("colnames", [])]
    found = [Named(names[at] if at < len(names) else one.name, one.value) for at, one in enumerate(columns)]
    if is_open:
        found += [Named(name, UNKNOWN) for name in names[len(columns) :]]
    return tuple(found)
