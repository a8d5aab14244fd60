"""Types: what type and collation an expression has, as far as that is certain.

Promises: an answer is the server's or None (unknown); nothing is guessed. Only pg_catalog's operators and functions
are resolved, only by exact argument types and only where no namesake outside pg_catalog could be meant. Decides
nothing about what is silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from proxy.catalog.model import Column, Operator, Type
from proxy.sql.oids import (
    BOOL,
    CLOCKS,
    DEFAULT_COLLATION,
    INT4,
    INT8,
    NUMERIC,
    PLAIN,
    POLYMORPHIC_ARRAY,
    POLYMORPHIC_ELEMENT,
    POLYMORPHIC_RANGES,
    RECORD,
    TEXT,
    TRUTHS,
    UNTYPED,
)
from proxy.sql.scope import UNKNOWN, Env, Query, Source, Tree, Value, strings
from proxy.sql.world import Scenery

COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})


def node(wrapped: Tree) -> tuple[str, Any]:
    """The name and body of a wrapped node; ("", {}) for the empty node that stands for NULL."""
    for name, body in wrapped.items():
        return name, body
    return "", {}


class Types:
    """Resolves types against one world. parameter_types: OIDs declared in Parse, 0 where undeclared.
    `untyped_once`: the numbers of undeclared parameters that stand at one place only; any other undeclared one is
    of unknown type."""

    def __init__(self, world: Scenery, parameter_types: Sequence[int], untyped_once: frozenset[int]) -> None:
        self._world = world
        self._parameters = tuple(parameter_types)
        self._untyped_once = untyped_once
        self.queries: dict[int, Query] = {}  # id of a sub-select's body -> its query

    def base(self, oid: int) -> int:
        """The type below any domains."""
        found = self._world.catalog.types.get(oid)
        while found is not None and found.kind == "d" and found.base:
            oid = found.base
            found = self._world.catalog.types.get(oid)
        return oid

    def is_plain(self, oid: int | None) -> bool:
        """Plain of isolation.md 2.5, rule 2: these types, enums, arrays of both and domains over them."""
        if oid is None:
            return False
        oid = self.base(oid)
        if oid in PLAIN:
            return True
        found = self._world.catalog.types.get(oid)
        if found is None:
            return False
        if found.kind == "e":
            return True
        if (found.element and found.schema == "pg_catalog") or (found.element and found.name.startswith("_")):
            element = self.base(found.element)
            inner = self._world.catalog.types.get(element)
            return element in PLAIN or (inner is not None and inner.kind == "e")
        return False

    def column(self, one: Column, source: Source | None = None, key: str | None = None) -> Value:
        """The value of a stored column."""
        if not one.type:  # of a temporary table
            return Value(source=source, key=key)
        stored = one.generated != "v"
        return Value(self.base(one.type), one.collation, stored and self.is_plain(one.type), False, stored, source, key)

    def named_type(self, type_name: Tree) -> Type | None:
        """The type that a TypeName node means, its array type where it has bounds."""
        names = strings(type_name.get("names", []))
        if not names or len(names) > 2 or type_name.get("setof") or type_name.get("pct_type"):
            return None
        types = self._world.catalog.types_by_name
        path = (names[0],) if len(names) == 2 else ("pg_catalog", *self._world.search_path)
        found = next((types[(schema, names[-1])] for schema in path if (schema, names[-1]) in types), None)
        if found is not None and type_name.get("arrayBounds"):
            return self._world.catalog.types.get(found.array)
        return found

    def is_pg_catalog(self, name: Sequence[str], operands: Sequence[int | None]) -> bool:
        """True where the operator is pg_catalog's whatever the rest of the database holds: it is qualified so, or
        no namesake outside takes one of the types (H11, H17 of isolation.md)."""
        if len(name) == 2:
            return name[0] == "pg_catalog"
        if len(name) != 1:
            return False
        given = {oid for oid in operands if oid is not None}
        for one in self._world.catalog.own_operators.get(name[0], ()):
            for side in (one.left, one.right):
                taken = self._world.catalog.types.get(side)
                if side and (taken is None or taken.kind == "p" or side in given or self.base(side) in given):
                    return False
        return True

    def function_is_pg_catalog(self, name: Sequence[str]) -> bool:
        """True where the function is pg_catalog's: qualified so, or without a namesake in any other schema."""
        if len(name) == 2:
            return name[0] == "pg_catalog"
        return len(name) == 1 and all(
            one.schema == "pg_catalog" for one in self._world.catalog.functions.get(name[0], ())
        )

    # -- expressions

    def value(self, wrapped: Tree, env: Env) -> Value:
        """What is known of the expression at this place."""
        name, body = node(wrapped)
        match name:
            case "ColumnRef":
                return self._reference(body, env)
            case "A_Const":
                return self._constant(body)
            case "ParamRef":
                return self._parameter(int(body.get("number", 0)))
            case "TypeCast":
                return self._cast(body, env)
            case "A_Expr":
                return self._operation(body, env)
            case "BoolExpr" | "NullTest" | "BooleanTest":
                return Value(BOOL, 0)
            case "CollateClause":
                return Value(self.value(body["arg"], env).type, None)
            case "CoalesceExpr" | "MinMaxExpr":
                return replace(self.common([self.value(one, env) for one in body.get("args", [])]), literal=False)
            case "CaseExpr":
                results = [one["CaseWhen"]["result"] for one in body.get("args", [])]
                results += [body["defresult"]] if "defresult" in body else []
                return replace(self.common([self.value(one, env) for one in results]), literal=False)
            case "FuncCall":
                return self._call(body, env)
            case "SQLValueFunction":
                oid = CLOCKS.get(str(body.get("op")))
                return Value(oid, self._type_collation(oid)) if oid else UNKNOWN
            case "A_ArrayExpr":
                return self._array(body, env)
            case "SubLink":
                return self._sublink(body)
            case "RowExpr":
                return Value(RECORD, 0)
            case _:
                return UNKNOWN

    def common(self, values: Sequence[Value]) -> Value:
        """The type and collation that all share, untyped literals aside; UNKNOWN where they differ."""
        typed = [one for one in values if not (one.type == UNTYPED and one.literal)]
        if not typed:
            return Value(TEXT, DEFAULT_COLLATION) if values else UNKNOWN
        first = typed[0]
        if first.type is None or any(one.type != first.type for one in typed):
            return UNKNOWN
        same = all(one.collation == first.collation for one in typed)
        return Value(first.type, first.collation if same else None)

    def _type_collation(self, oid: int | None) -> int | None:
        found = None if oid is None else self._world.catalog.types.get(oid)
        return found.collation if found is not None else None

    def _merged_collation(self, values: Sequence[Value], result: int) -> int | None:
        own = self._type_collation(result)
        if not own:
            return own
        given = {one.collation for one in values} - {0}
        if not given:
            return own
        if None in given or len(given) > 1:
            return None
        return given.pop()

    def _reference(self, body: Tree, env: Env) -> Value:
        names = strings(body.get("fields", []))
        if names is None:
            return UNKNOWN
        if len(names) == 1:
            return env.column(names[0])
        if len(names) == 2:
            return env.field(names[0], names[1])
        if len(names) == 3:
            return env.field(names[1], names[2], names[0])
        return UNKNOWN

    def _constant(self, body: Tree) -> Value:
        if "ival" in body:
            return Value(INT4, 0, silent=True, literal=True)
        if "fval" in body:
            digits = str(body["fval"].get("fval", "")).lstrip("-")
            small = digits.isdigit() and int(digits) < 2**63
            return Value(INT8 if small else NUMERIC, 0, silent=True, literal=True)
        if "boolval" in body:
            return Value(BOOL, 0, silent=True, literal=True)
        if "sval" in body or body.get("isnull"):
            return Value(UNTYPED, 0, silent=True, literal=True)
        return Value(None, None, literal=True)

    def is_declared(self, number: int, oid: int) -> bool:
        """True where $number::type converts nothing: it is declared of that type, or undeclared and takes it here,
        its only place."""
        declared = self._parameters[number - 1] if 0 < number <= len(self._parameters) else 0
        return declared == oid or number in self._untyped_once

    def _parameter(self, number: int) -> Value:
        declared = self._parameters[number - 1] if 0 < number <= len(self._parameters) else 0
        if declared and declared != UNTYPED:
            return Value(self.base(declared), self._type_collation(declared), silent=True)
        if number in self._untyped_once:
            return Value(UNTYPED, 0, silent=True, literal=True)
        return Value(None, None, silent=True)

    def _cast(self, body: Tree, env: Env) -> Value:
        target = self.named_type(body.get("typeName", {}))
        if target is None:
            return UNKNOWN
        kind = node(body["arg"])[0]
        literal = kind == "A_Const" and target.kind != "d"
        inner = Value(None, 0) if kind == "A_ArrayExpr" else self.value(body["arg"], env)
        return Value(self.base(target.oid), self._merged_collation([inner], target.oid), literal=literal)

    def _operation(self, body: Tree, env: Env) -> Value:
        kind = str(body.get("kind"))
        if kind in TRUTHS:
            return Value(BOOL, 0)
        if kind == "AEXPR_NULLIF":
            return replace(self.value(body["lexpr"], env), literal=False, silent=False, stored=False)
        name = strings(body.get("name", []))
        if kind != "AEXPR_OP" or not name:
            return UNKNOWN
        sides = [self.value(body[side], env) if side in body else Value(0, 0) for side in ("lexpr", "rexpr")]
        types = [one.type for one in sides]
        if not self.is_pg_catalog(name, types):
            return UNKNOWN
        left, right = types
        if left is None or right is None:
            return UNKNOWN
        wanted = (left, right)
        if UNTYPED in types and 0 not in types:  # an untyped literal is taken as the other side's type first
            wanted = (left, left) if right == UNTYPED else (right, right)
        exact = self._world.catalog.built_in_operators.get((name[-1], *wanted))
        fitting = [exact] if exact is not None else self._fitting(name[-1], left, right)
        if not fitting:
            return UNKNOWN
        results = {one.result for one in fitting}
        if len(results) != 1 or self._is_pseudo(fitting[0].result):
            return UNKNOWN
        return Value(fitting[0].result, self._merged_collation(sides, fitting[0].result))

    def _fitting(self, name: str, left: int, right: int) -> list[Operator]:
        """The operators of pg_catalog that may be meant."""
        return [
            one
            for one in self._world.catalog.operators.get(name, ())
            if one.schema == "pg_catalog"
            and (one.left == 0) == (left == 0)
            and self._may_take(one.left, left)
            and self._may_take(one.right, right)
        ]

    def _is_pseudo(self, oid: int) -> bool:
        found = self._world.catalog.types.get(oid)
        return found is None or found.kind == "p"

    def _call(self, body: Tree, env: Env) -> Value:
        name = strings(body.get("funcname", []))
        arguments = [self.value(one, env) for one in body.get("args", [])]
        if not name or body.get("func_variadic") or body.get("agg_within_group"):
            return UNKNOWN
        return self.called(name, arguments)

    def called(self, name: Sequence[str], arguments: Sequence[Value]) -> Value:
        """What a call of pg_catalog's function by exact argument types gives, one row of it where it returns a set."""
        if not self.function_is_pg_catalog(name):
            return UNKNOWN
        types = tuple(one.type for one in arguments)
        many = [one for one in self._world.catalog.functions.get(name[-1], ()) if len(one.arguments) == len(types)]
        for one in many:
            if one.arguments == types and not one.variadic:
                return Value(one.result, self._merged_collation(arguments, one.result))
        fitting = [one for one in many if not one.variadic and all(map(self._may_take, one.arguments, types))]
        return self._polymorphic(fitting[0].arguments, fitting[0].result, arguments) if len(fitting) == 1 else UNKNOWN

    def _may_take(self, declared: int, given: int | None) -> bool:
        """False only where no implicit conversion leads from the argument's type to the declared one."""
        kind = self._world.catalog.types.get(declared)
        found = self._world.catalog.types.get(given or 0)
        if kind is None or found is None or given == UNTYPED:
            return True
        if kind.kind == "p":
            if declared in POLYMORPHIC_ARRAY:
                return bool(found.element)
            return declared not in POLYMORPHIC_RANGES or found.kind in "rm"
        cast = self._world.catalog.casts.get((given or 0, declared))
        return given == declared or found.kind == "d" or (cast is not None and cast.context == "i")

    def _polymorphic(self, declared: Sequence[int], result: int, arguments: Sequence[Value]) -> Value:
        element: int | None = None
        for wanted, given in zip(declared, arguments, strict=True):
            if given.type is None or (given.type == UNTYPED and wanted in POLYMORPHIC_ELEMENT | POLYMORPHIC_ARRAY):
                return UNKNOWN
            found = self._world.catalog.types.get(given.type)
            if wanted in POLYMORPHIC_ELEMENT:
                bound: int | None = given.type
            elif wanted in POLYMORPHIC_ARRAY:
                bound = found.element if found is not None else None
            elif wanted in (given.type, 2276) or given.type == UNTYPED:
                continue
            else:
                return UNKNOWN
            if not bound or element not in (None, bound):
                return UNKNOWN
            element = bound
        if result in POLYMORPHIC_ELEMENT:
            return Value(element, self._merged_collation(arguments, element)) if element else UNKNOWN
        if result in POLYMORPHIC_ARRAY:
            found = self._world.catalog.types.get(element or 0)
            return (
                Value(found.array, self._merged_collation(arguments, found.array)) if found and found.array else UNKNOWN
            )
        kind = self._world.catalog.types.get(result)
        if kind is None or (kind.kind == "p" and result not in (RECORD, 2278)):
            return UNKNOWN
        return Value(result, self._merged_collation(arguments, result))

    def _array(self, body: Tree, env: Env) -> Value:
        elements = [self.value(one, env) for one in body.get("elements", [])]
        shared = self.common(elements)
        found = None if shared.type is None else self._world.catalog.types.get(shared.type)
        if found is None or not found.array or found.element:
            return UNKNOWN
        return Value(found.array, shared.collation)

    def _sublink(self, body: Tree) -> Value:
        kind = str(body.get("subLinkType"))
        if kind in ("EXISTS_SUBLINK", "ANY_SUBLINK", "ALL_SUBLINK"):
            return Value(BOOL, 0)
        query = self.queries.get(id(body.get("subselect", {}).get("SelectStmt")))
        if query is None or query.outputs is None or len(query.outputs) != 1:
            return UNKNOWN
        inner = query.outputs[0].value
        oid = TEXT if inner.type == UNTYPED else inner.type
        if kind == "EXPR_SUBLINK":
            return Value(oid, inner.collation if oid == inner.type else DEFAULT_COLLATION, key=inner.key)
        if kind == "ARRAY_SUBLINK" and oid is not None:
            found = self._world.catalog.types.get(oid)
            return Value(found.array, inner.collation) if found is not None and found.array else UNKNOWN
        return UNKNOWN
