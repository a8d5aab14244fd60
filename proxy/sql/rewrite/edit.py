"""Edit: what the rules share: the analysed statement, the nodes they put in, fresh aliases and the list of rules
that acted.

Promises: every node made here is valid for PostgreSQL 14 to 18; names it makes up occur nowhere in the statement; a
tenant predicate names its column through an alias that means the right relation at that place, or 0A000."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from proxy.errors import FeatureNotSupported
from proxy.sql.plan import KeyCheck, KeyHole, LiteralHole
from proxy.sql.render import quote
from proxy.sql.resolve import Analysis
from proxy.sql.scope import Env, Source, Tree
from proxy.sql.types import node
from proxy.sql.world import KEY_TYPES, Scenery, Visible


class Edit:
    """One statement being rewritten."""

    def __init__(self, analysis: Analysis, world: Scenery) -> None:
        self.analysis = analysis
        self.world = world
        self.rules: list[str] = []
        self.sensitive: set[int] = set()
        self._checks: list[tuple[Visible, int, Tree | int]] = []
        self._number = 0

    @cached_property
    def _names(self) -> frozenset[str]:
        """Every string of the statement, as far as it has names of this kind."""
        return frozenset(re.findall(r"_iso[0-9]+", repr(self.analysis.nodes.tree)))

    def note(self, rule: str) -> None:
        """Record that a rule acted."""
        if rule not in self.rules:
            self.rules.append(rule)

    def check(self, visible: Visible, type_: int, value: Tree | int) -> None:
        """Have this value asked for at admission: an A_Const's body or the number of a parameter, of this type."""
        self._checks.append((visible, type_, value))

    def checks(self, sensitive: set[int]) -> tuple[KeyCheck, ...]:
        """What is to be asked; a literal whose value decided something else is asked for as it stands here."""
        return tuple(
            KeyCheck(visible.relation.name, visible.key, type_, _asked(value, sensitive))
            for visible, type_, value in self._checks
        )

    def fresh(self) -> str:
        """An alias that occurs nowhere in the statement."""
        while True:
            self._number += 1
            name = f"_iso{self._number}"
            if name not in self._names:
                return name

    def predicate(self, source: Source, env: Env | None) -> Tree:
        """`alias.column = key`, to stand where `env` tells the names; None for a place that sees this relation
        alone."""
        visible = source.visible
        if visible is None:  # callers ask for confined relations only
            raise AssertionError("a predicate for what is no relation")
        if source.column is None:
            raise FeatureNotSupported("the tenant column is not uniquely named by this column alias list")
        if env is not None:
            named = env.relation(source.alias)
            if named is None or named.source is not source:
                raise FeatureNotSupported(f'table name "{source.alias}" is hidden here by another of the same name')
        return equals(column_ref(source.alias, source.column), key_constant(visible))


def _asked(value: Tree | int, sensitive: set[int]) -> LiteralHole | bytes | int:
    if isinstance(value, int):
        return value
    hole = value.get("_hole")
    if isinstance(hole, LiteralHole) and value.get("location", 0) not in sensitive:
        return hole
    if "sval" in value:
        return quote(str(value["sval"].get("sval", "")))
    number = value["ival"].get("ival", 0) if "ival" in value else value["fval"].get("fval", "")
    return str(number).encode()


def string(value: str) -> Tree:
    """A String node."""
    return {"String": {"sval": value}}


def into(name: str) -> Tree:
    """A column that INSERT gives a value."""
    return {"ResTarget": {"name": name, "location": -1}}


def column_ref(*names: str) -> Tree:
    """A column by its qualified name."""
    return {"ColumnRef": {"fields": [string(one) for one in names], "location": -1}}


def key_constant(visible: Visible) -> Tree:
    """The tenant's key as a typed constant: a hole, cast to the column's own type without a modifier."""
    if visible.column is None:  # callers ask for confined relations only
        raise AssertionError("a key for a relation that is not confined")
    constant: Tree = {"A_Const": {"sval": {"sval": "0"}, "location": -1, "_hole": KeyHole(visible.key)}}
    names = [string("pg_catalog"), string(KEY_TYPES[visible.column.type])]
    return {"TypeCast": {"arg": constant, "typeName": {"names": names, "typemod": -1, "location": -1}, "location": -1}}


def equals(left: Tree, right: Tree) -> Tree:
    """left OPERATOR(pg_catalog.=) right."""
    return operation("=", left, right)


def operation(name: str, left: Tree, right: Tree) -> Tree:
    """left OPERATOR(pg_catalog.name) right."""
    operator = [string("pg_catalog"), string(name)]
    return {"A_Expr": {"kind": "AEXPR_OP", "name": operator, "lexpr": left, "rexpr": right, "location": -1}}


def conjunction(parts: list[Tree]) -> Tree:
    """The parts joined by AND, in order; the arguments of a top-level AND become arguments of this one."""
    flat: list[Tree] = []
    for one in parts:
        name, body = node(one)
        flat += body["args"] if name == "BoolExpr" and body.get("boolop") == "AND_EXPR" else [one]
    return flat[0] if len(flat) == 1 else {"BoolExpr": {"boolop": "AND_EXPR", "args": flat, "location": -1}}


def case(guard: Tree, result: Tree) -> Tree:
    """CASE WHEN guard THEN result END."""
    when: Tree = {"CaseWhen": {"expr": guard, "result": result, "location": -1}}
    return {"CaseExpr": {"args": [when], "location": -1}}


def star_of(from_item: Tree, where: Tree | None) -> Tree:
    """The body of SELECT * FROM from_item [WHERE where] OFFSET 0."""
    target: Tree = {"ResTarget": {"val": {"ColumnRef": {"fields": [{"A_Star": {}}], "location": -1}}, "location": -1}}
    body: Tree = {"targetList": [target], "fromClause": [from_item], "op": "SETOP_NONE"}
    if where is not None:
        body["whereClause"] = where
    fence_off(body)
    return body


def fence_off(select: Tree) -> None:
    """Give a SELECT, set operation or VALUES body OFFSET 0 unless it has a LIMIT or OFFSET."""
    if "limitOffset" not in select and "limitCount" not in select:
        select["limitOffset"] = {"A_Const": {"ival": {}, "location": -1}}
        select["limitOption"] = "LIMIT_OPTION_COUNT"


def replace_node(wrapped: Tree, by: Tree) -> None:
    """Put another node in the place of this one."""
    wrapped.clear()
    wrapped.update(by)


def references(wrapped: Any) -> tuple[list[Tree], bool]:
    """The ColumnRefs (wrapped) of an expression outside its sub-selects, and whether it has a sub-link."""
    found: list[Tree] = []
    has_sublink = False
    waiting: list[Any] = [wrapped]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            for name, body in one.items():
                if name == "ColumnRef":
                    found.append({name: body})
                elif name == "SubLink":
                    has_sublink = True
                    waiting.append(body.get("testexpr"))
                else:
                    waiting.append(body)
    return found, has_sublink
