"""lazy_begin: a BEGIN is answered at once and goes to the server in one write with what comes next.

So a transaction holds no server connection before its first statement. It is off unless the rules say so, because the
transaction, and with it now(), begins with that statement. Without it BEGIN is sent when it comes, which is one write
with whatever came in the same read.
"""

from __future__ import annotations

from proxy.session import encode
from proxy.session.conversation import Conversation
from proxy.session.due import QUERY, Due
from proxy.sql.plan import Forward, Planned, TransactionVerb

READY_IN_BLOCK = b"Z\0\0\0\5T"
TERMINATE = ord("X")


def waits(s: Conversation, planned: Planned, text: bytes) -> bool:
    """Is it a BEGIN that need not be sent yet? Then it was answered."""
    only = planned.plans[0]
    if s.grant is None or not s.grant.lazy_begin or s.lease is not None or len(planned.plans) != 1:
        return False
    if not isinstance(only, Forward) or only.effects.transaction is not TransactionVerb.BEGIN:
        return False
    s.begun = (only, s.text_of(only, planned.literals, text))
    s.count((only,))
    s.out.append(encode.complete(_tag(text)) + READY_IN_BLOCK)
    return True


def _tag(text: bytes) -> str:
    return "START TRANSACTION" if text.split(None, 1)[0][:5].upper() == b"START" else "BEGIN"


def begin(s: Conversation, tag: int) -> bool:
    """A message comes behind the BEGIN, which is sent ahead of it. False: the message waits for a connection."""
    begun = s.begun
    if begun is None or tag == TERMINATE:
        return True
    if s.refusal is None and not s.ensure_lease():
        return False
    s.begun = None
    if s.refusal is not None:  # no connection to be had, which is the answer to the message; there is no block
        return True
    plan, text = begun
    s.up.append(encode.query(text))
    s.due.append(Due(QUERY, False, plan, (plan,), text))
    s.backend().unnamed = None
    return True
