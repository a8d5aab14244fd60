"""A Refusal as the plan that it is: what the client is told, where in its text, and why, for audit and explain."""

from __future__ import annotations

from proxy.errors import Refusal
from proxy.sql.plan import Reject, StatementKind


def rejected(kind: StatementKind, refusal: Refusal, text: bytes, reasons: tuple[str, ...] = ()) -> Reject:
    """The plan. A refusal's location counts bytes of `text`; what the client reads counts characters, from 1."""
    position = refusal.position
    if position is None and refusal.location is not None and refusal.location >= 0:
        position = len(text[: refusal.location].decode("utf-8", "replace")) + 1
    return Reject(
        kind,
        refusal.sqlstate,
        refusal.message,
        refusal.detail,
        refusal.hint,
        position,
        rules=(f"refuse.{type(refusal).__name__}", *reasons),
    )
