"""lazy_begin: a BEGIN is answered at once and goes to the server in one write with what comes next.

So a transaction holds no server connection before its first statement. It is off unless the rules say so, because the
transaction, and with it now(), begins with that statement. Without it BEGIN is sent when it comes, which is one write
with whatever came in the same read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from proxy.session import encode
from proxy.session.conversation import Conversation
from proxy.session.due import QUERY, Due
from proxy.sql.plan import Forward, Planned, Reject, TransactionVerb

READY_IN_BLOCK = b"Z\0\0\0\5T"
SIMPLE_QUERY, FUNCTION_CALL = ord("Q"), ord("F")
NOTHING = b"Xdcf"  # Terminate, and what belongs to a COPY that is none: they ask nothing


class Begun(NamedTuple):
    """A BEGIN that was answered. sent: what the server gets; said: the client's text; epoch: of its plan."""

    plan: Forward
    sent: bytes
    said: bytes
    epoch: object


def waits(s: Conversation, planned: Planned, text: bytes) -> bool:
    """Is it a BEGIN that need not be sent yet? Then it was answered."""
    only = planned.plans[0]
    if s.grant is None or not s.grant.lazy_begin or s.lease is not None or len(planned.plans) != 1:
        return False
    if not isinstance(only, Forward) or only.effects.transaction is not TransactionVerb.BEGIN:
        return False
    s.begun = Begun(only, s.text_of(only, planned.literals, text), text, s.epoch)
    s.count((only,))
    s.out.append(encode.complete(_tag(text)) + READY_IN_BLOCK)
    return True


def _tag(text: bytes) -> str:
    return "START TRANSACTION" if text.split(None, 1)[0][:5].upper() == b"START" else "BEGIN"


def begin(
    s: Conversation, tag: int, plan_of: Callable[[Conversation, bytes, tuple[int, ...], bool], Planned | None]
) -> bool:
    """A message comes behind the BEGIN, which is sent ahead of it. False: the message waits for a connection, or for
    another plan: under other rules the same BEGIN may be refused, which then is the answer to the message.
    """
    begun = s.begun
    if begun is None or tag in NOTHING:
        return True
    s.port.follow()
    if begun.epoch is not s.epoch:
        planned = plan_of(s, begun.said, (), False)
        if planned is None:
            return False
        plan = planned.rejection or planned.plans[0]
        if isinstance(plan, Reject):
            s.audit(plan, begun.said, planned.shape)
            s.refusal = encode.refusal_of(plan)
            return _gone(s, tag)
        if isinstance(plan, Forward):
            begun = s.begun = Begun(plan, s.text_of(plan, planned.literals, begun.said), begun.said, s.epoch)
    if s.refusal is None and not s.ensure_lease():
        return False
    if s.refusal is not None:  # no connection to be had
        return _gone(s, tag)
    s.begun = None
    s.up.append(encode.query(begun.sent))
    s.due.append(Due(QUERY, False, begun.plan, (begun.plan,), begun.sent))
    s.backend().unnamed = None
    return True


def _gone(s: Conversation, tag: int) -> bool:
    """There is no block, and why is the answer to the message, whatever it asks: a Sync or Close would say that all is
    well, and what came next would be a transaction of its own. A Query tells it itself; a FunctionCall, after which no
    Sync comes, is refused in any case.
    """
    s.begun = None
    if tag != SIMPLE_QUERY and s.refusal is not None:
        refusal, s.refusal = s.refusal, None
        if tag != FUNCTION_CALL:
            s.refuse_extended(refusal)
    return True
