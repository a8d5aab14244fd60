"""COPY FROM STDIN: what the client may send while the server takes rows, and when it must be waited for.

Behind a statement that will take rows nothing more of the client's is read until the server says that it does, or that
the statement is over: whether a message is copy data, ignored or the next command depends on that, and it is the server
who decides. Rows go through a scanner of wire/ where they lack the tenant column; nothing else looks at them. Source:
PostgreSQL documentation, "COPY Operations"; CopyGetData in commands/copyfromparse.c for what is ignored or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxy.errors import QueryCanceled, Refusal, RemoteProtocolError
from proxy.session import encode, quotas
from proxy.session.conversation import Conversation, Waiting
from proxy.session.due import QUERY, Due
from proxy.sql.copied import CopyIn
from proxy.sql.plan import Forward, Plan
from proxy.wire.backend import CopyInResponse
from proxy.wire.copybinary import BinaryRows
from proxy.wire.copylines import Rows
from proxy.wire.fields import Reader, message

Handler = Callable[[Conversation, bytes], bool]


def takes_rows(plan: Plan | None) -> bool:
    """Is it a COPY FROM STDIN?"""
    return isinstance(plan, Forward) and isinstance(plan.copy, CopyIn)


def objection(s: Conversation, plan: Plan) -> Refusal | None:
    """The tenant's key may have no form under the options of this COPY; then nothing is sent."""
    if not isinstance(plan, Forward) or not isinstance(plan.copy, CopyIn) or plan.copy.insert is not None:
        return None
    try:
        scanner(s, plan.copy)
    except Refusal as refusal:
        return refusal
    return None


def scanner(s: Conversation, copy: CopyIn) -> Rows | BinaryRows | None:
    """What puts the tenant column before each row; None where the rows go on as they are."""
    if not copy.supplied or copy.format is None or s.grant is None:
        return None
    return copy.format.rows(s.grant.keys[copy.key], copy.type, copy.supplied, copy.fields)


def wait_for_server(s: Conversation, plans: tuple[Plan, ...]) -> None:
    """Nothing more of the client's is read when one of these, just sent, takes rows."""
    if any(takes_rows(one) for one in plans):
        s.waiting = Waiting.COPY


def settled(s: Conversation) -> None:
    """A reply came: nobody is waited for any more unless a statement that takes rows is still due."""
    if s.waiting is Waiting.COPY and not any(takes_rows(one) for due in s.due for one in (due.plan, *due.plans)):
        s.waiting = Waiting.NOTHING


def begin(s: Conversation, due: Due, plan: Forward | None, body: bytes) -> bytes | None:
    """CopyInResponse: rows are taken from now on. What the client is told instead, where it has a column less; None
    where it may be told the same. RemoteProtocolError when no rows can be due."""
    if plan is None or not isinstance(plan.copy, CopyIn) or plan.copy.format is None or not due.forward:
        raise RemoteProtocolError("unexpected CopyInResponse from server")
    s.waiting = Waiting.NOTHING
    s.copying = Copying(due, scanner(s, plan.copy))
    if not plan.copy.supplied:
        return None
    told = CopyInResponse.decode(body)
    return CopyInResponse(told.format, told.formats[1:]).encode()


class Copying:
    """The server takes rows."""

    __slots__ = ("due", "rows")
    mine = False  # it is the server that takes them

    def __init__(self, due: Due, rows: Rows | BinaryRows | None) -> None:
        self.due = due
        self.rows = rows

    def take(self, s: Conversation, body: bytes) -> None:
        """CopyData."""
        sent = body if self.rows is None else self.rows.feed(body)
        if sent:
            s.up.append(message(100, sent))

    def done(self, s: Conversation) -> None:
        """CopyDone."""
        held = b"" if self.rows is None else self.rows.end()
        if held:
            s.up.append(message(100, held))
        s.up.append(encode.COPY_DONE)
        self._ended(s)

    def fail(self, s: Conversation, text: str) -> None:
        """CopyFail."""
        s.up.append(message(102, text.encode() + b"\0"))
        self._ended(s)

    def refuse(self, s: Conversation, refusal: Refusal) -> None:
        """The server gives up, and the client reads this."""
        self.due.refusal = refusal
        self.fail(s, "refused by partywall")

    def _ended(self, s: Conversation) -> None:
        s.copying = None
        if self.due.kind is QUERY:  # another statement of the same text may take rows
            s.waiting = Waiting.COPY


def copy_data(s: Conversation, body: bytes) -> bool:
    """CopyData: on to the server."""
    copying = s.copying
    if copying is not None and s.budget is not None and s.counters.bytes_in >= s.budget.received:
        refusal = quotas.flooded(s, copying.due.plan, copying.due.text)
        if refusal is not None:
            copying.refuse(s, refusal)
            return True
    if copying is not None:
        copying.take(s, body)
    return True


def copy_done(s: Conversation, body: bytes) -> bool:
    """CopyDone: the last rows, and that they were the last."""
    copying = s.copying
    if body:
        raise RemoteProtocolError("invalid message format")
    if copying is not None:
        copying.done(s)
    return True


def copy_fail(s: Conversation, body: bytes) -> bool:
    """CopyFail: the client gives up; the server says so."""
    copying = s.copying
    reader = Reader(body)
    text = reader.cstring().decode("utf-8", "replace")
    reader.end()
    if copying is not None:
        copying.fail(s, text)
    return True


def give_up(s: Conversation) -> None:
    """The rows take too long. A server that waits for them minds neither its own timeouts nor cancel requests."""
    if s.copying is not None:
        s.copying.fail(s, "too late")


def cancel(s: Conversation) -> None:
    """A cancel request. Between two batches of INSERTs the server would not mind one: it is made to fail."""
    if s.copying is not None and s.copying.mine:
        s.copying.refuse(s, QueryCanceled("canceling statement due to user request"))


def ignored(s: Conversation, body: bytes) -> bool:
    """Sync and Flush, which clients may have sent before they knew."""
    return True


HANDLERS: Mapping[int, Handler] = {
    ord("d"): copy_data,
    ord("c"): copy_done,
    ord("f"): copy_fail,
    ord("S"): ignored,
    ord("H"): ignored,
}
