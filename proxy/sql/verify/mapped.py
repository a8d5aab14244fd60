"""Calls that reach what all tenants share: proved to be given nothing but a hash of the tenant's seed.

The patterns stand here a second time, written out, and are compared node by node; `_1` and `_2` stand for whatever the
client gave, the same at each place.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from proxy.sql.parse import parse
from proxy.sql.verify.levels import Node, strings

SEED = "$seed"
SHARED = ("pg_advisory_", "pg_try_advisory_", "pg_notify")
FREE = frozenset({"pg_advisory_unlock_all", "pg_notification_queue_usage"})
NUMBER = """
('x' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
{}, 'UTF8')), 'hex'), 16))::pg_catalog.bit(64)::pg_catalog.int8
"""
ONE = "'$seed' OPERATOR(pg_catalog.||) 'l' OPERATOR(pg_catalog.||) _1::pg_catalog.int8::pg_catalog.text"
TWO = """
'$seed' OPERATOR(pg_catalog.||) 'p' OPERATOR(pg_catalog.||) _1::pg_catalog.int4::pg_catalog.text
OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) _2::pg_catalog.int4::pg_catalog.text
"""
TABLE = "'$seed' OPERATOR(pg_catalog.||) 't' OPERATOR(pg_catalog.||) _1"
NAME = """
CASE WHEN pg_catalog.octet_length(_1::pg_catalog.text) BETWEEN 1 AND 63
     THEN 'pw_' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
          '$seed' OPERATOR(pg_catalog.||) 'c' OPERATOR(pg_catalog.||) _1::pg_catalog.text, 'UTF8')), 'hex'), 60)
     WHEN pg_catalog.octet_length(_1::pg_catalog.text) OPERATOR(pg_catalog.>) 63
     THEN pg_catalog.repeat('x', 64) END
"""
LOCKS = (NUMBER.format(ONE), NUMBER.format(TWO), NUMBER.format(TABLE))


def reaches(name: str) -> bool:
    """Does a call of this function reach what others of the database can see?"""
    return name.startswith(SHARED) and name not in FREE


def is_hashed(body: Node, seed: str | None) -> bool:
    """Is the call pg_catalog's, and its first argument one of the patterns, with this seed?"""
    names, args = strings(body.get("funcname", ())), body.get("args", [])
    if len(names) != 2 or names[0] != "pg_catalog" or seed is None:
        return False
    if set(body) - {"funcname", "args", "funcformat", "location"}:
        return False
    if names[1] == "pg_notify":
        return len(args) == 2 and _matches(_pattern(NAME), args[0], seed, {})
    return len(args) == 1 and any(_matches(_pattern(one), args[0], seed, {}) for one in LOCKS)


@cache
def _pattern(text: str) -> Node:
    tree = parse(f"SELECT {text}".encode(), size_limit=1 << 16, server_major=14)[0].tree
    pattern: Node = tree["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    return pattern


def _matches(pattern: Any, value: Any, seed: str, given: dict[str, Any]) -> bool:
    """Are the trees equal, places in the text aside? given: what _1 and _2 stand for, so far."""
    if isinstance(pattern, list):
        return (
            isinstance(value, list)
            and len(pattern) == len(value)
            and all(_matches(one, other, seed, given) for one, other in zip(pattern, value, strict=True))
        )
    if not isinstance(pattern, dict):
        return bool(pattern == value)
    if not isinstance(value, dict):
        return False
    if "ColumnRef" in pattern:
        (name,) = strings(pattern["ColumnRef"]["fields"])
        return _same(given.setdefault(name, value), value)
    if pattern.get("sval") == {"sval": SEED}:
        return bool(value.get("sval") == {"sval": seed})
    names = {name for name in pattern if not _is_place(name)}
    if names != {name for name in value if not _is_place(name)}:
        return False
    return all(_matches(pattern[name], value[name], seed, given) for name in names)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_same, one, other))
    if not isinstance(one, dict) or not isinstance(other, dict):
        return bool(one == other)
    names = {name for name in one if not _is_place(name)}
    return names == {name for name in other if not _is_place(name)} and all(
        _same(one[name], other[name]) for name in names
    )


def _is_place(name: str) -> bool:
    return name.endswith("location") or name in ("rexpr_list_start", "rexpr_list_end", "list_start", "list_end")
