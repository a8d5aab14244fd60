"""Values that would be looked up as names, in code that is kept: the server gives nobody a second look at them.

A statement's constants and parameters are looked at when it is planned and bound (regs.py). What a variable holds is
known to nobody. So in a body a name for the server is a constant that is used at once, as an argument or to compare
with; nothing there is, or gives, a value of such a type, which a variable could take and cast others to.
"""

from __future__ import annotations

from typing import Any

from proxy.catalog.model import Function
from proxy.errors import FeatureNotSupported
from proxy.sql.aliases import strings
from proxy.sql.naming import is_naming, looks_up, types_in
from proxy.sql.nodes import Node, Nodes, uncast
from proxy.sql.objects import TEXTS
from proxy.sql.regs import PARSERS, PRIVILEGES, has_names
from proxy.sql.schema.functions import check_type
from proxy.sql.world import World

HINT = "Write a constant where the name is used."
TEXT = "Convert it to text at once."
SETTING = "set_config"


def check_values(nodes: Nodes, world: World) -> None:
    """FeatureNotSupported for what may name something that is hidden once it runs."""
    types = world.named_types | PRIVILEGES
    used = _used_at_once(nodes, types, world)
    cast = {id(body.get("typeName")) for body in nodes.of("TypeCast")}
    for body in types_in(nodes.tree):
        if id(body) not in cast or not is_naming(strings(body["names"])):
            check_type(body, world, free=True)
    for body in nodes.of("TypeCast"):
        names = strings(body.get("typeName", {}).get("names", ()))
        if is_naming(names):
            if "A_Const" not in uncast(body.get("arg", {})):
                raise FeatureNotSupported(f"this cast to {names[-1]} is not supported in a function", hint=HINT)
            if id(body) not in used:
                raise FeatureNotSupported(f"a value of type {names[-1]} is not supported in a function", hint=TEXT)
    for body in nodes.of("FuncCall"):
        _check_call(body, id(body) in used, types, world)
    for body in nodes.of("RangeVar"):
        visible = world.relation(body.get("schemaname"), body.get("relname", ""))
        if "schemaname" not in body and visible is not None and not visible.relation.oid:
            _check_later(body.get("relname", ""))
        if visible is not None and has_names(visible.relation, world):
            raise FeatureNotSupported("a column whose values are names is not supported in a function", hint=TEXT)


def _check_call(body: Node, used: bool, types: frozenset[int], world: World) -> None:
    name, args = _last(body.get("funcname", ())), body.get("args", [])
    if name == SETTING:
        hint = "Use the function's own SET option."
        raise FeatureNotSupported("set_config() is not supported in a function", hint=hint)
    if len(body.get("funcname", ())) == 1 and not world.function_candidates(None, name):
        _check_later(name)
    some = _fitting(name, len(args), world)
    if not used and any(looks_up(world.catalog, one.result) for one in some):
        raise FeatureNotSupported(f"{name}() is not supported in a function", hint=TEXT)
    asked = args[:1] if name in TEXTS | PARSERS else []
    asked += [given for at, given in enumerate(args) if any(_looks_at(one, at, world) for one in some)]
    if not all("A_Const" in uncast(one) for one in asked):
        raise FeatureNotSupported(f"{name}() of this value is not supported in a function", hint=HINT)


def _check_later(name: str) -> None:
    """A name that is nothing yet is the tenant's own, unless a newer server comes to have it before the path."""
    if name.startswith("pg_"):
        raise FeatureNotSupported(f"the name {name} is not supported in a function", hint="Qualify it.")


def _fitting(name: str, given: int, world: World) -> list[Function]:
    """The functions of that name that take so many arguments."""
    every = world.catalog.functions.get(name, ())
    return [one for one in every if one.variadic or 0 <= len(one.arguments) - given <= one.defaults]


def _takes(function: Function, at: int, types: frozenset[int]) -> bool:
    return at < len(function.arguments) and function.arguments[at] in types


def _looks_at(function: Function, at: int, world: World) -> bool:
    return at < len(function.arguments) and looks_up(world.catalog, function.arguments[at])


def _used_at_once(nodes: Nodes, types: frozenset[int], world: World) -> set[int]:
    """The casts and calls whose value goes nowhere but to a function that takes such a name, to a comparison, or to
    text.
    """
    used: set[int] = set()
    for body in nodes.of("FuncCall"):
        args = body.get("args", [])
        some = _fitting(_last(body.get("funcname", ())), len(args), world)
        for at, given in enumerate(args):
            if some and all(_takes(one, at, types) for one in some):
                used |= _bodies([given])
    for body in nodes.of("A_Expr"):
        if body.get("kind") == "AEXPR_OP" and strings(body.get("name", ())) in (["="], ["<>"]):
            used |= _bodies([body[side] for side in ("lexpr", "rexpr") if side in body])
    for body in nodes.of("TypeCast"):
        if strings(body.get("typeName", {}).get("names", ()))[-1:] in (["text"], ["varchar"], ["oid"]):
            used |= _bodies([body.get("arg", {})])
    return used


def _bodies(some: Any) -> set[int]:
    return {id(body) for one in some for body in one.values() if isinstance(body, dict)}


def _last(names: Any) -> str:
    return str(names[-1].get("String", {}).get("sval", "")) if names else ""
