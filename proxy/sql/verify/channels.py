"""NOTIFY as it is sent: of the tenant's own channel, computed here anew."""

from __future__ import annotations

import hashlib

from proxy.sql.parse import parse
from proxy.sql.verify.levels import Unproven
from proxy.sql.verify.mapped import SEED

FIELDS = {"conditionname", "payload", "payload_location"}


def check_channel(text: str, name: str, keys: dict[str, str]) -> None:
    """Unproven unless `text`, filled with `keys`, notifies the tenant's channel for `name`."""
    statements = parse(text.encode(), size_limit=len(text.encode()) + 1, server_major=14)
    if len(statements) != 1:
        raise Unproven("more than one statement")
    ((kind, body),) = statements[0].tree.items()
    if kind != "NotifyStmt" or set(body) - FIELDS:
        raise Unproven(f"a {kind} of another form")
    digits = hashlib.sha256((keys[SEED] + "c" + name).encode()).hexdigest()
    if body.get("conditionname") != "pw_" + digits[:60]:
        raise Unproven("a channel that is not the tenant's own")
