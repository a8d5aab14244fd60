"""Calls that draw from a sequence: proved to name a shared one, or the tenant's own."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.sql.parse import parse
from proxy.sql.verify.levels import Node
from proxy.tenancy.policy import Policy

FUNCTIONS = frozenset({"nextval", "currval", "setval"})


def draws(name: str) -> bool:
    """Does a function of this name read or change a sequence?"""
    return name in FUNCTIONS or name == "lastval"


def is_drawn(name: str, body: Node, policy: Policy, keys: Mapping[str, str]) -> bool:
    """Is the first argument a constant that names a sequence which the tenant may use so?"""
    args = body.get("args", [])
    constant = args[0] if args and name in FUNCTIONS else {}
    if "TypeCast" in constant:
        kind = constant["TypeCast"]["typeName"].get("names", [{}])[-1].get("String", {}).get("sval")
        constant = constant["TypeCast"]["arg"] if kind in ("regclass", "text") else {}
    text = constant.get("A_Const", {}).get("sval", {}).get("sval")
    if text is None:
        return False
    own = {f"$sequence {one}.{two}" for (one, two), kind in policy.sequences.items() if kind == "per_tenant"}
    if any(keys.get(key) == text for key in own):
        return True
    return name == "nextval" and _named(text, policy)


def _named(text: str, policy: Policy) -> bool:
    """Is it a listed, shared sequence, unqualified only where that means public?"""
    statements = parse(f"SELECT FROM {text}".encode(), size_limit=1 << 16, server_major=14)
    sources = statements[0].tree.get("SelectStmt", {}).get("fromClause", []) if len(statements) == 1 else []
    found = sources[0].get("RangeVar", {}) if len(sources) == 1 else {}
    if not found or set(found) - {"schemaname", "relname", "inh", "relpersistence", "location"}:
        return False
    return policy.sequences.get((found.get("schemaname", "public"), found["relname"])) == "shared"
