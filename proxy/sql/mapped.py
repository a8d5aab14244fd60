"""Mapped: calls whose argument names something that all tenants of a database share, such as an advisory lock.

Promises: afterwards the server sees a hash of the tenant's seed and the client's value in its place, computed in SQL
from pg_catalog's functions alone; NULL, empty and too long values fail as they would have. Two tenants' values, and the
key spaces of one tenant, never meet but by a collision of SHA-256 (of 64 bits of it for locks). What names the session
itself becomes the session's own. Decision 0023. Source: PostgreSQL documentation, 9.28.10 and NOTIFY.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from proxy.errors import FeatureNotSupported
from proxy.sql.aliases import strings
from proxy.sql.nodes import Nodes, rebuilt, uncast
from proxy.sql.outputs import still_named
from proxy.sql.parse import parse, walk
from proxy.sql.plan import ADVISORY_LOCK, NO_EFFECTS, SETSEED, Effects, KeyHole
from proxy.sql.sequences import FUNCTIONS, mapped_call
from proxy.sql.world import World
from proxy.tenancy.derived import APPLICATION, LISTENING, PROCESS, SEED, quoted

Node = dict[str, Any]

# $seed, $process, $listening: the session's keys; _1, _2: the client's arguments.
HASH = "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({}, 'UTF8')), 'hex')"
LOCK = "('x' OPERATOR(pg_catalog.||) pg_catalog.left({}, 16))::pg_catalog.bit(64)::pg_catalog.int8"
LOCK_1 = LOCK.format(HASH.format("'$seed' OPERATOR(pg_catalog.||) 'l' OPERATOR(pg_catalog.||) _1::int8::text"))
LOCK_2 = LOCK.format(
    HASH.format(
        "'$seed' OPERATOR(pg_catalog.||) 'p' OPERATOR(pg_catalog.||) _1::int4::text"
        " OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) _2::int4::text"
    )
)
LOCK_TABLE = LOCK.format(HASH.format("'$seed' OPERATOR(pg_catalog.||) 't' OPERATOR(pg_catalog.||) _1"))
LONGEST_CHANNEL = 63  # bytes
CHANNEL = (
    "CASE WHEN pg_catalog.octet_length(_1::text) BETWEEN 1 AND 63 THEN 'pw_' OPERATOR(pg_catalog.||) pg_catalog.left("
    + HASH.format("'$seed' OPERATOR(pg_catalog.||) 'c' OPERATOR(pg_catalog.||) _1::text")
    + ", 60) WHEN pg_catalog.octet_length(_1::text) OPERATOR(pg_catalog.>) 63 THEN pg_catalog.repeat('x', 64) END"
)
LISTENED = "pg_catalog.unnest('$listening'::pg_catalog.text[])"
# _1: which setting, _2: what it is. At the server a label stands before the client's application_name.
UNLABELLED = (
    "pg_catalog.substr(_2, CASE pg_catalog.lower(_1) WHEN 'application_name'"
    " THEN pg_catalog.length('$application'::text) OPERATOR(pg_catalog.+) 1 ELSE 1 END)"
)
CAST = {"int8", "int4", "text"}

SESSION_LOCKS = frozenset({
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
})  # fmt: skip
LOCKS = SESSION_LOCKS | {
    "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared",
    "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
}  # fmt: skip
# Name -> numbers of arguments; what is called with another number does not exist.
ARITIES: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(LOCKS, (1, 2)),
    "pg_notify": (2,),
    "pg_advisory_unlock_all": (0,),
    "pg_backend_pid": (0,),
    "pg_listening_channels": (0,),
    "setseed": (1,),
}
MAPPED = ARITIES.keys() | FUNCTIONS
WHOLE = {"pg_backend_pid": "pg_catalog.abs('$process'::pg_catalog.int4)", "pg_listening_channels": LISTENED}


@dataclass(frozen=True, slots=True)
class Mapped:
    """The edited tree, and what its calls do to the session."""

    tree: Node
    acted: bool = False
    effects: Effects = NO_EFFECTS


def fits(name: str, arguments: list[Node]) -> bool:
    """Can the call be one of these, as far as its arguments' number and constants tell?"""
    constants = [one["A_Const"] for one in arguments if "A_Const" in one]
    if len(arguments) not in ARITIES[name] or any("NamedArgExpr" in one for one in arguments):
        return False
    if name == "setseed":
        return not any("boolval" in one for one in constants)
    if name not in LOCKS:
        return not any({"ival", "fval", "boolval"} & set(one) for one in constants)
    wide = len(arguments) == 1
    return not any("boolval" in one or ("fval" in one and not (wide and _is_int8(one))) for one in constants)


def _is_int8(constant: Node) -> bool:
    digits = str(constant["fval"].get("fval", ""))
    return digits.lstrip("-").isdigit() and -(2**63) <= int(digits) < 2**63


def map_calls(nodes: Nodes, world: World) -> Mapped:
    """Maps every call in a tree that permit let through."""
    tree = nodes.tree
    calls = [body for body in nodes.of("FuncCall") if _called(body) in MAPPED or _may_be_labelled(body)]
    if not calls:
        return Mapped(tree)
    names = {_called(one) for one in calls}
    effects = Effects(
        pins=kept(names),
        notifies="pg_notify" in names,
        fresh="pg_listening_channels" in names,
    )
    acted = bool(names & (ARITIES.keys() | {"current_setting"})) or any(
        _own_sequence(one, world) is not None for one in calls
    )
    return Mapped(rebuilt(tree, lambda value, edited: _changed(value, edited, world)), acted, effects)


def kept(names: AbstractSet[str]) -> str | None:
    """Why calls of these keep the connection with the session. A seed stays for good, and so does a lock with it."""
    if "setseed" in names:
        return SETSEED
    return ADVISORY_LOCK if names & SESSION_LOCKS else None


def _may_be_labelled(call: Node) -> bool:
    """Is it current_setting() of application_name, or of what only the server knows?"""
    if _called(call) != "current_setting" or not call.get("args"):
        return False
    constant = uncast(call["args"][0]).get("A_Const")
    return constant is None or constant.get("sval", {}).get("sval", "").lower() == "application_name"


def _own_sequence(call: Node, world: World) -> Node | None:
    return mapped_call(call, world.policy, world.search_path) if _called(call) in FUNCTIONS else None


def with_calls(effects: Effects, calls: Effects) -> Effects:
    """A statement's effects together with its calls'."""
    if effects.pins is not None and calls.pins is not None:  # two reasons end at different times
        raise FeatureNotSupported(
            "session-level advisory locks are not supported in this statement", hint="Take the lock by itself, before."
        )
    return replace(
        effects,
        pins=effects.pins or calls.pins,
        notifies=calls.notifies,
        fresh=calls.fresh,
    )


def _called(call: Node) -> str:
    names = strings(call.get("funcname", ()))
    return names[-1] if names and names[:-1] in ([], ["pg_catalog"]) else ""


def _changed(value: Node, edited: Node, world: World) -> Node:
    call = edited.get("FuncCall")
    if isinstance(call, dict) and _called(call) in ARITIES:
        return {"FuncCall": _mapped(call, world)}
    if isinstance(call, dict) and _may_be_labelled(call):
        unlabelled = _filled(UNLABELLED, [call["args"][0], edited])["FuncCall"]
        return {"FuncCall": {**unlabelled, "location": call.get("location", -1)}}
    if isinstance(call, dict):
        own = _own_sequence(call, world)
        if own is not None:
            return {"FuncCall": own}
    _keep_names(value, edited)
    return edited


def _mapped(call: Node, world: World) -> Node:
    name = _called(call)
    if name in WHOLE:
        return {**_filled(WHOLE[name], [])["FuncCall"], "location": call.get("location", -1)}
    args = call.get("args", [])
    if name in LOCKS:
        args = [_filled(LOCK_1 if len(args) == 1 else LOCK_2, args)]
    elif name == "pg_notify":
        _refuse_volatile(args[0], world)
        args = [_filled(CHANNEL, args[:1]), args[1]]
    funcname = [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": name}}]
    return {**call, "funcname": funcname, **({"args": args} if args else {})}


def _refuse_volatile(channel: Node, world: World) -> None:
    """It is evaluated several times, and must be the same each time."""
    for name, body in walk(channel):
        if name != "FuncCall":
            continue
        names = strings(body.get("funcname", ()))
        found = world.function_candidates(names[-2] if len(names) > 1 else None, names[-1])
        if any(one.volatility == "v" for one in found):
            raise FeatureNotSupported(
                "a volatile channel name is not supported",
                hint="Compute it first, and give it as a constant or parameter.",
                location=body.get("location"),
            )


def _keep_names(value: Node, edited: Node) -> None:
    """Columns keep the names that they had from a call which was replaced as a whole."""
    target, function = value.get("ResTarget"), value.get("RangeFunction")
    if isinstance(target, dict):
        edited["ResTarget"] = still_named(edited["ResTarget"], target)
    elif isinstance(function, dict) and "alias" not in function:
        call = function["functions"][0]["List"]["items"][0].get("FuncCall", {})
        if _called(call) in WHOLE or _may_be_labelled(call):
            edited["RangeFunction"]["alias"] = {"aliasname": _called(call)}


@cache
def _template(text: str) -> Node:
    """A template's tree without places in a text; its types are pg_catalog's."""
    (statement,) = parse(f"SELECT {text}".encode(), size_limit=1 << 16, server_major=14)
    prepared: Node = _prepared(statement.tree["SelectStmt"]["targetList"][0]["ResTarget"]["val"])
    return prepared


def _prepared(value: Any) -> Any:
    if isinstance(value, list):
        return [_prepared(one) for one in value]
    if not isinstance(value, dict):
        return value
    made: Node = {name: -1 if name.endswith("location") else _prepared(one) for name, one in value.items()}
    key = made.get("A_Const", {}).get("sval", {}).get("sval") if isinstance(made.get("A_Const"), dict) else None
    if key in (SEED, PROCESS, LISTENING, APPLICATION):
        made["A_Const"]["_hole"] = KeyHole(key)
    names = made.get("names")
    if isinstance(names, list) and len(names) == 1 and names[0]["String"]["sval"] in CAST:
        made["names"] = [{"String": {"sval": "pg_catalog"}}, *names]
    return made


def _filled(text: str, arguments: list[Node]) -> Node:
    filled: Node = _put(_template(text), {f"_{number}": one for number, one in enumerate(arguments, 1)})
    return filled


def _put(value: Any, arguments: Mapping[str, Node]) -> Any:
    """A copy with the arguments in their places, each place a copy of its own."""
    if isinstance(value, list):
        return [_put(one, arguments) for one in value]
    if not isinstance(value, dict):
        return value
    fields = strings(value.get("ColumnRef", {}).get("fields", ())) if "ColumnRef" in value else []
    if len(fields) == 1 and fields[0] in arguments:
        return _put(arguments[fields[0]], {})
    return {name: _put(one, arguments) for name, one in value.items()}


def table_lock(schema: str, name: str) -> Node:
    """The number of the advisory lock that stands for a table of a tenant's."""
    return _filled(LOCK_TABLE, [{"A_Const": {"sval": {"sval": f"{quoted(schema)}.{quoted(name)}"}, "location": -1}}])
