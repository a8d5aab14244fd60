"""A login that only reads, where the tenant has code of its own: its transactions are read-only at the server.

No look at a statement tells what a function does that it calls, or a view that calls one. So the session's default is a
read-only transaction (greeting.py sets it), and here is refused what would make one that writes. What a function sets
for itself comes too late: the server does not let a transaction write that has begun to read.
"""

from __future__ import annotations

from typing import Any

from proxy.errors import InsufficientPrivilege
from proxy.sql.parse import walk
from proxy.sql.plan import SettingEffect
from proxy.sql.settings import READ_ONLY

Node = dict[str, Any]
NAMES = (READ_ONLY, "transaction_read_only")
ON = ("on", "true", "1")
HINT = "This login only reads."


def check_transaction(tree: Node) -> None:
    """InsufficientPrivilege for a transaction that writes, and for a SET or RESET of whether one does."""
    for name, body in walk(tree):
        if name == "DefElem" and body.get("defname") == "transaction_read_only" and not _is_on(body.get("arg", {})):
            raise _denied("transaction_read_only")
        if name == "VariableSetStmt" and str(body.get("name", "")).lower() in NAMES:
            values = body.get("args", ())
            if not values or not all(_is_on(one) for one in values):
                raise _denied(str(body["name"]).lower())


def check_effects(settings: tuple[SettingEffect, ...]) -> None:
    """The same for set_config()."""
    for one in settings:
        if one.name in NAMES and (one.value is None or one.value.strip("'").lower() not in ON):
            raise _denied(one.name)


def _is_on(node: Node) -> bool:
    constant = node.get("A_Const", {})
    if "ival" in constant:
        return bool(constant["ival"].get("ival", 0))
    if "boolval" in constant:
        return bool(constant["boolval"].get("boolval", False))
    return str(constant.get("sval", {}).get("sval", "")).lower() in ON


def _denied(name: str) -> InsufficientPrivilege:
    return InsufficientPrivilege(f'permission denied to set parameter "{name}"', hint=HINT)
