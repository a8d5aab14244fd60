"""The only place where SQL text is made: an edited tree becomes a Template, and a Template becomes the text that is
sent.

libpg_query's C deparser prints; what it printed is parsed again and must equal the edited tree, locations aside, or
the statement is
refused. Walking both trees in step finds where the holes lie in the printed text, and pairs positions for error
messages. fill() is
the only function that puts a value into a text: integers through int(), everything else as a quoted literal, never raw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from pglast.parser import DeparseError, ParseError, deparse_protobuf, parse_sql_json

from proxy.errors import FeatureNotSupported
from proxy.sql.encode import encode
from proxy.sql.plan import Hole, KeyHole, LiteralHole, Template
from proxy.tenancy.derived import SEED, own_channel

Node = dict[str, Any]
HINT = "Write the statement in another way; this construct cannot be printed back exactly."
QUOTED_KEYS = 10_000  # kept
ZERO = ord("0")
IGNORED = frozenset(
    {
        "location",
        "stmt_location",
        "stmt_len",
        "list_start",
        "list_end",
        "rexpr_list_start",
        "rexpr_list_end",
        "name_location",
    }
)
NAMES = frozenset({"fields", "funcname", "name", "names"})  # fields that hold lists of names
CONSTANT = re.compile(
    rb"-?\s*(?:'(?:[^']|'')*'|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|NULL|true\b|false\b)",
    re.IGNORECASE,
)
INTEGER = re.compile(rb"-?\s*[0-9]+")
DECIMAL = re.compile(rb"-?\s*(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)")
STRING = re.compile(rb"'(?:[^']|'')*'")


@dataclass(frozen=True, slots=True)
class Rendered:
    """template: what plans keep; text: the template with the holes as they were in the edited tree; tree: parsed from
    text; holes: start and length of each in the text; positions: pairs of byte offsets, in the text and the client's.
    """

    template: Template
    text: str
    tree: Node
    holes: tuple[tuple[int, int], ...]
    positions: frozenset[tuple[int, int]]


def render(tree: Node) -> Rendered:
    """Prints an edited tree. FeatureNotSupported when the printed text does not mean the same."""
    try:
        text = deparse_protobuf(encode(tree))
        statements = orjson.loads(parse_sql_json(text))["stmts"]
    except (DeparseError, ParseError, orjson.JSONDecodeError) as error:
        raise FeatureNotSupported("statement cannot be printed back", hint=HINT) from error
    pairs: list[tuple[int, int]] = []
    holes: list[tuple[int, Hole]] = []
    if len(statements) != 1 or not _same(tree, statements[0]["stmt"], pairs, holes):
        raise FeatureNotSupported("statement cannot be printed back exactly", hint=HINT)
    template, spans = _template(text.encode(), holes)
    return Rendered(template, text, statements[0]["stmt"], spans, frozenset(pairs))


def alike(tree: Node, other: Node) -> bool:
    """Do two trees mean the same? They may stand at other places of their texts."""
    return _same(tree, other, [], [])


def fill(template: Template, keys: Mapping[str, str], literals: Sequence[bytes]) -> bytes:
    """The text with this tenant's keys and this text's literals. A missing key is a KeyError: nothing can be sent."""
    holes = template.holes
    if not holes:
        return template.pieces[0]
    out: list[bytes] = []
    for piece, hole in zip(template.pieces, holes, strict=False):  # there is one piece more
        out.append(piece)
        if type(hole) is LiteralHole:
            out.append(literal(hole.kind, literals[hole.index]))
        elif type(hole) is KeyHole:
            out.append(quote(keys[hole.key]))
        else:
            out.append(b'"' + own_channel(hole.name, keys[SEED]).encode() + b'"')  # type: ignore[union-attr]  # the third
    out.append(template.pieces[-1])
    return b"".join(out)


def literal(kind: str, raw: bytes) -> bytes:
    """A lifted literal as it is sent: checked again by its kind."""
    if kind == "i":
        if raw.isdigit() and raw[0] != ZERO:
            return raw
        number = raw.replace(b" ", b"")
        sign = number[:1] if number[:1] in (b"+", b"-") else b""
        digits = number[len(sign) :]
        if digits.isdigit():
            return b"%d" % int(sign + (digits.lstrip(b"0") or b"0"))  # int() takes 4,300 digits, zeros too
    if kind == "s" and STRING.fullmatch(raw):
        return raw
    if kind == "n" and DECIMAL.fullmatch(raw):
        return raw
    if kind == "b" and raw.lower() in (b"true", b"false"):
        return raw
    if kind == "0" and raw.upper() == b"NULL":
        return b"NULL"
    raise ValueError(f"not a literal of kind {kind}")


@lru_cache(QUOTED_KEYS)
def quote(value: str) -> bytes:
    """A quoted literal under standard_conforming_strings = on, which every server connection is pinned to."""
    if "\0" in value:
        raise ValueError("a key holds a NUL")
    return b"'" + value.replace("'", "''").encode() + b"'"


def _template(text: bytes, holes: list[tuple[int, Hole]]) -> tuple[Template, tuple[tuple[int, int], ...]]:
    pieces: list[bytes] = []
    found: list[Hole] = []
    spans: list[tuple[int, int]] = []
    done = 0
    # SET (a, b) = (SELECT …) repeats its source in the tree, so the same hole may be met twice.
    for start, hole in sorted(dict.fromkeys(holes), key=lambda one: one[0]):
        constant = CONSTANT.match(text, start)
        if constant is None or start < done or (isinstance(hole, KeyHole) and text[start : start + 1] != b"'"):
            raise FeatureNotSupported("statement cannot be printed back exactly", hint=HINT)
        pieces.append(text[done:start])
        found.append(hole)
        spans.append((start, constant.end() - start))
        done = constant.end()
    pieces.append(text[done:])
    return Template(tuple(pieces), tuple(found)), tuple(spans)


def _same(edited: Any, printed: Any, pairs: list[tuple[int, int]], holes: list[tuple[int, Hole]]) -> bool:
    """Are the trees equal, locations and marks aside? Notes (printed, client) offsets and holes on the way.
    Iterative.
    """
    stack = [(edited, printed)]
    while stack:
        one, other = stack.pop()
        if type(one) is not type(other):
            return False
        if type(one) is list:
            if len(one) != len(other):
                return False
            stack += zip(one, other, strict=True)
            continue
        if type(one) is not dict:
            if one != other:
                return False
            continue
        if one.keys() != other.keys() and _names(one) != _names(other):
            return False
        for name, value in one.items():
            kind = type(value)
            if kind is list and name in NAMES and value == other[name]:
                continue  # no place and no hole stands within
            if kind is dict or kind is list:
                stack.append((value, other[name]))
            elif name[0] != "_" and name not in IGNORED and value != other[name]:
                return False
        if "_hole" in one:
            holes.append((other.get("location", 0), one["_hole"]))
        if "location" in one and "location" in other and not ("val" in one and "name" not in one):
            # a target without a name begins where its value does, and is never what an error points at
            pairs.append((other["location"], one["location"]))
    return True


def _names(body: Node) -> set[str]:
    return {name for name in body if name not in IGNORED and name[0] != "_"}
