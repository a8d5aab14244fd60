"""Calls that draw from a sequence: proved to name a shared one, or the tenant's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from proxy.sql.parse import parse
from proxy.sql.verify.levels import Node, Unproven
from proxy.sql.verify.relations import Relations
from proxy.tenancy.policy import Policy

DEFAULT = re.compile(r"nextval\('((?:[^']|'')*)'::(?:pg_catalog\.)?regclass\)$")
FUNCTIONS = frozenset({"nextval", "currval", "setval"})


def draws(name: str) -> bool:
    """Does a function of this name read or change a sequence?"""
    return name in FUNCTIONS or name == "lastval"


def is_drawn(name: str, body: Node, policy: Policy, keys: Mapping[str, str]) -> bool:
    """Is the first argument a constant that names a sequence which the tenant may use so?"""
    args = body.get("args", [])
    if policy.isolation == "schema" and name == "lastval":
        return not args
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
    if policy.isolation == "schema":
        found = _relation(text)
        return "relname" in found and found.get("schemaname", policy.schema) == policy.schema
    return name == "nextval" and _named(text, policy)


def _named(text: str, policy: Policy) -> bool:
    """Is it a listed, shared sequence, unqualified only where that means public?"""
    found = _relation(text)
    return policy.sequences.get((found.get("schemaname", "public"), found.get("relname", ""))) == "shared"


def _relation(text: str) -> Node:
    """The RangeVar that a text is, and nothing besides; empty where it is none."""
    statements = parse(f"SELECT FROM {text}".encode(), size_limit=1 << 16, server_major=14)
    sources = statements[0].tree.get("SelectStmt", {}).get("fromClause", []) if len(statements) == 1 else []
    found: Node = sources[0].get("RangeVar", {}) if len(sources) == 1 else {}
    return {} if set(found) - {"schemaname", "relname", "inh", "relpersistence", "location"} else found


def check_numbers(tree: Node, relations: Relations) -> None:
    """Unproven where a new row would draw from a sequence that is per tenant by the default of its column."""
    waiting: list[Any] = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()
            if "InsertStmt" in one:
                body = one["InsertStmt"]
                select = body.get("selectStmt", {}).get("SelectStmt", {})
                rows = [row["List"].get("items", []) for row in select.get("valuesLists", ())]
                _check_rows(body["relation"], body.get("cols", ()), rows, relations)
            for clause in one.get("mergeWhenClauses", ()):
                action = clause["MergeWhenClause"]
                if action.get("commandType") == "CMD_INSERT":
                    rows = [action.get("values", [])]
                    _check_rows(one["relation"], action.get("targetList", ()), rows, relations)


def _check_rows(target: Node, columns: Any, rows: list[list[Node]], relations: Relations) -> None:
    relation = relations.catalog.relations.get((target.get("schemaname", ""), target.get("relname", "")))
    names = [one["ResTarget"].get("name") for one in columns]
    for column in () if relation is None else relation.columns:
        drawn = DEFAULT.match(column.default)
        if drawn is None or not _is_own(drawn[1].replace("''", "'"), relations.policy):
            continue
        at = names.index(column.name) if column.name in names else -1
        if at < 0 or any(at >= len(row) or "SetToDefault" in row[at] for row in rows):
            raise Unproven(f"a number for {column.name} from everybody's sequence")


def _is_own(text: str, policy: Policy) -> bool:
    found = _relation(text)
    return policy.sequences.get((found.get("schemaname", "public"), found.get("relname", ""))) == "per_tenant"
