"""PREPARE and EXECUTE in SQL: what the planner makes of them.

Promises: in what is printed the client's name of a statement is replaced by one of the proxy's, which the session
fills in; the client's never reaches the server. EXECUTE's arguments are checked like the VALUES of a query, and nothing
of theirs is a session command. Which statement a name stands for is the session's to know. Types that a PREPARE
declares are types that a tenant may use, and none whose values are names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proxy.catalog.model import Catalog
from proxy.errors import FeatureNotSupported, UndefinedObject
from proxy.sql.classified import Classified, Node
from proxy.sql.naming import looks_up
from proxy.sql.plan import STATEMENT_NAME, Effects, Execution, LiteralHole, StatementKind, Template
from proxy.sql.scope import strings
from proxy.sql.types import Types
from proxy.sql.world import World

PLACEHOLDER = STATEMENT_NAME.decode()
NULL = b"NULL"
NAME_HINT = f"Names like {PLACEHOLDER} are the proxy's own."


def prepare(tree: Node, body: Node) -> Classified:
    """PREPARE: the planner adds what the name stands for."""
    return Classified(StatementKind.PREPARE, {"PrepareStmt": {**body, "name": PLACEHOLDER}})


def execute(tree: Node, body: Node) -> Classified:
    """EXECUTE as a statement of its own."""
    return Classified(StatementKind.PREPARE, *unnamed(tree))


def unnamed(tree: Node) -> tuple[Node, Effects]:
    """The same with the EXECUTE in it, however deep, under the proxy's name; and that it executes."""
    ((name, body),) = tree.items()
    if name == "ExecuteStmt":
        return {name: {**body, "name": PLACEHOLDER}}, Effects(executes=Execution(body["name"]))
    inner, effects = unnamed(body["query"])
    return {name: {**body, "query": inner}}, effects


def require_one_name(template: Template) -> None:
    """FeatureNotSupported unless the name to fill in stands where the session looks for it, and nowhere else."""
    if [piece.count(STATEMENT_NAME) for piece in template.pieces] != [1] + [0] * len(template.holes):
        raise FeatureNotSupported("this name cannot be used here", hint=NAME_HINT)


def declared_types(body: Node, world: World) -> tuple[int, ...]:
    """The OIDs of PREPARE's parameter types."""
    types = Types(world, (), frozenset())
    found = []
    for one in body.get("argtypes", ()):
        type_name = one["TypeName"]
        known = types.named_type(type_name)
        if known is None or known.schema not in world.path or known.kind in "cp":
            shown = ".".join(name for name in strings(type_name.get("names", [])) or () if name != "pg_catalog")
            raise UndefinedObject(f'type "{shown}" does not exist', location=type_name.get("location"))
        found.append(known.oid)
    refuse_names(found, world.catalog)
    return tuple(found)


def refuse_names(types: Sequence[int], catalog: Catalog) -> None:
    """FeatureNotSupported for a parameter whose values are names: they would be looked up among what is hidden, too."""
    for oid in types:
        if looks_up(catalog, oid):
            name = catalog.types[oid].name
            raise FeatureNotSupported(f"a parameter of type {name} is not supported", hint="Declare it as oid.")


def arguments(query: Node) -> tuple[LiteralHole | bytes | None, ...]:
    """What is known of the values of EXECUTE's arguments, the query's VALUES; None for an expression."""
    rows = query["SelectStmt"].get("valuesLists", ())
    return tuple(constant_of(one.get("A_Const", {})) for row in rows for one in row["List"]["items"])


def constant_of(constant: dict[str, Any]) -> LiteralHole | bytes | None:
    """An A_Const's literal, or its text; None for what is no constant."""
    hole = constant.get("_hole")
    if isinstance(hole, LiteralHole):
        return hole
    if constant.get("isnull"):
        return NULL
    if "sval" in constant:
        return b"'" + str(constant["sval"].get("sval", "")).replace("'", "''").encode() + b"'"
    if "ival" in constant:
        return b"%d" % constant["ival"].get("ival", 0)
    if "fval" in constant:
        return str(constant["fval"].get("fval", "0")).encode()
    if "boolval" in constant:
        return b"true" if constant["boolval"].get("boolval") else b"false"
    return None


def values(execution: Execution, literals: Sequence[bytes]) -> tuple[bytes | None, ...]:
    """The arguments' values as a client would give them to Bind in text; None for NULL and for what is not known."""
    raw = [literals[one.index] if isinstance(one, LiteralHole) else one for one in execution.arguments]
    return tuple(
        None if one is None or one == NULL else one[1:-1].replace(b"''", b"'") if one[:1] == b"'" else one
        for one in raw
    )
