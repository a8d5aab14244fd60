"""Which conditions cannot throw, emit or act whatever the row: the verifier's own, syntactic list, with the types it
can see.

Types of columns of tables are looked up; of derived columns they are taken on trust. Source: isolation.md 2.5, rule 2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from proxy.catalog.model import Catalog, Column

Node = dict[str, Any]
Find = Callable[[list[str]], Column | None]  # the table column that a ColumnRef names; None where it is none of a table

COMPARE = frozenset({"=", "<>", "<", "<=", ">", ">="})
CONTAIN = frozenset({"@>", "<@", "&&", "@@", "?", "->", "->>"})
LIKE = frozenset({"~~", "!~~", "~~*", "!~~*"})
PLAIN = frozenset({
    21, 23, 20, 1700, 700, 701, 25, 1043, 19, 1042, 1082, 1114, 1184, 1083, 1266, 1186, 16, 2950, 17, 869, 650, 829, 26,
    3904, 3926, 3912, 3908, 3910, 3802, 3614,
})  # fmt: skip
PLAIN_CASTS = frozenset({
    "int2", "int4", "int8", "text", "varchar", "name", "bpchar", "date", "time", "timetz", "timestamp", "timestamptz",
    "interval", "numeric",
    "float4", "float8", "bool", "uuid", "bytea", "inet", "cidr", "macaddr", "oid", "int4range", "int8range",
    "daterange", "tsrange", "tstzrange",
    "jsonb", "tsvector", "tsquery",
})  # fmt: skip
CALLS = frozenset({"lower", "upper", "length", "char_length", "octet_length", "now", "to_tsquery", "plainto_tsquery"})
SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax"})


@cache
def _tried() -> frozenset[str]:
    """`operator left right` and `function argument` that throw for no value: the table, by names of types."""
    data = orjson.loads(files("proxy.sql.data").joinpath("silent.json").read_bytes())
    return frozenset(data["entries"])


def class_of(catalog: Catalog, number: int) -> str | None:
    """The type as the table names it, with #OID behind a name that several types share; None for a type of which
    nothing is promised.
    """
    one = catalog.types.get(number)
    if one is None:
        return None
    if number in PLAIN:
        return one.name
    if one.kind == "d":
        return class_of(catalog, one.base)
    if one.kind == "e":
        return f"anyenum#{number}"
    if one.element and one.category == "A":
        inner = class_of(catalog, one.element)
        return None if inner is None else f"_{inner.partition('#')[0]}#{number}"
    return None


class Harmless:
    """Decides over expressions of one level; `find` looks columns up."""

    def __init__(self, catalog: Catalog, find: Find) -> None:
        self._catalog = catalog
        self._find = find
        self._found: dict[tuple[str, ...], Column | None] = {}  # a level's names mean the same all the while

    def __call__(self, node: Node) -> bool:
        """True for a harmless expression."""
        ((name, body),) = node.items()
        match name:
            case "ColumnRef":
                return self._column(body)
            case "A_Const":
                return "bsval" not in body
            case "ParamRef":
                return True
            case "SQLValueFunction":
                return body.get("op") in {"SVFOP_CURRENT_DATE", "SVFOP_CURRENT_TIMESTAMP"}
            case "TypeCast":
                return self._cast(body)
            case "NullTest" | "BooleanTest":
                return self(body["arg"])
            case "BoolExpr" | "CoalesceExpr":
                return all(self(one) for one in body["args"])
            case "RowExpr":
                return all(self(one) for one in body.get("args", ()))
            case "List":
                return all(self(one) for one in body.get("items", ()))
            case "A_ArrayExpr":
                return all("A_Const" in one or ("TypeCast" in one and self(one)) for one in body.get("elements", ()))
            case "FuncCall":
                return self._call(body)
            case "A_Expr":
                return self._operation(body)
            case _:
                return False

    def kind(self, node: Node) -> str | None:
        """The class of an expression's type, "literal", or None where it is not known here."""
        ((name, body),) = node.items()
        if name == "ColumnRef":
            column = self._named(body)
            return None if column is None else class_of(self._catalog, column.type)
        return "literal" if name == "A_Const" else None

    def like(self, operator: list[str], left: Node, right: Node) -> bool:
        """Whether two operands compare without a throw, whatever computes them; by what is known of their types."""
        return not (len(operator) == 1 and self._namesake(operator[0], left, right)) and self._comparable(
            operator[-1], left, right
        )

    def _named(self, body: Node) -> Column | None:
        fields = _fields(body)
        key = tuple(fields)
        if key not in self._found:
            self._found[key] = self._find(fields)
        return self._found[key]

    def _column(self, body: Node) -> bool:
        fields = _fields(body)
        if not fields or len(fields) != len(body["fields"]) or fields[-1] in SYSTEM_COLUMNS:
            return False
        column = self._named(body)
        return column is None or (column.generated != "v" and class_of(self._catalog, column.type) is not None)

    def _cast(self, body: Node) -> bool:
        names = _strings(body["typeName"].get("names", ()))
        if not ({"A_Const", "ParamRef"} & set(body["arg"])):
            return "TypeCast" in body["arg"] and self._cast(body["arg"]["TypeCast"]) and names[-1] in PLAIN_CASTS
        if names[-1] in PLAIN_CASTS and (len(names) == 1 or names[0] == "pg_catalog"):
            return True
        schema, name = (names[0] if len(names) > 1 else "public"), names[-1]
        one = self._catalog.types_by_name.get((schema, name))
        return one is not None and one.kind == "e"

    def _call(self, body: Node) -> bool:
        names = _strings(body["funcname"])
        if (
            set(body) - {"funcname", "args", "funcformat", "location"}
            or names[-1] not in CALLS
            or names[:-1] not in ([], ["pg_catalog"])
        ):
            return False
        if any(one.schema != "pg_catalog" for one in self._catalog.functions.get(names[-1], ())):
            return False
        arguments = body.get("args", ())
        if names[-1].endswith("tsquery"):
            return all("A_Const" in one or "TypeCast" in one for one in arguments) and all(
                self(one) for one in arguments
            )
        return all(
            self(one) and (self.kind(one) in {None, "literal"} or f"{names[-1]} {self.kind(one)}" in _tried())
            for one in arguments
        )

    def _operation(self, body: Node) -> bool:
        kind = body.get("kind", "AEXPR_OP")
        names = _strings(body.get("name", ()))
        operator = names[-1] if names[:-1] in ([], ["pg_catalog"]) else ""
        left, right = body.get("lexpr"), body.get("rexpr")
        if left is None or right is None or (names[:-1] == [] and self._namesake(operator, left, right)):
            return False
        if kind in {"AEXPR_LIKE", "AEXPR_ILIKE"} or (kind == "AEXPR_OP" and operator in LIKE):
            return self(left) and self._listed(operator, self.kind(left), "text") and _good_pattern(right)
        if not (self(left) and self(right)):
            return False
        if kind in {"AEXPR_OP", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"} and operator in COMPARE:
            return self._comparable(operator, left, right)
        if kind == "AEXPR_OP" and operator in CONTAIN:
            return self._contained(operator, left, right)
        if kind == "AEXPR_OP" and operator in {"+", "-"}:
            return _clock(left) and ("A_Const" in right or "TypeCast" in right)
        if kind in {"AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN", "AEXPR_BETWEEN_SYM", "AEXPR_NOT_BETWEEN_SYM"}:
            needed = {"AEXPR_IN": [operator]}.get(kind, ["<=", ">="])
            return all(self._comparable(one, left, item) for item in right["List"].get("items", ()) for one in needed)
        return (
            kind in {"AEXPR_OP_ANY", "AEXPR_OP_ALL"}
            and operator in COMPARE
            and bool({"A_ArrayExpr", "ParamRef", "A_Const", "TypeCast"} & set(right))
        )

    def _contained(self, operator: str, left: Node, right: Node) -> bool:
        """A constant becomes what the operator takes; everything else is of the left side's type."""
        kind = self.kind(left)
        if operator in {"->", "->>", "?"}:
            return "A_Const" in right and self._listed(operator, kind, "text")
        return self._listed(operator, kind, "tsquery" if operator == "@@" else kind)

    def _comparable(self, operator: str, left: Node, right: Node) -> bool:
        if ("RowExpr" in left) != ("RowExpr" in right):
            return False
        if "RowExpr" in left:
            pairs = zip(left["RowExpr"]["args"], right["RowExpr"]["args"], strict=False)
            return len(left["RowExpr"]["args"]) == len(right["RowExpr"]["args"]) and all(
                self._comparable(operator, *pair) for pair in pairs
            )
        return self._listed(operator, self.kind(left), self.kind(right)) and self._collations(left, right)

    @staticmethod
    def _listed(operator: str, *kinds: str | None) -> bool:
        """Is the operator tried for these types? What is not known here is taken on trust; a literal becomes what it
        meets.
        """
        if None in kinds:
            return True
        known = [one for one in kinds if one and one != "literal"] or ["text"]
        left, right = known[0].partition("#")[0], known[-1].partition("#")[0]
        return (left != right or known[0] == known[-1]) and f"{operator} {left} {right}" in _tried()

    def _collations(self, left: Node, right: Node) -> bool:
        found = set()
        for node in (left, right):
            column = self._named(node["ColumnRef"]) if "ColumnRef" in node else None
            if column is not None and column.collation not in {0, 100}:
                found.add(column.collation)
        return len(found) < 2

    def _namesake(self, operator: str, left: Node, right: Node) -> bool:
        """Is there an operator of that name outside pg_catalog that could be meant? Then nothing is promised. One that
        takes nothing but types of which nothing is promised, such as an extension's, is not meant by any that is.
        """
        namesakes = self._catalog.own_operators.get(operator)
        if namesakes is None:
            return False
        kinds = {self.kind(left), self.kind(right)}
        for one in namesakes:
            for side in {one.left, one.right} - {0}:
                found = self._catalog.types.get(side)
                taken = class_of(self._catalog, side)
                if found is None or found.kind == "p" or (taken is not None and {taken, None} & kinds):
                    return True
        return False


def _clock(node: Node) -> bool:
    return "SQLValueFunction" in node or ("FuncCall" in node and _strings(node["FuncCall"]["funcname"])[-1] == "now")


def _good_pattern(node: Node) -> bool:
    value = node.get("A_Const", {}).get("sval")
    if value is None:
        return False
    text = value.get("sval", "")
    return len(text.encode()) < 1000 and (len(text) - len(text.rstrip("\\"))) % 2 == 0


def _fields(body: Node) -> list[str]:
    return _strings(body.get("fields", ()))


def _strings(parts: Any) -> list[str]:
    return [one["String"].get("sval", "") for one in parts if "String" in one]
