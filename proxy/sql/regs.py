"""Names within values: what the server would look up of a text because it becomes a regclass, a regconfig or the like.

A role gets another answer for a schema that it may not use than for one that does not exist. So where a statement has
anything of such a type (a cast, a catalog with such a column, a function that takes one) no constant in it may name a
schema that the tenant does not see, whether that exists or not, and what is no constant may not be cast. Parameters
are looked at when they are bound. Source: PostgreSQL documentation, "Object Identifier Types".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from proxy.catalog.model import Relation
from proxy.errors import FeatureNotSupported
from proxy.sql.naming import NAMING, looks_up, parts
from proxy.sql.nodes import Nodes, uncast
from proxy.sql.plan import NameCheck
from proxy.sql.sequences import FUNCTIONS as SEQUENCES
from proxy.sql.world import SYSTEM_SCHEMAS, World

Node = dict[str, Any]

PAIR = re.compile(r'(?:"((?:[^"]|"")+)"|([^\W\d]\w*))\s*\.\s*(?:"|[^\W\d])')
TEXT_SEARCH = frozenset({"regconfig", "regdictionary", "regcollation"})
TEXT = "Convert it to text."
HINT = "Write a constant that names what you see."
ROLES = frozenset({"aclitem"})  # whose input looks up roles, and no schema
PRIVILEGES = frozenset({1033, 1034})  # aclitem and its array
GRANTED = re.compile(r"=[arwdDxtXUCTcsAm*]*(?:/|$|[,}\"])")  # grantee=privileges/grantor
PARSERS = frozenset({"ts_parse", "ts_token_type"})  # take the name of a text search parser as text


def touches_names(nodes: Nodes, world: World) -> bool:
    """Has the statement anything of such a type, or a function that reads a name?"""
    return _touches(nodes, world, ROLES, world.named_types) or any(
        _last(body.get("funcname", ())) in PARSERS for body in nodes.of("FuncCall")
    )


def touches_roles(nodes: Nodes, world: World) -> bool:
    """Has it a privilege, whose input looks roles up?"""
    return _touches(nodes, world, NAMING - ROLES, PRIVILEGES)


def _touches(nodes: Nodes, world: World, others: frozenset[str], types: frozenset[int]) -> bool:
    """others: the types of the other kind."""
    for body in nodes.of("TypeName"):
        if _last(body.get("names", ())).lstrip("_") in NAMING - others:
            return True
    for body in nodes.of("FuncCall"):
        some = world.catalog.functions.get(_last(body.get("funcname", ())), ())
        if any(_has((*one.arguments, one.result, one.variadic), types, world) for one in some):
            return True
    for body in nodes.of("RangeVar"):
        visible = world.relation(body.get("schemaname"), body.get("relname", ""))
        if visible is not None and _has((column.type for column in visible.relation.columns), types, world):
            return True
    return False


def _has(oids: Iterable[int], types: frozenset[int], world: World) -> bool:
    """Is any of them made of such a type?"""
    return any(not types.isdisjoint(parts(world.catalog, oid)) for oid in oids)


def hides(text: str, world: World) -> bool:
    """May the text, or a part of it, name a schema that the tenant does not see?"""
    seen = {*SYSTEM_SCHEMAS, *world.policy.path, "pg_temp", world.catalog.database}
    for quoted, plain in PAIR.findall(text):
        name = quoted.replace('""', '"') if quoted else plain.lower()
        if name not in seen:
            return True
    return False


def check_reg(nodes: Nodes, world: World) -> tuple[tuple[NameCheck, ...], bool]:
    """The parameters that are to be looked at when they are bound; and whether constants were looked at.

    FeatureNotSupported for a constant that may name what is hidden, or a value that could.
    """
    for body in nodes.of("TypeName"):
        _check_row_type(body, world)
    named, roles = touches_names(nodes, world), touches_roles(nodes, world)
    if not named and not roles:
        return (), False
    for body in nodes.of("FuncCall"):
        name = _last(body.get("funcname", ()))
        loose = name in PARSERS and not {"A_Const", "ParamRef"} & set(next(iter(body.get("args", ())), {}))
        if loose or name.startswith(("json_populate_record", "jsonb_populate_record")):
            raise FeatureNotSupported(f"{name}() is not supported here", hint=HINT, location=_at(body))
    for body in nodes.of("A_Const"):
        text = body.get("sval", {}).get("sval", "")
        if text and ((named and hides(text, world)) or (roles and GRANTED.search(text))):
            raise FeatureNotSupported("a name in this constant is not supported", hint=HINT, location=_at(body))
    for body in nodes.of("TypeCast"):
        _check_cast(body)
    for kind in ("InsertStmt", "UpdateStmt", "MergeStmt", "CopyStmt"):
        for body in nodes.of(kind):
            check_target(body.get("relation", {}), world)
    numbers = sorted({int(body.get("number", 0)) for body in nodes.of("ParamRef")})
    kinds = [kind for kind, touched in (("regclass", named), ("aclitem", roles)) if touched]
    return tuple(NameCheck(number, kind, direct=False) for number in numbers for kind in kinds), True


def _check_cast(body: Node) -> None:
    """What is no constant and no parameter becomes no name; of regclass and its like objects.py tells more."""
    kind = _last(body.get("typeName", {}).get("names", ()))
    plain = kind.lstrip("_")
    array = kind.startswith("_") or "arrayBounds" in body.get("typeName", {})
    strict = plain in TEXT_SEARCH or plain == "aclitem" or (array and plain.startswith("reg"))
    if strict and not {"A_Const", "ParamRef"} & set(uncast(body.get("arg", {}))):
        raise FeatureNotSupported(f"this cast to {kind} is not supported", hint=HINT, location=_at(body))


def check_target(relation: Node, world: World) -> None:
    """FeatureNotSupported for rows that are put into a table of the tenant's own with such a column."""
    visible = world.relation(relation.get("schemaname"), relation.get("relname", ""))
    if visible is not None and visible.access == "own" and has_names(visible.relation, world):
        raise FeatureNotSupported("a column whose values are names is not supported here", hint=TEXT)


def check_made(nodes: Nodes, world: World) -> None:
    """FeatureNotSupported where a table or view would get a column whose values are looked up as names: what is put in
    there later is not in the statement.
    """
    drawn = [one["args"][0] for one in nodes.of("FuncCall") if _last(one["funcname"]) in SEQUENCES and one.get("args")]
    fine = {id(one["TypeCast"]) for one in drawn if "TypeCast" in one}
    types = world.named_types | PRIVILEGES
    for body in nodes.of("TypeCast"):
        kind = _last(body.get("typeName", {}).get("names", ()))
        if kind.lstrip("_") in NAMING and id(body) not in fine:
            raise FeatureNotSupported(f"a column of type {kind} is not supported here", hint=TEXT, location=_at(body))
    for body in nodes.of("FuncCall"):
        name = _last(body.get("funcname", ()))
        some = world.catalog.functions.get(name, ())
        if _has((one.result for one in some), types, world) or name.startswith("pg_partition_"):
            raise FeatureNotSupported(f"{name}() is not supported here", hint=TEXT, location=_at(body))
    check_sources(nodes, world)


def check_sources(nodes: Nodes, world: World) -> None:
    """FeatureNotSupported for a relation with such a column: one that is made like it would have it, too."""
    for body in nodes.of("RangeVar"):
        visible = world.relation(body.get("schemaname"), body.get("relname", ""))
        if visible is not None and has_names(visible.relation, world):
            raise FeatureNotSupported("a column whose values are names is not supported here", hint=TEXT)


def has_names(relation: Relation, world: World) -> bool:
    """Has it a column whose input looks anything up?"""
    return any(looks_up(world.catalog, column.type) for column in relation.columns)


def _check_row_type(body: Node, world: World) -> None:
    """The row of a catalog as a type: what becomes one is text, and has names in it."""
    names = [one.get("String", {}).get("sval", "") for one in body.get("names", ())]
    for schema in world.path if len(names) == 1 else names[-2:-1]:
        found = world.catalog.types_by_name.get(
            (schema, names[-1].lstrip("_") if schema == "pg_catalog" else names[-1])
        )
        if found is not None:
            if found.relation and found.schema in SYSTEM_SCHEMAS:
                raise FeatureNotSupported("the row type of a catalog is not supported here", location=_at(body))
            return


def _last(names: Any) -> str:
    return str(names[-1].get("String", {}).get("sval", "")) if names else ""


def _at(body: Node) -> int | None:
    found: int | None = body.get("location")
    return found
