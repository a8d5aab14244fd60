"""LOCK TABLE as it is sent: of relations that policy shows, in the mode that every reader takes."""

from __future__ import annotations

from proxy.sql.verify.levels import Node, Unproven
from proxy.sql.verify.relations import Relations

ACCESS_SHARE = 1


def is_lock(tree: Node) -> bool:
    """Is it a LOCK TABLE?"""
    return set(tree) == {"LockStmt"}


def check_lock(tree: Node, relations: Relations) -> None:
    """Unproven unless it keeps nobody waiting who reads or writes rows, and names nothing that is hidden."""
    body = tree["LockStmt"]
    if set(body) - {"relations", "mode", "nowait"} or body.get("mode") != ACCESS_SHARE:
        raise Unproven("a LOCK TABLE in a mode that others wait for")
    for one in body.get("relations", ()):
        named = one["RangeVar"]
        if "catalogname" in named or relations.shown(named.get("schemaname", ""), named["relname"]) is None:
            raise Unproven("a LOCK TABLE of what is not shown")
