"""Notifications: from the tenant's channels at the server back to the names that the session listens to.

A session that listens keeps its server connection. It knows the hash of every name that it has ever asked for there,
which is more than the server may send of; a notification of anything else is none of its business, and ends the
connection. The process id of the notifying session is told where it is known. Source: PostgreSQL documentation,
NOTIFY, LISTEN, UNLISTEN, and "Asynchronous Operations".
"""

from __future__ import annotations

from proxy.backend.state import IDLE, BackendState
from proxy.errors import InternalError, RemoteProtocolError
from proxy.session.conversation import Conversation
from proxy.sql.plan import UNTRACKED, Effects
from proxy.tenancy.derived import SEED, own_channel
from proxy.wire.backend import NotificationResponse

LISTEN = "listen"
UNKNOWN_PROCESS = 2**31 - 1  # who notified is not a session of this process: no process id of the server is told


def note(s: Conversation, state: BackendState, effects: Effects) -> None:
    """A statement completed: LISTEN adds a name; UNLISTEN * outside a block lets the connection go when it has held."""
    if effects.listens is not None:
        if s.grant is None:
            raise InternalError("a session without a grant")
        whole = s.grant.policy.isolation == "database"
        s.listening[effects.listens if whole else own_channel(effects.listens, s.grant.keys[SEED])] = effects.listens
        s.port.listening(tuple(s.listening.values()))
    if effects.unlistens:
        s.unlistened = state.status == IDLE
    elif effects.transaction is not None or effects.listens is not None:
        s.unlistened = False


def settled(s: Conversation) -> None:
    """ReadyForQuery outside a block: an UNLISTEN * that was not rolled back holds."""
    if s.unlistened and not s.failed:
        s.unpin(LISTEN)
    s.unlistened = False


def notification(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> bytes:
    """NotificationResponse, under the client's name of the channel."""
    found = NotificationResponse.decode(run[start + 5 : end])
    name = s.listening.get(found.channel)
    if name is None and s.grant is not None and s.grant.policy.isolation == "database" and UNTRACKED in s.pins:
        name = found.channel  # a function of the tenant's own may have listened
    if name is None:
        raise RemoteProtocolError("notification of a channel that the session does not listen to")
    if found.process_id == state.process_id:
        process_id = s.process_id
    else:
        process_id = s.port.notifier(found.process_id) or UNKNOWN_PROCESS
    return NotificationResponse(process_id, name, found.payload).encode()
