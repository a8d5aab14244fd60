"""Results that are too large: what is over the limit is not relayed, its statement is stopped, the session goes on.

The client is told 53400 in the place of the first row that is too many, never in the middle of a message. What the
server still sends of that pipeline is read and thrown away, up to its ReadyForQuery; a transaction that it finished all
the same is made to fail before the client hears that it has. While a result may be cut off nothing is sent behind its
Sync or Query, so that no cancel request can hit a later statement and no later one runs that must not. Decision 0056.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.backend.state import IDLE, IN_TRANSACTION, BackendState
from proxy.errors import ConnectionFailure
from proxy.session import encode, quotas
from proxy.session.actions import ResultStopped, StopResult
from proxy.session.conversation import Conversation
from proxy.session.due import EXECUTE, PARSE, QUERY, SUPPLY, SYNC, UNDER, Due
from proxy.session.prepared import take_back, undo
from proxy.session.replies import REPLIES, OutOfStep, current, receive
from proxy.session.result import Cut
from proxy.sql.plan import StatementKind
from proxy.wire.framing import FULL, Mark, length_at, scan

ENDS = b"CIsEZ"  # after which another result begins
PIPELINE_ENDS = frozenset({QUERY, SYNC, UNDER})
READY, ERROR, COPY_DONE = ord("Z"), ord("E"), ord("c")
ASYNCHRONOUS = b"AS"
SUPPLIED = b"123ntTI"  # own replies that a statement which ran before them need not have come to


def behind(s: Conversation) -> bool:
    """Would what comes next be sent behind a result that may be cut off? Then it waits for that."""
    return s.result.bounded and bool(s.due) and s.copying is None and s.due[-1].kind in PIPELINE_ENDS


def relay(s: Conversation, run: bytes, marks: Sequence[Mark], first: int, rows: int, after: int) -> int:
    """receive() within the limits: how many rows were relayed. first: where in the run its first header is; rows: how
    many begin in it; after: bytes of the last that are still to come.
    """
    result = s.result
    if result.cut is not None:
        _drain(s, run, marks)
        relayed = 0
    else:
        size = len(run) - first + after - sum(end - start for _, start, end in marks)
        if result.settled or result.fits(rows, size):
            receive(s, run, list(marks))
            _count(s, run, marks, rows, size)
            relayed = rows
        else:
            relayed = _weigh(s, run, marks, first)
    if not (s.due or s.open):
        result.answered()
    cut = result.cut
    if cut is not None and s.due and s.lease is not None and not (cut.stopped or cut.aborting):
        cut.stopped = True
        s.held += 1
        s.port.act(StopResult())
    return relayed


def _count(s: Conversation, run: bytes, marks: Sequence[Mark], rows: int, size: int) -> None:
    """What was relayed, none of it too much: of the result that is not complete yet."""
    result = s.result
    end = next((end for tag, _, end in reversed(marks) if tag in ENDS), -1)
    if end >= 0:
        result.ended()
        others: list[Mark] = []
        offset, _, rows = scan(run, end, FULL, others)
        size = offset - end - sum(stop - start for _, start, stop in others)
    result.rows += rows
    result.bytes += size


def _weigh(s: Conversation, run: bytes, marks: Sequence[Mark], at: int) -> int:
    """Message by message, as something in the run may be too much."""
    result = s.result
    done = relayed = 0
    for number, (tag, start, end) in enumerate([*marks, (0, len(run), len(run))]):
        while at < start:
            size = 1 + length_at(run, at + 1)
            if run[at] != COPY_DONE:
                if not result.settled and not result.fits(1, size):
                    _pass(s, run[done:at])
                    done = at
                    if _exceed(s):
                        _drain(s, run[at:], _from(marks[number:], at))
                        return relayed
                result.rows += 1
                result.bytes += size
                relayed += 1
            at += size
        if tag:
            receive(s, run[done:end], _from(marks[number : number + 1], done))
            if s.state is None:
                return relayed
            done = at = end
            if tag in ENDS:
                result.ended()
    _pass(s, run[done:])
    return relayed


def _pass(s: Conversation, run: bytes) -> None:
    if run:
        s.out.append(run)


def _from(marks: Sequence[Mark], at: int) -> list[Mark]:
    return [(tag, start - at, end - at) for tag, start, end in marks]


def _exceed(s: Conversation) -> bool:
    """The next row is too much. Is the result cut off there? Else it goes on, and is not looked at again."""
    result, due, state = s.result, s.due[0] if s.due else None, s.backend()
    result.settled = True
    if due is None or not due.forward or due.kind not in (QUERY, EXECUTE):
        return False
    plan = current(due)
    exceeded = result.exceeded()
    kind = StatementKind.OTHER if plan is None else plan.kind
    if exceeded.name in result.warned:
        told = quotas.warning(s, exceeded, kind, due.text, "")
        if told:
            s.out.append(told)
        return False
    if not result.may_be_cut(plan, state.status) or not _only_replies(s):
        return False
    reject = quotas.rejected(exceeded, kind)
    s.audit(reject, due.text, "")
    refusal = encode.refusal_of(reject)
    result.cut = Cut(refusal, s.clock())
    s.batch = None
    s.out.append(encode.error(refusal, "ERROR"))
    if due.kind is EXECUTE:
        _unsay(s)
    return True


def _only_replies(s: Conversation) -> bool:
    """Are own replies that wait in the pipeline such as have done nothing yet?"""
    return all(one.kind is not SUPPLY or one.reply[0] in SUPPLIED for one in s.due)


def _unsay(s: Conversation) -> None:
    """The client will think that the server has ignored what stands behind in its pipeline: names that it was to give
    or take are as before. What was prepared at the server stays known there.
    """
    head = s.due.popleft()
    others: list[Due] = []
    while s.due and s.due[0].kind is not SYNC:
        others.append(s.due.popleft())
    for due in reversed(others):  # the last meaning that a name was given is taken back first
        if due.kind is PARSE and due.name is not None:
            take_back(s, due, due.name, due.previous)
            due.name = None
        elif due.names:
            due.index = -1
            undo(s, due)
            due.names = []
    if not s.due:
        s.skipping = True
        s.up.append(encode.FLUSH)  # or what a statement that has completed said would not come before a Sync
    s.due.extendleft(reversed([head, *(one for one in others if one.kind is not SUPPLY)]))


def _drain(s: Conversation, run: bytes, marks: Sequence[Mark]) -> None:
    """Nothing of it is for the client but what does not answer it."""
    for number, (tag, start, end) in enumerate(marks):
        state = s.state
        if state is None:
            return
        handler = REPLIES.get(tag)
        if handler is None:
            raise OutOfStep(f"message type {chr(tag)!r}")
        if tag == READY and run[start + 5] == IN_TRANSACTION:
            _abort(s, state)
        verdict = handler(s, state, run, start, end)
        s.extra.clear()
        over = tag == READY and not (s.due and s.due[0].refusal is not None)
        if over or tag in ASYNCHRONOUS or (tag == ERROR and state.tainted is not None):
            s.out.append(run[start:end] if verdict is None else verdict)
        if over:
            s.result.cut = None
            s.result.ended()
            s.port.act(ResultStopped())
            receive(s, run[end:], _from(marks[number + 1 :], end))
            return


def _abort(s: Conversation, state: BackendState) -> None:
    """The statement has completed inside a transaction, which the client takes for failed: it is made to fail."""
    cut = s.result.cut
    if cut is None or cut.aborting:
        raise OutOfStep("a transaction that does not fail")
    cut.aborting = True
    s.up.append(encode.FAIL_QUERY)
    s.due.append(Due(QUERY, refusal=cut.refusal))
    s.pipeline += 1
    state.unnamed = None


def overdue(s: Conversation) -> None:
    """The server does not come to an end: its connection goes. So does the session where that holds something of its
    own; else the statement is answered.
    """
    state = s.state
    if s.result.cut is None or state is None:
        return
    if s.pins or state.status != IDLE or s.result.block:
        s.fatal(ConnectionFailure("server did not stop a statement whose result was too large"))
        return
    answered = any(due.kind in (QUERY, SYNC) for due in s.due)
    skipping = s.skipping
    s.release(destroy=True)
    s.skipping = skipping and not answered
    if answered:
        s.out.append(encode.READY_IDLE)
