"""PREPARE and EXECUTE in the client's own text: the proxy's name in the place of the client's, and nothing else.

A name is found among the lexer's tokens; that the right one was replaced is seen when the text is parsed again.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from pglast.parser import ParseError, scan

from proxy.catalog.model import Catalog, Type
from proxy.errors import FeatureNotSupported, Refusal, UndefinedObject
from proxy.sql.parse import parse
from proxy.sql.prepared import PLACEHOLDER
from proxy.sql.render import alike

Node = dict[str, Any]
COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
HINT = "Qualify the type with its schema."


def renamed(text: bytes, keyword: str, wanted: Node, major: int) -> tuple[bytes, tuple[int, int]]:
    """The text with the name behind `keyword` (PREPARE or EXECUTE) replaced by the proxy's, so that it means `wanted`;
    and where the new name ends, and by how many characters the old one was longer. FeatureNotSupported where that
    cannot be done.
    """
    decoded = text.decode()
    tokens = _tokens(decoded)
    for (name, _, _), (_, start, end) in pairwise(tokens):
        if name == keyword:
            found = (decoded[:start] + PLACEHOLDER + decoded[end:]).encode()
            if _means(found, wanted, major):
                return found, (start + len(PLACEHOLDER), end - start - len(PLACEHOLDER))
    raise FeatureNotSupported("this statement cannot be prepared here", hint="Send the query as it is.")


def body_of(text: bytes, wanted: Node, major: int) -> bytes:
    """What stands behind AS in PREPARE name AS …, which means `wanted`."""
    decoded = text.decode()
    for name, _, end in _tokens(decoded):
        if name == "AS":
            found = decoded[end:].encode()
            if _means(found, wanted, major):
                return found
    raise FeatureNotSupported("this statement cannot be prepared here", hint="Send the query as it is.")


def declared(body: Node, catalog: Catalog) -> tuple[int, ...]:
    """The OIDs of PREPARE's parameter types. UndefinedObject (42704); FeatureNotSupported for a name of several."""
    return tuple(_type(one["TypeName"], catalog).oid for one in body.get("argtypes", ()))


def _type(type_name: Node, catalog: Catalog) -> Type:
    names = [str(part["String"].get("sval", "")) for part in type_name.get("names", ())]
    if len(names) > 1:
        found = [one for one in (catalog.types_by_name.get((names[-2], names[-1])),) if one is not None]
    else:
        first = catalog.types_by_name.get(("pg_catalog", names[-1]))
        found = [first] if first is not None else [one for one in catalog.types.values() if one.name == names[-1]]
    if len(found) > 1:
        raise FeatureNotSupported(f'type "{names[-1]}" is in several schemas', hint=HINT)
    one = found[0] if found else None
    if one is not None and type_name.get("arrayBounds"):
        one = catalog.types.get(one.array)
    if one is None:
        raise UndefinedObject(f'type "{".".join(names)}" does not exist', location=type_name.get("location"))
    return one


def _tokens(text: str) -> list[tuple[str, int, int]]:
    """Names of the tokens, and where they begin and end, in characters."""
    try:
        return [(one.name, one.start, one.end + 1) for one in scan(text) if one.name not in COMMENTS]
    except ParseError:
        return []


def _means(text: bytes, wanted: Node, major: int) -> bool:
    try:
        statements = parse(text, size_limit=len(text) + 1, server_major=major)
    except Refusal:
        return False
    return len(statements) == 1 and alike(statements[0].tree, wanted)
