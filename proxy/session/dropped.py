"""What an error makes the server ignore: everything up to the next Sync, and what the session thought would come of it.

Source: PostgreSQL documentation, "Extended Query".
"""

from __future__ import annotations

from proxy.backend.state import BackendState
from proxy.session.conversation import Conversation
from proxy.session.due import PARSE, SYNC
from proxy.session.prepared import take_back, undo


def drop_until_sync(s: Conversation, state: BackendState) -> None:
    """The server ignores everything up to the next Sync: no reply to it is due, and what it would have defined is
    not.
    """
    dropped = []
    while s.due and s.due[0].kind is not SYNC:
        dropped.append(s.due.popleft())
    for due in reversed(dropped):  # the last meaning that a name was given is taken back first
        if due.kind is not PARSE:
            if due is not dropped[0]:
                due.index = -1  # none of it has run
                undo(s, due)
            continue
        if due.key is not None:
            state.unprepare(due.key)
        else:
            state.unnamed = None
        if due.name is not None:
            take_back(s, due, due.name, due.previous if due is not dropped[0] else None)
    if not s.due:
        s.skipping = True
