"""Statements that went stale at the server: plans whose rows have other columns since some DDL, or names that are gone.

A server connection keeps what other sessions, or this one before the DDL, have prepared there. Where that fails, and
nothing of the batch has run or was told yet, and the batch asks what its rows are, the client need not know: the
statement is prepared anew and the batch is handled once more. In a transaction block the server has to be believed, as
its transaction has failed. Source: PostgreSQL, plancache.c (RevalidateCachedQuery).
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.backend.state import IDLE, BackendState, StatementKey
from proxy.session.conversation import Conversation, Waiting
from proxy.session.due import QUERY, SUPPLY, SYNC, Due
from proxy.session.prepared import OWN_NAME

DESCRIBE = ord("D")
LONGEST = 65_536  # bytes of a batch; a longer one is not kept for this

Message = tuple[int, bytes]


class Batch:
    """The client's messages from the first that uses a prepared statement on, while nothing before it is due."""

    __slots__ = ("due", "key", "messages", "size")

    def __init__(self, due: Due, key: StatementKey, message: Message) -> None:
        self.due = due  # the reply that tells whether it is stale
        self.key = key
        self.messages = [message]
        self.size = len(message[1])


def begin(s: Conversation, key: StatementKey, message: Message) -> None:
    """This message, whose reply is the last one due, uses what is prepared."""
    state, due = s.state, s.due
    if state is None or state.status != IDLE or s.again or len(message[1]) > LONGEST:
        return
    if any(one.forward and one.kind is not SUPPLY for one in list(due)[:-1]):
        return
    s.batch = Batch(due[-1], key, message)


def add(s: Conversation, batch: Batch, message: Message) -> None:
    """Another message of the batch was dealt with."""
    batch.messages.append(message)
    batch.size += len(message[1])
    if batch.size > LONGEST and s.batch is batch:
        s.batch = None


def is_stale(fields: Mapping[str, str]) -> bool:
    """Is this error about what is prepared, and not about what it does?"""
    if fields.get("R") == "RevalidateCachedQuery":
        return fields.get("C") == "0A000"
    return fields.get("C") == "26000" and OWN_NAME.search(fields.get("M", "")) is not None


def retried(s: Conversation, state: BackendState, due: Due, fields: Mapping[str, str]) -> bool:
    """Is it another try that this error leads to, and not an answer? False: nothing was done but forgetting."""
    batch, s.batch = s.batch, None
    if not is_stale(fields):
        return False
    if fields.get("C") == "26000":
        state.prepared.clear()
    elif due.key is not None:
        state.retire(due.key)
    last = s.due[-1]
    waits = s.waiting is not Waiting.NOTHING or s.message is not None or s.open
    if batch is None or due is not batch.due or waits or s.replay:
        return False
    if fields.get("C") == "0A000" and due.kind is not QUERY and not any(tag == DESCRIBE for tag, _ in batch.messages):
        return False  # the client would read the new columns as it was told of the old ones
    if due.kind is QUERY:
        if last is not due:
            return False
        state.retire(batch.key)
    elif last.kind is not SYNC or sum(one.kind is SYNC for one in s.due) != 1:
        return False
    last.forward = False
    s.again = True
    s.replay.extend(batch.messages)
    s.waiting = Waiting.PREPARE  # until the ReadyForQuery that the client does not see
    return True
