"""What the server may say now, and what of it the client hears: the second of the two state machines.

Runs are relayed as they are; only watched messages are looked at, each against the head of the due queue. A message
that fits nothing due means that the connection is out of step: it is closed, and the session with it. Source:
PostgreSQL documentation, "Message Flow".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxy.backend.state import FAILED, IDLE, IN_TRANSACTION, BackendState
from proxy.errors import Refusal
from proxy.session import copy, encode, inserting, stale
from proxy.session.blocks import recover
from proxy.session.conversation import Conversation, Phase, Waiting
from proxy.session.dropped import drop_until_sync
from proxy.session.due import BIND, CLOSE, DESCRIBE, EXECUTE, LOAD, PARSE, QUERY, SUPPLY, SYNC, Due
from proxy.session.label import NAME
from proxy.session.notifications import note, relayed, settled, unlistened, withhold
from proxy.session.prepared import rename, undo
from proxy.session.query import lead
from proxy.session.resets import discarded
from proxy.sql.copied import CopyOut
from proxy.sql.lift import lift
from proxy.sql.plan import OUTLASTING, UNTRACKED, Answer, Forward, StatementKind
from proxy.sql.restored import with_detail
from proxy.wire.fields import Reader
from proxy.wire.framing import Mark

SKIP = b""
Verdict = bytes | None
"""None: relay as it is; bytes: these instead."""
Reply = Callable[[Conversation, BackendState, bytes, int, int], Verdict]


class OutOfStep(Exception):
    """The server's message fits nothing that is due."""


def receive(s: Conversation, run: bytes, marks: list[Mark]) -> None:
    """One read of the server's, already cut: relays it, with the watched messages judged one by one."""
    out, extra, due = s.out, s.extra, s.due
    begin = 0
    for tag, start, end in marks:
        state = s.state
        if state is None:
            return  # the session ended within this read
        handler = REPLIES.get(tag)
        if due and due[0].kind is LOAD:
            handler = inserting.REPLIES.get(tag, handler)
        if handler is None:
            raise OutOfStep(f"message type {chr(tag)!r}")
        verdict = handler(s, state, run, start, end)
        if verdict is not None:
            if start > begin:
                out.append(run[begin:start])
            if verdict:
                out.append(verdict)
            begin = end
        if due and (due[0].kind is SUPPLY or not due[0].started):
            advance(s)
        if extra:
            if end > begin:
                out.append(run[begin:end])
            out.extend(extra)
            extra.clear()
            begin = end
    if begin == 0:
        out.append(run)
    elif begin < len(run):
        out.append(run[begin:])


def advance(s: Conversation) -> None:
    """Own replies whose turn has come."""
    due = s.due
    while due:
        head = due[0]
        if head.kind is SUPPLY:
            s.extra.append(head.reply)
            due.popleft()
        elif not head.started:
            head.started = True
            lead(s, head, s.extra)
            return
        else:
            return


def pop(s: Conversation, *kinds: int) -> Due:
    """The head, which must be one of these kinds and is done with."""
    if not s.due or s.due[0].kind not in kinds:
        raise OutOfStep(f"reply to {kinds!r} is not due")
    return s.due.popleft()


def head(s: Conversation, *kinds: int) -> Due:
    """The head, which must be one of these kinds and stays."""
    if not s.due or s.due[0].kind not in kinds:
        raise OutOfStep(f"reply to {kinds!r} is not due")
    return s.due[0]


def heard(due: Due) -> Verdict:
    """Relayed, or skipped because the client did not ask."""
    return None if due.forward else SKIP


def ready(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """ReadyForQuery: the end of a simple query or pipeline, and perhaps of a transaction."""
    due = pop(s, QUERY, SYNC)
    if end - start != 6:
        raise OutOfStep("length of ReadyForQuery")
    if due.forward and due.index < len(due.plans) and not s.failed:
        raise OutOfStep("ReadyForQuery before the statements have completed")
    status = run[start + 5]
    if status not in (IDLE, IN_TRANSACTION, FAILED):
        raise OutOfStep("transaction status")
    state.status = status
    if status == IDLE:
        if s.unlistened:
            unlistened(s)
        s.end_portals()
        if s.failed:
            s.settings.restore()
        else:
            s.settings.keep()
        if s.subscribed:
            settled(s)
        s.failed = False
        s.settings.objects.sent = {}
        s.settle_pins()
    elif status == IN_TRANSACTION:
        s.failed = False
    s.tell_tables()
    if s.waiting is Waiting.PREPARE and not s.due:
        s.waiting = Waiting.NOTHING
    if due.forward:
        s.batch, s.again = None, False
    if due.forward and not s.due:
        s.counters.observe(s.clock() - s.started)
    copy.settled(s)
    if s.subscribed and status == IDLE and due.forward and not s.due and s.waiting is Waiting.NOTHING:
        withhold(s)
        return SKIP
    return heard(due)


def parse_complete(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """ParseComplete; the end of PREPARE where it was one."""
    due = pop(s, PARSE)
    return heard(due) if due.tag is None else encode.complete(due.tag)


def bind_complete(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """BindComplete. To a Bind that had to fail it means that our own refusal did not happen."""
    due = pop(s, BIND)
    if due.refusal is not None:
        raise OutOfStep("a refused Bind went through")
    return heard(due)


def close_complete(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """CloseComplete."""
    return heard(pop(s, CLOSE))


def parameter_description(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """ParameterDescription; RowDescription or NoData follows."""
    return heard(head(s, DESCRIBE))


def row_description(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """RowDescription: to a simple query, or to Describe."""
    due = head(s, DESCRIBE, QUERY)
    plan = running(due, {})
    if due.kind is DESCRIBE:
        s.due.popleft()
    if plan is not None and plan.tag is not None and plan.kind is not StatementKind.SHOW:  # a SELECT to the server only
        return encode.NO_DATA if due.forward and due.kind is DESCRIBE else SKIP
    return heard(due)


def no_data(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """NoData."""
    return heard(pop(s, DESCRIBE))


def command_complete(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """CommandComplete: the statement's effects are real now."""
    due = head(s, QUERY, EXECUTE)
    if due.refusal is not None:
        raise OutOfStep("a refused query went through")
    plan = due.plan
    if due.kind is EXECUTE:
        s.due.popleft()
        copy.settled(s)
    elif not due.forward:
        return SKIP
    else:
        if due.index >= len(due.plans):
            raise OutOfStep("more replies than statements")
        plan = current(due)
        due.index += 1
    verdict = heard(due)
    if plan is not None:
        effects = plan.effects
        recover(state, effects)
        if effects.discards:
            discarded(s)
            state.forget()
            s.keep_own()
        if effects.noted:
            s.settings.note(effects, run[start + 5 : end - 1].decode("utf-8", "replace"))
        if effects.pins is not None:
            s.pin(effects.pins)
            if effects.pins == UNTRACKED:
                s.port.altered()
        s.unpin(*effects.unpins)
        note(s, state, effects)
        s.leave_traces(plan)
        if plan.tag is not None:
            verdict = encode.complete(plan.tag) if plan.tag else SKIP
    if due.kind is QUERY and due.index < len(due.plans):
        lead(s, due, s.extra)
    return verdict


def empty_query(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """EmptyQueryResponse: only to a Query that we sent empty, to learn the state after our own answers."""
    due = head(s, QUERY, EXECUTE)
    if due.kind is EXECUTE:
        s.due.popleft()
        return None
    if not all(isinstance(one, Answer) for one in due.plans):
        raise OutOfStep("EmptyQueryResponse")
    return SKIP


def portal_suspended(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """PortalSuspended: the row limit of Execute was reached."""
    due = pop(s, EXECUTE)
    outlasting(s, due)
    return heard(due)


def outlasting(s: Conversation, due: Due) -> None:
    """What a statement may have left in the session although it did not complete: a lock, a seed, or the unknown."""
    plan = running(due, {}) if due.kind in (QUERY, EXECUTE) else None
    if plan is not None and plan.effects.pins in OUTLASTING:
        s.pin(plan.effects.pins)
        s.leave_traces(plan)


def error_response(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """ErrorResponse: answered in the client's terms; what follows up to Sync is not due any more."""
    fields = encode.fields_of(run[start + 5 : end])
    if fields.get("V") in {"FATAL", "PANIC"}:
        state.taint("the server ended the connection")
        s.farewell = not s.due or s.due[0].forward
    if not s.due:
        if state.tainted is None:
            raise OutOfStep("ErrorResponse")
        return encode.report(69, s.port.answer(fields, None, b""))
    due = s.due[0]
    s.failed = True
    s.copying = None
    if (s.batch is not None or due.key is not None) and stale.retried(s, state, due, fields):
        if due.kind is QUERY:
            undo(s, due)
        else:
            drop_until_sync(s, state)
        return SKIP
    if due.kind is LOAD:
        return inserting.ended(s, state, fields)
    outlasting(s, due)
    if due.refusal is not None and fields.get("C") in {"42601", "26000", "57014"}:
        refusal = due.refusal
        if state.status == FAILED and not due.early and refusal.sqlstate not in {"42601", "22021", "54000", "54001"}:
            refusal = encode.ABORTED
        reply = encode.error(refusal, "ERROR")
    else:
        plan = running(due, fields)
        rename(s, fields, due)
        fields = s.port.answer(fields, plan, due.text)
        if plan is not None and plan.restore is not None and s.grant is not None:
            fields = told_again(fields, plan, due, s.grant.keys)
        reply = encode.report(69, fields)
    if due.kind is QUERY:
        if not due.forward:
            setting_refused(s, reply)
            return SKIP
        undo(s, due)
        return reply
    if due.kind is SYNC:  # a commit at Sync may fail; its ReadyForQuery follows
        return reply
    drop_until_sync(s, state)
    copy.settled(s)
    if s.waiting is Waiting.PREPARE and len(s.due) == 1:  # the end of the statement that waited for it
        s.waiting, s.message = Waiting.NOTHING, None
        s.due[0].forward = True
    return reply


def told_again(fields: dict[str, str], plan: Forward, due: Due, keys: Mapping[str, str]) -> dict[str, str]:
    """With the DETAIL that a server with policies keeps to itself."""
    assert plan.restore is not None
    lifted = lift(due.text)
    return with_detail(fields, plan.restore, keys, () if lifted is None else lifted.literals, due.values)


def copy_in(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """CopyInResponse: the server takes rows."""
    due = head(s, QUERY, EXECUTE)
    return copy.begin(s, due, current(due), run[start + 5 : end])


def copy_out(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """CopyOutResponse: rows of a COPY TO follow, which are relayed."""
    plan = current(head(s, QUERY, EXECUTE))
    if plan is None or not isinstance(plan.copy, CopyOut):
        raise OutOfStep("CopyOutResponse")
    return None


def current(due: Due) -> Forward | None:
    """The plan that the server runs; None where it is none of the client's."""
    if due.kind is not QUERY or due.index >= len(due.plans):
        return due.plan
    found = due.plans[due.index]
    return found if isinstance(found, Forward) else None


def running(due: Due, fields: dict[str, str]) -> Forward | None:
    """The plan that a report is about; the report's position is made one of that plan's own text."""
    if due.kind is QUERY and due.index < len(due.plans) and due.starts and fields.get("P", "").isdecimal():
        fields["P"] = str(max(1, int(fields["P"]) - due.starts[due.index]))
    return current(due)


def setting_refused(s: Conversation, reply: bytes) -> None:
    """The server does not take the session's settings: nothing may run under others."""
    fields = encode.fields_of(reply[5:])
    s.fatal(Refusal(fields.get("M", "settings were refused"), sqlstate=fields.get("C", "22023")))


def notice_response(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """NoticeResponse: answered in the client's terms; not relayed from what the client did not ask for."""
    due = s.due[0] if s.due else None
    if due is not None and not due.forward:
        return SKIP
    fields = encode.fields_of(run[start + 5 : end])
    plan = running(due, fields) if due is not None else None
    return encode.report(78, s.port.answer(fields, plan, due.text if due is not None else b""))


def parameter_status(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> Verdict:
    """ParameterStatus: relayed when the value that the client knows changes; a pinned parameter's change ends the
    session.
    """
    reader = Reader(run[start + 5 : end])
    name, value = reader.text(), reader.text()
    reader.end()
    if not state.parameter(name, value):
        raise OutOfStep(f"{name} changed to {value}")
    if name == NAME:
        value = value.removeprefix(s.settings.label)
    if s.phase is not Phase.READY or name == "session_authorization" or s.known.get(name) == value:
        return SKIP
    s.known[name] = value
    return encode.parameter_status(name, value) if name == NAME else None


REPLIES: Mapping[int, Reply] = {
    ord("Z"): ready,
    ord("1"): parse_complete,
    ord("2"): bind_complete,
    ord("3"): close_complete,
    ord("t"): parameter_description,
    ord("T"): row_description,
    ord("n"): no_data,
    ord("C"): command_complete,
    ord("I"): empty_query,
    ord("s"): portal_suspended,
    ord("E"): error_response,
    ord("N"): notice_response,
    ord("S"): parameter_status,
    ord("A"): relayed,
    ord("G"): copy_in,
    ord("H"): copy_out,
}
