"""Silent: which expressions cannot throw, emit or act, whatever the row.

Promises: True only for what isolation.md 2.5, rule 2 lists, and for operators and functions of the table that was tried
(nothrow.py); everything else, and everything whose types are not known, is not silent. Where the answer looked at the
value of a literal, the literal's place is put into `sensitive`, so that no plan is shared across it."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.sql.literals import Literals
from proxy.sql.nothrow import listed_name, never_throws
from proxy.sql.oids import (
    BOOL,
    BPCHAR,
    FLOATS,
    JSONB,
    NUMERIC,
    STRINGS,
    TEXT,
    TSVECTOR,
    UNTYPED,
    VARCHAR,
)
from proxy.sql.scope import Env, Query, Tree, Value, strings
from proxy.sql.types import COMPARISONS, Types, node
from proxy.sql.world import Scenery

_LIKES = frozenset({"~~", "!~~", "~~*", "!~~*"})
_STRING_FUNCTIONS = frozenset({"lower", "upper", "length", "char_length", "octet_length"})
_CONTAINS = frozenset({"@>", "<@", "&&"})
_COLLATABLE = STRINGS | {BPCHAR}
_DEFAULT_COLLATION = 100
_SUBSELECT_FIELDS = frozenset({"targetList", "fromClause", "whereClause", "limitOption", "op"})


def conjuncts(wrapped: Tree) -> list[Tree]:
    """The parts between top-level ANDs."""
    name, body = node(wrapped)
    if name == "BoolExpr" and body.get("boolop") == "AND_EXPR":
        return [part for one in body["args"] for part in conjuncts(one)]
    return [wrapped]


class Silence:
    """Decides over expressions whose sub-selects are already resolved in `types.queries`."""

    def __init__(self, world: Scenery, types: Types) -> None:
        self._world = world
        self._types = types
        self._literals = Literals(types)

    @property
    def sensitive(self) -> set[int]:
        """Byte offsets of the literals whose value was looked at."""
        return self._literals.sensitive

    def conjunct(self, wrapped: Tree, env: Env) -> bool:
        """True for a silent whole conjunct; only here may a sub-link be silent."""
        name, body = node(wrapped)
        if name == "BoolExpr" and body.get("boolop") == "NOT_EXPR":
            inner, sublink = node(body["args"][0])
            if inner == "SubLink":
                return sublink.get("subLinkType") == "EXISTS_SUBLINK" and self._sublink(sublink, env)
        if name == "SubLink":
            return self._sublink(body, env)
        return self.truth(wrapped, env)

    def truth(self, wrapped: Tree, env: Env) -> bool:
        """True for a silent expression of type bool."""
        value = self._types.value(wrapped, env)
        return (value.type == BOOL or (value.type == UNTYPED and value.literal)) and self.silent(wrapped, env)

    def silent(self, wrapped: Tree, env: Env) -> bool:
        """True for a silent expression of any type."""
        name, body = node(wrapped)
        match name:
            case "ColumnRef":
                return self._types.value(wrapped, env).silent
            case "A_Const":
                return "bsval" not in body
            case "ParamRef":
                return True
            case "TypeCast":
                return self._literals.cast(body)
            case "SQLValueFunction":
                return body.get("op") in ("SVFOP_CURRENT_DATE", "SVFOP_CURRENT_TIMESTAMP")
            case "NullTest":
                return self._plain(body["arg"], env)
            case "BooleanTest":
                return self.truth(body["arg"], env)
            case "BoolExpr":
                return all(self.truth(one, env) for one in body["args"])
            case "CoalesceExpr":
                return self._coalesce(body["args"], env)
            case "FuncCall":
                return self._call(body, env)
            case "A_Expr":
                return self._operation(body, env)
            case _:
                return False

    def operator_comparable(self, operator: Sequence[str], left: Value, right: Value) -> bool:
        """a ~ b of rule 2 for this comparison operator."""
        if not operator or operator[-1] not in COMPARISONS or not self._collations_agree(left, right):
            return False
        if any(one.type == UNTYPED and not one.literal for one in (left, right)):
            return False
        types = [one.type for one in (left, right) if one.type != UNTYPED] or [TEXT]  # a literal becomes what it meets
        one, other = types[0], types[-1]
        if one in FLOATS and other == NUMERIC and right.literal:  # a numeral is converted before any row is there
            other = one
        if other in FLOATS and one == NUMERIC and left.literal:
            one = other
        return self._listed(operator[-1], one, other) and self._types.is_pg_catalog(operator, (left.type, right.type))

    def _listed(self, symbol: str, left: int | None, right: int | None) -> bool:
        """True where the table says that pg_catalog's operator throws for no values of these types."""
        if left is None or right is None or not (self._types.is_plain(left) and self._types.is_plain(right)):
            return False
        one, other = (listed_name(self._world.catalog, self._types.base(oid)) for oid in (left, right))
        return (one != other or left == right) and never_throws(symbol, one, other)

    # -- parts

    def _collations_agree(self, *values: Value) -> bool:
        if any(one.collation is None for one in values):
            return False
        return len({one.collation for one in values} - {0, _DEFAULT_COLLATION}) <= 1

    def _plain(self, wrapped: Tree, env: Env) -> bool:
        value = self._types.value(wrapped, env)
        known = (value.type == UNTYPED and value.literal) or self._types.is_plain(value.type)
        return known and self.silent(wrapped, env)

    def _coalesce(self, parts: list[Tree], env: Env) -> bool:
        if not all(self._plain(one, env) for one in parts):
            return False
        for one in parts:  # int4 or int8 by its digits
            if node(one)[0] == "A_Const" and ("ival" in one["A_Const"] or "fval" in one["A_Const"]):
                self._literals.look(one["A_Const"])
        shared = self._types.common([self._types.value(one, env) for one in parts])
        return shared.type is not None and shared.collation is not None

    def _call(self, body: Tree, env: Env) -> bool:
        name = strings(body.get("funcname", []))
        extras = set(body) - {"funcname", "args", "funcformat", "location"}
        if not name or extras or not self._types.function_is_pg_catalog(name):
            return False
        arguments = body.get("args", [])
        if name[-1] == "now":
            return not arguments
        if name[-1] in _STRING_FUNCTIONS and len(arguments) == 1:
            value = self._types.value(arguments[0], env)
            listed = value.type in STRINGS and never_throws(name[-1], listed_name(self._world.catalog, value.type))
            return listed and self._deterministic(value) and self.silent(arguments[0], env)
        return False

    def _deterministic(self, value: Value) -> bool:
        if value.type == UNTYPED and value.literal:
            return True
        collation = self._world.catalog.collations.get(value.collation or 0)
        return collation is not None and collation.deterministic

    def _operation(self, body: Tree, env: Env) -> bool:
        name = strings(body.get("name", [])) or []
        kind = body.get("kind")
        if "lexpr" not in body or "rexpr" not in body or not name:
            return False
        left, right = body["lexpr"], body["rexpr"]
        match kind:
            case "AEXPR_OP":
                if name[-1] in COMPARISONS:
                    return self._comparison(name, left, right, env)
                return self._shifted_clock(name, left, right, env) or self._contained(name, left, right, env)
            case "AEXPR_DISTINCT" | "AEXPR_NOT_DISTINCT":
                return self._comparison(name, left, right, env)
            case "AEXPR_IN":
                return all(self._comparison(name, left, one, env) for one in right["List"]["items"])
            case "AEXPR_BETWEEN" | "AEXPR_NOT_BETWEEN":
                low, high = right["List"]["items"]
                values = [self._types.value(one, env) for one in (left, low, high)]
                pairs = self._comparison([">="], left, low, env) and self._comparison(["<="], left, high, env)
                return pairs and self._types.is_pg_catalog(["<"], [one.type for one in values])
            case "AEXPR_OP_ANY" | "AEXPR_OP_ALL":
                return self._any(name, left, right, env)
            case "AEXPR_LIKE" | "AEXPR_ILIKE":
                return name[-1] in _LIKES and self._like(name, left, right, env)
            case _:
                return False

    def _comparison(self, operator: list[str], left: Tree, right: Tree, env: Env) -> bool:
        kinds = (node(left)[0], node(right)[0])
        if kinds == ("RowExpr", "RowExpr"):
            pairs = list(zip(left["RowExpr"].get("args", []), right["RowExpr"].get("args", []), strict=False))
            equal = len(left["RowExpr"].get("args", [])) == len(right["RowExpr"].get("args", []))
            flat = not any(node(one)[0] == "RowExpr" for pair in pairs for one in pair)
            return (
                equal
                and bool(pairs)
                and flat
                and all(self._comparison(operator, one, other, env) for one, other in pairs)
            )
        if "RowExpr" in kinds or not (self.silent(left, env) and self.silent(right, env)):
            return False
        return self.operator_comparable(operator, self._types.value(left, env), self._types.value(right, env))

    def _any(self, operator: list[str], left: Tree, right: Tree, env: Env) -> bool:
        """x op ANY/ALL (array literal or $n)."""
        value = self._types.value(left, env)
        if operator[-1] not in COMPARISONS or not self.silent(left, env) or not self._types.is_plain(value.type):
            return False
        name, body = node(right)
        if name == "ParamRef":
            given = self._types.value(right, env)
            if given.type == UNTYPED:
                return given.literal and self._types.is_pg_catalog(operator, (value.type,))
            return self._element_comparable(operator, value, given)
        if name == "A_Const":
            return "sval" in body and self._types.is_pg_catalog(operator, (value.type,))
        if name == "A_ArrayExpr":
            elements = body.get("elements", [])
            literal = all(self._literals.constant(one) is not None and self.silent(one, env) for one in elements)
            return bool(elements) and literal and all(self._comparison(operator, left, one, env) for one in elements)
        if name == "TypeCast" and self._literals.cast(body):
            return self._element_comparable(operator, value, self._types.value(right, env))
        return False

    def _element_comparable(self, operator: list[str], value: Value, array: Value) -> bool:
        found = None if array.type is None else self._world.catalog.types.get(array.type)
        if found is None or not found.element:
            return False
        return self.operator_comparable(operator, value, Value(self._types.base(found.element), array.collation))

    def _like(self, operator: list[str], left: Tree, right: Tree, env: Env) -> bool:
        value = self._types.value(left, env)
        if value.type not in STRINGS or not self._listed(operator[-1], value.type, TEXT):
            return False
        if not self._deterministic(value) or not self.silent(left, env):
            return False
        constant = self._literals.constant(right)
        given = self._types.value(right, env)
        if constant is None or "sval" not in constant or given.type not in (UNTYPED, TEXT, VARCHAR):
            return False
        if not self.silent(right, env):  # a cast to a domain
            return False
        pattern = self._literals.look(constant)
        trailing = len(pattern) - len(pattern.rstrip("\\"))
        fits = len(pattern.encode()) < 1000 and trailing % 2 == 0
        return fits and self._types.is_pg_catalog(operator, (value.type, TEXT, given.type))

    def _shifted_clock(self, operator: list[str], left: Tree, right: Tree, env: Env) -> bool:
        """now(), CURRENT_DATE or CURRENT_TIMESTAMP plus or minus a small literal."""
        if node(left)[0] not in ("FuncCall", "SQLValueFunction") or not self.silent(left, env):
            return False
        return self._literals.shifts(operator, self._types.value(left, env), right)

    def _contained(self, operator: list[str], left: Tree, right: Tree, env: Env) -> bool:
        """jsonb, array, range and tsvector operators."""
        value, given = self._types.value(left, env), self._types.value(right, env)
        if not self._types.is_pg_catalog(operator, (value.type, given.type)) or not self.silent(left, env):
            return False
        constant = self._literals.constant(right)
        symbol = operator[-1]
        if value.type == JSONB:
            if constant is None or not self.silent(right, env):
                return False
            if symbol in ("->", "->>", "?"):
                return self._listed(symbol, JSONB, TEXT if given.type == UNTYPED else given.type)
            if symbol != "@>" or given.type not in (UNTYPED, JSONB) or not self._listed(symbol, JSONB, JSONB):
                return False
            text = self._literals.look(constant)
            return text.count("[") + text.count("{") <= 100
        if symbol == "@@" and value.type == TSVECTOR and never_throws(symbol, "tsvector", "tsquery"):
            return self._literals.query(right)
        if symbol not in _CONTAINS or not self._listed(symbol, value.type, value.type):
            return False
        if constant is not None and given.type == UNTYPED:
            return True
        if given.type == value.type and self._collations_agree(value, given):
            return self.silent(right, env) or self._literal_array(right, env)
        return False

    def _literal_array(self, wrapped: Tree, env: Env) -> bool:
        name, body = node(wrapped)
        elements = body.get("elements", []) if name == "A_ArrayExpr" else []
        return bool(elements) and all(
            self._literals.constant(one) is not None and self.silent(one, env) for one in elements
        )

    # -- sub-links as whole conjuncts

    def _sublink(self, body: Tree, env: Env) -> bool:
        kind = body.get("subLinkType")
        select = body.get("subselect", {}).get("SelectStmt", {})
        query = self._types.queries.get(id(select))
        if query is None or not self._tables_only(select, query, star=kind == "EXISTS_SUBLINK"):
            return False
        if kind == "EXISTS_SUBLINK":
            return True
        operator = strings(body.get("operName", [])) or ["="]
        if kind != "ANY_SUBLINK" or operator[-1] != "=" or query.outputs is None:
            return False
        tested = body["testexpr"]
        parts = tested["RowExpr"].get("args", []) if node(tested)[0] == "RowExpr" else [tested]
        if len(parts) != len(query.outputs):
            return False
        return all(
            self.silent(part, env) and self.operator_comparable(operator, self._types.value(part, env), output.value)
            for part, output in zip(parts, query.outputs, strict=True)
        )

    def _tables_only(self, select: Tree, query: Query, star: bool) -> bool:
        """Columns or constants FROM tables, joined with ON, WHERE, all silent, no other clause."""
        level = query.level
        if set(select) - _SUBSELECT_FIELDS or select.get("op") != "SETOP_NONE" or level.env is None:
            return False
        if not level.sources or any(source.kind != "table" for source in level.sources):
            return False
        if any(join.merged or join.aliased for join in level.joins):
            return False
        for one in select.get("targetList", []):
            target = one["ResTarget"]["val"]
            if star and node(target)[0] == "ColumnRef":
                continue
            if node(target)[0] not in ("ColumnRef", "A_Const") or not self._plain(target, level.env):
                return False
        return all(
            self.conjunct(part, clause.env)
            for clause in level.clauses
            if clause.key in clause.body
            for part in conjuncts(clause.body[clause.key])
        )
