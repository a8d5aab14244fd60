"""Delay: a client that waits long for a server connection is told, once, that it waits.

The NOTICE stands between two messages, and before every reply to what waits: while a session waits for a lease it holds
none, so that no reply is due. It says nothing of how many wait, nor for whom. Source: PostgreSQL documentation,
"Asynchronous Operations"; PgBouncer's query_wait_notify.
"""

from __future__ import annotations

from proxy.session import encode
from proxy.session.conversation import Conversation, Phase, Waiting

NOTICE = encode.report(
    78,
    {
        "S": "NOTICE",
        "V": "NOTICE",
        "C": "00000",
        "M": "the statement waits until a server connection is free",
    },
)


def tell(s: Conversation, ticket: int) -> None:
    """Time is up. Nothing is told that has become wrong meanwhile, nor before the client is ready for it."""
    if s.waiting is Waiting.LEASE and ticket == s.ticket and s.phase is Phase.READY:
        s.out.append(NOTICE)
