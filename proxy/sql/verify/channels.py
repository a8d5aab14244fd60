"""LISTEN, NOTIFY and UNLISTEN as they are sent: of the tenant's own channel, computed here anew, or of all of them."""

from __future__ import annotations

import hashlib

from proxy.sql.parse import parse
from proxy.sql.verify.levels import Unproven
from proxy.sql.verify.mapped import SEED

FIELDS = {
    "ListenStmt": {"conditionname"},
    "NotifyStmt": {"conditionname", "payload", "payload_location"},
    "UnlistenStmt": {"conditionname"},
}


def check_channel(text: str, name: str | None, keys: dict[str, str]) -> None:
    """Unproven unless `text`, filled with `keys`, names the tenant's channel for `name`; None: UNLISTEN *."""
    statements = parse(text.encode(), size_limit=len(text.encode()) + 1, server_major=14)
    if len(statements) != 1:
        raise Unproven("more than one statement")
    ((kind, body),) = statements[0].tree.items()
    if kind not in FIELDS or set(body) - FIELDS[kind]:
        raise Unproven(f"a {kind} of another form")
    if name is None:
        if kind != "UnlistenStmt" or body:
            raise Unproven("a command without a channel")
        return
    digits = hashlib.sha256((keys[SEED] + "c" + name).encode()).hexdigest()
    if body.get("conditionname") != "pw_" + digits[:60]:
        raise Unproven("a channel that is not the tenant's own")
