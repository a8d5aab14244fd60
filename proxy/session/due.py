"""Due: one reply that the server still owes, or an own reply that waits for its turn.

The queue of these is the session's second state machine: what may come from the server now. FORWARD and SKIP are
`forward`; SUPPLY is a Due whose `reply` is written when it comes to the head. An error drops what follows it up to the
next Sync, as the server does (PostgreSQL documentation, "Extended Query", Pipelining).
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING

from proxy.backend.state import StatementKey
from proxy.errors import Refusal
from proxy.session.statements import Statement
from proxy.sql.plan import Forward, Plan

if TYPE_CHECKING:
    from proxy.session.inserting import Inserting


class Kind(IntEnum):
    """What was sent, by what ends its reply."""

    QUERY = 0
    PARSE = 1
    BIND = 2
    DESCRIBE = 3
    EXECUTE = 4
    CLOSE = 5
    SYNC = 6
    SUPPLY = 7
    UNDER = 8  # see Conversation.under
    LOAD = 9  # see inserting.py


QUERY, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, SYNC, SUPPLY, UNDER, LOAD = Kind


class Due:
    """One entry. Only the fields of its kind are used."""

    __slots__ = (
        "early", "forward", "index", "inserting", "key", "kind", "name", "names", "plan", "plans", "prepared",
        "previous", "refusal", "reply", "started", "starts", "tag", "text", "values",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        forward: bool = True,
        plan: Forward | None = None,
        plans: tuple[Plan, ...] = (),
        text: bytes = b"",
        *,
        reply: bytes = b"",
        refusal: Refusal | None = None,
        started: bool = True,
    ) -> None:
        self.kind = kind
        self.forward = forward  # False: the reply is to something that the client did not ask for
        self.plan = plan  # of the statement that runs or is described
        self.plans = plans  # QUERY of several statements; empty when `plan` is the only one
        self.index = 0  # of the plan that runs
        self.text = text  # the client's, for the positions of errors
        self.reply = reply  # SUPPLY
        self.refusal = refusal  # stands in for the server's error, which we provoked
        self.early = False  # the server would have said it before it looks whether the transaction is aborted
        self.started = started  # False: own answers that lead a QUERY are still to be given
        self.starts: tuple[int, ...] = ()  # QUERY: where each plan's text begins in what was sent, in characters
        self.key: StatementKey | None = None  # PARSE: what is being prepared under a new name
        self.name: bytes | None = None  # PARSE by the client: the name it defines; BIND, DESCRIBE: the name it uses
        self.tag: str | None = None  # PARSE: what the client asked for was PREPARE, whose reply this is
        self.names: list[tuple[int, bytes, Statement | None]] = []  # what names meant before, by statement of a QUERY
        self.prepared: list[tuple[int, StatementKey]] = []  # QUERY: what its statements prepare
        self.previous: Statement | None = None  # PARSE: what the name meant before
        self.values: tuple[bytes | None, ...] = ()  # EXECUTE: parameters, where an error may have to tell of them
        self.inserting: Inserting | None = None  # LOAD


DueQueue = deque[Due]


def unsettled(queue: DueQueue, name: bytes | None = None) -> bool:
    """May an error that is still to come change what this name (None: any) of a statement stands for? What comes in the
    same pipeline is skipped with it then; behind a Sync it is not. The server has been asked: the answer will come.
    """
    behind = False
    for due in reversed(queue):
        behind = behind or due.kind is SYNC or due.kind is QUERY
        if changes(due, name):
            if behind:
                return True
            if name is not None:
                return False  # what it stands for now is said in this very pipeline
    return False


def changes(due: Due, name: bytes | None) -> bool:
    """May this name (None: any) stand for something else when this is answered? A Parse of ours ends the server's
    unnamed statement like the client's.
    """
    if due.kind is PARSE:
        named = b"" if due.name is None and due.key is None and name is not None else due.name
        return named is not None and (name is None or named == name)
    return bool(due.names) and (name is None or any(one == name for _, one, _ in due.names))


def undecided(queue: DueQueue) -> bool:
    """Is it open whether the transaction will be aborted when its turn comes to what is said now?"""
    return any(due.kind is SYNC or due.kind is QUERY for due in queue)
