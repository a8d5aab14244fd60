"""Outstanding: which replies a server owes, and what becomes of each: FORWARD, SKIP, or SUPPLY by the proxy itself.

A queue in the order in which messages went to the server (or would have gone, for what the proxy answers itself). After
an error in an extended query the server ignores everything up to the next Sync; so does the queue, whatever was to
become of it. It knows replies only: what a client may send now is the session's business. A reply that is not due is a
RemoteProtocolError: the server and the proxy no longer agree, and the connection must be closed.
Source: PostgreSQL documentation, "Extended Query", "Pipelining", "COPY Operations".

Invariant: after the ReadyForQuery of a Sync, nothing expected before that Sync is owed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

from proxy.errors import RemoteProtocolError


class Disposition(IntEnum):
    """What becomes of a reply."""

    FORWARD = 0  # the client gets it
    SKIP = 1  # the proxy asked for it
    SUPPLY = 2  # the server was not asked; the proxy's own bytes take its place


class Kind(IntEnum):
    """What a reply answers. Flush has no reply and is not expected."""

    PARSE = 0
    BIND = 1
    CLOSE = 2
    DESCRIBE_STATEMENT = 3
    DESCRIBE_PORTAL = 4
    EXECUTE = 5
    QUERY = 6
    SYNC = 7


FORWARD, SKIP, SUPPLY = Disposition.FORWARD, Disposition.SKIP, Disposition.SUPPLY
PARSE, BIND, CLOSE = Kind.PARSE, Kind.BIND, Kind.CLOSE
DESCRIBE_STATEMENT, DESCRIBE_PORTAL, EXECUTE = Kind.DESCRIBE_STATEMENT, Kind.DESCRIBE_PORTAL, Kind.EXECUTE
QUERY, SYNC = Kind.QUERY, Kind.SYNC


@dataclass(frozen=True, slots=True)
class Expected:
    """One reply that is due. payload: the session's own; for SUPPLY the bytes."""

    kind: Kind
    disposition: Disposition
    payload: object = None


_ERROR, _NOTICE, _READY, _COPY_IN = ord("E"), ord("N"), ord("Z"), ord("G")
_ASYNCHRONOUS = b"SA"  # ParameterStatus, NotificationResponse: they answer nothing

# kind -> type byte -> is the reply complete with it? What is not in the table is not due.
_TABLE: dict[Kind, dict[int, bool]] = {
    PARSE: {ord("1"): True},
    BIND: {ord("2"): True},
    CLOSE: {ord("3"): True},
    DESCRIBE_STATEMENT: {ord("t"): False, ord("T"): True, ord("n"): True},
    DESCRIBE_PORTAL: {ord("T"): True, ord("n"): True},
    EXECUTE: {tag: tag in b"CIs" for tag in b"DdcGHCIs"},
    QUERY: dict.fromkeys(b"TDdcGHCI", False),
    SYNC: {},
}
_DUE = tuple([_TABLE[kind] for kind in Kind])  # an index is quicker than the hash of an enumeration's member
_PLAIN = [[Expected(kind, disposition) for disposition in Disposition] for kind in Kind]  # most have no payload


class Outstanding:
    """The replies due on one server connection."""

    __slots__ = ("_copying", "_skipping", "current", "dropped", "queue")

    def __init__(self) -> None:
        self.queue: deque[Expected] = deque()
        self.current: Expected | None = None  # what the last message of on_backend answered; None: it answered nothing
        self.dropped: list[Expected] = []  # what the last error made the server ignore
        self._skipping = False  # an error was reported and the Sync that ends the silence is not yet expected
        self._copying = False  # the server takes copy data: it ignores Sync

    @property
    def idle(self) -> bool:
        """Nothing is owed."""
        return not self.queue

    @property
    def skipping(self) -> bool:
        """The server ignores whatever is sent before the next Sync."""
        return self._skipping

    @property
    def copying(self) -> bool:
        """The server takes copy data, until `copy_ended` or an error."""
        return self._copying

    @property
    def quiet(self) -> bool:
        """One simple query of the client's own is all that is under way."""
        queue = self.queue
        return len(queue) == 1 and queue[0].kind is QUERY and queue[0].disposition is FORWARD

    def expect(self, kind: Kind, disposition: Disposition = FORWARD, payload: object = None) -> bool:
        """Notes a message that goes to the server, or a reply that the proxy supplies in its turn.

        False when no reply will come, because the server ignores the message: it is skipping, or takes copy data.
        """
        if kind is SYNC:
            if disposition is SUPPLY and self._in_segment():
                raise ValueError("the server must get the Sync of a segment that it has a part of")
            if self._copying:
                return False
            self._skipping = False
        elif self._skipping:
            return False
        self.queue.append(_PLAIN[kind][disposition] if payload is None else Expected(kind, disposition, payload))
        return True

    def _in_segment(self) -> bool:
        """Did the server get a message of an extended query whose Sync is not yet expected?"""
        for entry in reversed(self.queue):
            if entry.disposition is not SUPPLY:
                return entry.kind not in (QUERY, SYNC)
        return self._skipping

    def supplies(self) -> list[Expected]:
        """The proxy's own replies whose turn it is, removed from the queue; ask after `expect` and `on_backend`."""
        due: list[Expected] = []
        queue = self.queue
        while queue and queue[0].disposition is SUPPLY:
            due.append(queue.popleft())
        return due

    def on_backend(self, tag: int) -> Disposition:
        """What becomes of a watched message: FORWARD or SKIP; `current` is what it answers.

        Take `supplies` first: a SUPPLY at the head answers nothing. ErrorResponse and ReadyForQuery do what on_error
        and on_ready do. An ErrorResponse that answers nothing (the server goes away) is FORWARD with `current` None.
        """
        queue = self.queue
        if not queue:
            self.current = None
            if tag in (_ERROR, _NOTICE) or tag in _ASYNCHRONOUS:
                return FORWARD
            raise RemoteProtocolError(f"unexpected message type 0x{tag:02X} from server: no reply is due")
        if tag in _ASYNCHRONOUS:
            self.current = None
            return FORWARD
        head = self.current = queue[0]
        if head.disposition is SUPPLY:
            raise RemoteProtocolError(f"unexpected message type 0x{tag:02X} from server: the reply is the proxy's own")
        complete = _DUE[head.kind].get(tag)
        if complete:
            queue.popleft()
            self._copying = False
        elif complete is not None:
            if tag == _COPY_IN:
                self._begin_copy()
        elif tag == _READY:
            self.on_ready()
        elif tag == _ERROR:
            self.on_error()
        elif tag != _NOTICE:
            raise RemoteProtocolError(f"unexpected message type 0x{tag:02X} from server: it answers nothing")
        return head.disposition

    def on_error(self) -> None:
        """The head failed. In an extended query it and all up to the next Sync go to `dropped`, supplies too."""
        self._copying = False
        self.dropped = []
        queue = self.queue
        if not queue or queue[0].kind in (QUERY, SYNC):
            return  # ReadyForQuery follows by itself
        while queue and queue[0].kind is not SYNC:
            self.dropped.append(queue.popleft())
        self._skipping = not queue

    def on_ready(self) -> None:
        """ReadyForQuery: the head, a Query or a Sync, is answered. RemoteProtocolError when it is something else."""
        queue = self.queue
        if not queue or queue[0].kind not in (QUERY, SYNC):
            raise RemoteProtocolError("unexpected ReadyForQuery from server")
        queue.popleft()
        self._copying = False

    def _begin_copy(self) -> None:
        """The server reads copy data now, and ignores the Syncs that were already on their way.

        So nobody may send copy data ahead of CopyInResponse: the Sync behind them would be taken for one of those.
        """
        self._copying = True
        head = self.queue.popleft()
        while self.queue and self.queue[0].kind is SYNC:
            self.queue.popleft()
        self.queue.appendleft(head)

    def copy_ended(self) -> None:
        """CopyDone or CopyFail went to the server: a Sync counts again."""
        self._copying = False
