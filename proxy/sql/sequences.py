"""Sequences: which of them a tenant may use by name, and its own in the place of those that are per tenant.

Promises: what the rules do not list does not exist. A shared sequence gives numbers and tells nothing else. A
per-tenant one stands for a sequence of the tenant's own at the server, whose name is a hole; so do the defaults of
columns that draw from it, which the server would take from everybody's. Decision 0025.
"""

from __future__ import annotations

import re

from proxy.catalog.model import Relation
from proxy.errors import FeatureNotSupported, InsufficientPrivilege, UndefinedTable
from proxy.sql.names import split_name
from proxy.sql.nodes import Node, uncast
from proxy.sql.plan import KeyHole, Template
from proxy.tenancy.derived import OWN, OWN_SEQUENCE, sequence_key
from proxy.tenancy.policy import Policy

FUNCTIONS = frozenset({"nextval", "setval", "currval", "lastval"})
DEFAULT = re.compile(r"nextval\('((?:[^']|'')+)'::(?:pg_catalog\.)?regclass\)")
OWN_NAME = re.compile(re.escape(OWN) + r"[0-9a-f]{16}")


def find_sequence(text: str, policy: Policy, path: tuple[str, ...]) -> tuple[str, str, str] | None:
    """Schema, name and rule of the sequence that a text names; None where none is listed."""
    schema, name = split_name(text)
    for one in path if schema is None else (schema,):
        kind = policy.sequences.get((one, name))
        if kind is not None:
            return one, name, kind
    return None


def check_sequence(
    function: str, args: list[Node], policy: Policy, path: tuple[str, ...], location: int | None
) -> None:
    """A Refusal unless the tenant may call one of FUNCTIONS so."""
    if policy.schema and function == "lastval":
        return
    if function == "lastval":
        raise FeatureNotSupported(
            "lastval() is not supported", hint="Use RETURNING, or the value that nextval() gave.", location=location
        )
    text = _name(args[0]) if args else None
    if text is None:
        raise FeatureNotSupported(
            f"{function}() needs a constant name", hint="Name the sequence as a string.", location=location
        )
    found = find_sequence(text, policy, path)
    if policy.schema and split_name(text)[0] in (None, policy.schema):
        return
    if found is None:
        schema, name = split_name(text)
        full = name if schema is None else f"{schema}.{name}"
        raise UndefinedTable(f'relation "{full}" does not exist', location=location)
    if found[2] == "shared" and function == "currval":
        raise FeatureNotSupported(
            "currval() is not supported", hint="Use RETURNING, or the value that nextval() gave.", location=location
        )
    if found[2] == "shared" and function == "setval":
        raise InsufficientPrivilege(f"permission denied for sequence {found[1]}", hint="Its counter is shared.")


def own_numbers(relation: Relation, policy: Policy, path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The columns whose default draws from a per-tenant sequence, each with the key that names the tenant's own."""
    numbers = []
    for column in relation.columns:
        drawn = DEFAULT.fullmatch(column.default)
        found = None if drawn is None else find_sequence(drawn[1].replace("''", "'"), policy, path)
        if found is not None and found[2] == "per_tenant":
            numbers.append((column.name, sequence_key(*found[:2])))
    return tuple(numbers)


def next_number(key: str) -> Node:
    """nextval() of the tenant's own sequence."""
    constant: Node = {"A_Const": {"sval": {"sval": "0"}, "location": -1, "_hole": KeyHole(key)}}
    names = [{"String": {"sval": one}} for one in ("pg_catalog", "regclass")]
    cast: Node = {"TypeCast": {"arg": constant, "typeName": {"names": names, "typemod": -1, "location": -1}}}
    funcname = [{"String": {"sval": one}} for one in ("pg_catalog", "nextval")]
    return {"FuncCall": {"funcname": funcname, "args": [cast], "funcformat": "COERCE_EXPLICIT_CALL", "location": -1}}


def mapped_call(call: Node, policy: Policy, path: tuple[str, ...]) -> Node | None:
    """A call of one of FUNCTIONS with the tenant's own sequence; None where it needs none."""
    text = _name(call["args"][0]) if call.get("args") else None
    found = None if text is None else find_sequence(text, policy, path)
    if found is None or found[2] != "per_tenant":
        return None
    number = next_number(sequence_key(*found[:2]))["FuncCall"]["args"][0]
    funcname = [{"String": {"sval": one}} for one in ("pg_catalog", call["funcname"][-1]["String"]["sval"])]
    return {**call, "funcname": funcname, "args": [number, *call["args"][1:]]}


def draws(template: Template) -> bool:
    """Does the text name a sequence of the tenant's own?"""
    return any(isinstance(one, KeyHole) and one.key.startswith(OWN_SEQUENCE) for one in template.holes)


def in_clients_words(text: str, policy: Policy) -> str:
    """A message of the server's with the names that the client knows."""
    return OWN_NAME.sub("", text) if "per_tenant" in policy.sequences.values() else text


def _name(node: Node) -> str | None:
    body = uncast(node).get("A_Const", {})
    return str(body["sval"].get("sval", "")) if "sval" in body else None
