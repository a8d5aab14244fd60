"""Types whose input looks something up: the server answers for what a role may not see otherwise than for what is not
there. Asked is what a type is made of, and not how it is spelled.

Promises: a domain, an array, a range and a composite are such a type if anything within them is. No statement declares
anything of one (a column, a domain, a parameter), so nothing that a session made itself can be one; a cast to one that
somebody else made is refused, and a cast to one of the server's own is for objects.py, permit.py and regs.py to look
at. Source: PostgreSQL documentation, "Object Identifier Types"; src/backend/utils/adt/acl.c, aclitemin().
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from proxy.catalog.model import Catalog, Type
from proxy.errors import FeatureNotSupported
from proxy.sql.aliases import strings
from proxy.sql.nodes import Node
from proxy.sql.world import World

NAMING = frozenset({
    "aclitem", "regclass", "regcollation", "regconfig", "regdatabase", "regdictionary", "regnamespace", "regoper",
    "regoperator", "regproc", "regprocedure", "regrole", "regtype",
})  # fmt: skip
HINT = "Declare it as text, or as oid."


def is_naming(names: Sequence[str]) -> bool:
    """Is it such a type of the server's by its name, or an array of them?"""
    return names[-1].lstrip("_") in NAMING and names[-2:-1] in ([], ["pg_catalog"])


def parts(catalog: Catalog, oid: int) -> set[int]:
    """The type and all that its values are made of."""
    found: set[int] = set()
    waiting = [oid]
    while waiting:
        one = catalog.types.get(waiting.pop())
        if one is not None and one.oid not in found:
            found.add(one.oid)
            waiting += [one.base, one.element, one.subtype]
            row = catalog.relations_by_oid.get(one.relation) if one.relation else None
            waiting += [] if row is None else [column.type for column in row.columns]
    return found


def looks_up(catalog: Catalog, oid: int) -> bool:
    """Does its input look anything up?"""
    return any(_is_looked_up(catalog.types[one]) for one in parts(catalog, oid))


def _is_looked_up(one: Type) -> bool:
    plain = one.name.lstrip("_")
    return one.schema == "pg_catalog" and (plain.startswith("reg") or plain == "aclitem")


def types_in(value: Any) -> Iterator[Node]:
    """The body of every type that is named."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if "typemod" in one and isinstance(one.get("names"), list):
                yield one
            waiting += one.values()


def check_types(types: Iterable[Node], casts: Iterable[Node], world: World) -> None:
    """FeatureNotSupported for such a type. casts: the TypeCasts among what has these types; one to a type of the
    server's passes.
    """
    cast = {id(body.get("typeName")) for body in casts}
    for body in types:
        names = strings(body.get("names", ()))
        if not names or (id(body) in cast and is_naming(names)):
            continue
        if is_naming(names) or is_made_of_names(names, world):
            what = "a value" if id(body) in cast else "a column"
            where = body.get("location")
            raise FeatureNotSupported(f"{what} of type {names[-1]} is not supported here", hint=HINT, location=where)


def is_made_of_names(names: Sequence[str], world: World) -> bool:
    """May this name, wherever it is found, mean such a type?"""
    schemas = set(names[-2:-1]) or {*world.path, *world.policy.path}
    found = [world.catalog.types_by_name.get((schema, names[-1])) for schema in schemas]
    return any(one is not None and looks_up(world.catalog, one.oid) for one in found)
