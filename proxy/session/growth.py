"""Growth: a tenant whose storage is full may read and delete, and not add: INSERT, UPDATE, MERGE and COPY FROM.

While it is full its statements go the general way, so that the short way need not ask. What a tenant's own code does is
not looked at; it is counted like everything.
"""

from __future__ import annotations

from proxy.errors import Refusal
from proxy.quota.exceeded import Exceeded
from proxy.quota.storage import NAME
from proxy.session import encode, quotas
from proxy.session.conversation import Conversation
from proxy.sql.plan import Forward, Plan

HINT = "Delete rows, or have storage raised; they are counted every few minutes."


def refused(s: Conversation, plan: Plan, text: bytes) -> Refusal | None:
    """objection(), noted for the audit."""
    refusal = objection(s, plan, text)
    if refusal is not None:
        s.audit(s.own_refusal(plan.kind, refusal), text, "")
    return refusal


def objection(s: Conversation, plan: Plan, text: bytes = b"") -> Refusal | None:
    """May this statement run, as far as what it stores goes? Tells the client where the limit only warns."""
    if not s.storage.full or not grows(s, plan):
        return None
    exceeded = Exceeded(NAME, NAME, s.storage.detail, HINT)
    if s.storage.warns:
        quotas.warn(s, exceeded, plan.kind, text, "")
        return None
    refusal = encode.refusal_of(quotas.rejected(exceeded, plan.kind))
    refusal.rule = exceeded.rule
    return refusal


def grows(s: Conversation, plan: Plan) -> bool:
    """Does it add rows, or make some larger? An EXECUTE does what it executes."""
    if not isinstance(plan, Forward):
        return False
    run = plan.effects.executes
    inner = None if run is None else s.statements.get(run.name.encode())
    return plan.effects.grows or (inner is not None and grows(s, inner.plan))
