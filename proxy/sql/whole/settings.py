"""Which settings a tenant may set on a database of its own, and what SET and set_config() do to its session.

Everything may be set that the server lets the role set, but what the proxy's reading of texts depends on, and who the
session is. What is set belongs to the session, as in row mode: it follows it to whichever server connection it has.
Source: PostgreSQL documentation, SET, "System Administration Functions".
"""

from __future__ import annotations

from typing import Any

from proxy.errors import InsufficientPrivilege, Refusal
from proxy.sql import settings as shared
from proxy.sql.classified import Classified
from proxy.sql.classify import HANDLERS as ROW
from proxy.sql.paths import CONFIGURATION, may_be_configuration, may_be_path
from proxy.sql.plan import UNTRACKED, Effects, SettingEffect, StatementKind
from proxy.tenancy.policy import Policy

Node = dict[str, Any]
PINNED = frozenset({"client_encoding", "standard_conforming_strings"})  # texts are read with these
IDENTITY = "session_authorization"
SEED = "seed"  # of random(): it is no value that could be set again on another connection
TRANSACTION = frozenset({"transaction_isolation", "transaction_read_only", "transaction_deferrable"})
NO_VALUE = ("VAR_RESET", "VAR_SET_DEFAULT")
LONGEST = 8192  # bytes of a value: sessions keep them
HINT = "The proxy reads statements as UTF-8 with standard strings, for one login."


def allowed(name: str, value: str) -> bool:
    """May a session have this setting with this value (as text, not quoted)?"""
    lowered = name.lower()
    if "\0" in value or len(value.encode()) > LONGEST or lowered == IDENTITY:
        return False
    return lowered not in PINNED or shared.allowed_setting(lowered, value)


def allowed_setting(policy: Policy, name: str, value: str) -> bool:
    """May a session under this policy have this setting with this value? In whatever isolation mode."""
    if policy.schema and name.lower() == "search_path":
        return may_be_path(value)
    if policy.schema and name.lower() == CONFIGURATION and not may_be_configuration(policy, value):
        return False
    if policy.isolation != "database":
        return shared.allowed_setting(name, value)
    return allowed(name, value) and name.lower() != SEED


def may_call(name: str, value: str | None) -> bool:
    """May set_config() set it, to this value or (None) to one that Bind will tell?"""
    return allowed(name, value or "") and name.lower() not in PINNED


def leaves_name(name: str) -> bool:
    """Does the server know its name from then on, until the connection ends? So it is with names of two parts that no
    extension has defined, and which those are the proxy does not know.
    """
    return "." in name


def set_statement(tree: Node, body: Node) -> Classified:
    """SET, RESET and SET TRANSACTION."""
    kind, name = body.get("kind"), str(body.get("name", ""))
    lowered, local = name.lower(), bool(body.get("is_local", False))
    if kind == "VAR_RESET_ALL":
        return ROW["VariableSetStmt"](tree, body)
    if kind == "VAR_SET_MULTI":
        return Classified(StatementKind.SETTING, tree, Effects(settings=_defaults(name, body)))
    if kind in NO_VALUE:
        if lowered in PINNED | {IDENTITY} | TRANSACTION:
            return Classified(StatementKind.SETTING, tree)
        effects = Effects(settings=(SettingEffect(lowered, None, local),), taints=leaves_name(lowered))
        return Classified(StatementKind.SETTING, tree, effects)
    values = [_value(one) for one in body.get("args", ())]
    known = [one for one in values if one is not None]
    if not allowed(name, ", ".join(value for value, _ in known)):
        raise denied(name)
    if lowered in PINNED | TRANSACTION:
        return Classified(StatementKind.SETTING, tree)
    if len(known) < len(values) or not values or lowered == SEED:
        return Classified(StatementKind.SETTING, tree, Effects(pins=UNTRACKED))
    effect = SettingEffect(lowered, ", ".join(text for _, text in known), local)
    return Classified(StatementKind.SETTING, tree, Effects(settings=(effect,), taints=leaves_name(lowered)))


def denied(name: str) -> Refusal:
    """The answer to a setting that no session may have."""
    return InsufficientPrivilege(f'permission denied to set parameter "{name}"', hint=HINT)


def _defaults(name: str, body: Node) -> tuple[SettingEffect, ...]:
    """What SET SESSION CHARACTERISTICS sets; SET TRANSACTION ends with its transaction."""
    if name != "SESSION CHARACTERISTICS":
        return ()
    settings = []
    for one in body.get("args", ()):
        element = one["DefElem"]
        constant = _value(element["arg"])
        if constant is not None:
            value = {"1": "on", "0": "off"}.get(constant[0], constant[0])
            settings.append(SettingEffect(f"default_{element['defname']}", _quoted(value)))
    return tuple(settings)


def _value(node: Node) -> tuple[str, str] | None:
    """A value of SET: as it is, and as it is written after TO. None for one that the proxy cannot write again."""
    body = node.get("A_Const")
    if body is None or body.get("isnull"):
        return None
    if "sval" in body:
        text = str(body["sval"].get("sval", ""))
        return text, _quoted(text)
    if "ival" in body:
        number = str(body["ival"].get("ival", 0))
        return number, number
    if "fval" in body:
        number = str(body["fval"].get("fval", "0"))
        return number, number
    return None


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
