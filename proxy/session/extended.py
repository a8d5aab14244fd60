"""What the client may send once it is logged in, and what becomes of it: the first of the two state machines.

A table of message type -> handler. A handler returns True when the message is dealt with, False when it must wait (for
a plan or a lease) and will be handled again. Source: PostgreSQL documentation, "Extended Query" and "Pipelining".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from proxy.errors import Refusal, RemoteProtocolError
from proxy.session import copy, encode, growth, prepared, quotas, stale
from proxy.session.actions import CloseFrontend
from proxy.session.admission import bound, kept_values, unbound, with_values
from proxy.session.blocks import aborted, outside_block, undecided_yet
from proxy.session.conversation import Conversation, Waiting
from proxy.session.due import BIND, CLOSE, DESCRIBE, EXECUTE, PARSE, SUPPLY, SYNC, Due, undecided
from proxy.session.holdings import PORTAL, room, size_of
from proxy.session.notifications import committed, listens, told
from proxy.session.prepared import drop_surplus
from proxy.session.query import (
    announce,
    answer_now,
    fence,
    not_positioned,
    over_ceiling,
    own_objection,
    plan_of,
    simple_query,
)
from proxy.session.resets import changed, restate
from proxy.session.statements import Portal
from proxy.session.upstream import defined, execute_prepare, insert_rows, leased, rebound, runnable, upstream_name
from proxy.sql.copied import inserts
from proxy.sql.plan import Answer, Effects, Forward, Planned, StatementKind
from proxy.wire.fields import Reader, message

Handler = Callable[[Conversation, bytes], bool]


def parse(s: Conversation, body: bytes) -> bool:
    """Parse: defines a statement of the session, prepared on the leased connection under a name of ours."""
    if s.skipping:
        return True
    reader = Reader(body)
    name, text, types = reader.name(), reader.cstring(), reader.uint32s()
    reader.end()
    if name and prepared.opened(s, name):
        return False
    refusal = room(s, size_of(name, text)) if name else None
    if refusal is not None:
        return unparsed(s, name, refusal)
    planned = plan_of(s, text, types, True)
    if planned is None:
        return False
    plan = planned.plans[0]
    refusal = quotas.admit(s, (plan,), text, planned.shape)
    if refusal is quotas.WAITS:
        s.plans[text, types, True] = planned
        return False
    if refusal is not None:
        return unparsed(s, name, refusal)
    if not isinstance(plan, Forward | Answer):
        s.audit(plan, text, planned.shape)
        return unparsed(s, name, encode.refusal_of(plan))
    if name and name in s.statements:  # PostgreSQL looks at the text first
        return unparsed(s, name, prepared.taken(name.decode()))
    if isinstance(plan, Answer) or prepared.own(plan):
        if undecided_yet(s):
            s.plans[text, types, True] = planned
            return False
        if aborted(s, plan):
            return unparsed(s, name, encode.ABORTED)
        prepared.mean(s, name, quotas.parsed(s, defined(s, text, types, plan, planned.literals)), encode.PARSE_COMPLETE)
        return True
    if not leased(s, planned, (text, types, True)):
        return s.waiting is Waiting.NOTHING
    if not s.due:
        s.started = s.clock()
    statement = quotas.parsed(s, defined(s, text, types, plan, planned.literals))
    state = s.backend()
    key = statement.key
    due = Due(PARSE, plan=plan, text=text)
    due.name, due.previous = name, s.statements.get(name)
    if not name:
        upstream = b""
        state.unnamed = key
    elif (
        key in state.prepared
        and plan.kind is not StatementKind.CURSOR
        and not aborted(s, plan)
        and not undecided(s.due)
    ):
        prepared.mean(s, name, statement, encode.PARSE_COMPLETE)
        return True
    else:
        former = state.unprepare(key)  # FETCH is described as its cursor is when it is parsed
        if former is not None:
            s.up.append(encode.close_statement(former))
            s.due.append(Due(CLOSE, False))
        upstream = state.prepare(key)
        due.key = key
        drop_surplus(s)
    s.statements[name] = statement
    s.opened[name] = s.pipeline
    s.up.append(encode.parse(upstream, statement.sql, types))
    s.due.append(due)
    s.open = True
    return True


def unparsed(s: Conversation, name: bytes, refusal: Refusal) -> bool:
    """A Parse that is refused ends the unnamed statement all the same, unless it is skipped."""
    before = s.statements.pop(b"", None) if not name else None
    s.opened[b""] = s.pipeline
    s.refuse_extended(refusal)
    if not name and s.due:
        s.due[-1].names.append((0, b"", before))
    return True


def bind(s: Conversation, body: bytes) -> bool:
    """Bind: parameters go on as they came; the statement's name becomes the server's."""
    if s.skipping:
        return True
    first = body.find(0)
    second = body.find(0, first + 1)
    if first < 0 or second < 0:
        raise RemoteProtocolError("invalid string in message")
    portal, name = body[:first], body[first + 1 : second]
    if not name.isascii():
        Reader(name + b"\0").name()
    refusal = quotas.bind(s, name)
    if refusal is quotas.WAITS:
        return False
    refusal = refusal or (room(s, PORTAL + len(body)) if portal else None)
    if refusal is not None:
        s.refuse_extended(refusal)
        return True
    statement = runnable(s, name)
    if statement is None:
        return True
    if isinstance(statement, bool):
        return False
    plan = statement.plan
    if isinstance(plan, Answer) or prepared.own(plan):
        if undecided_yet(s):
            return False
        refusal = unbound(name, body[second + 1 :])
        if refusal is not None or aborted(s, plan, bound=True):
            s.refuse_extended(refusal or encode.ABORTED, early=refusal is not None)
            return True
        s.supply(encode.BIND_COMPLETE)
        s.portals[portal] = Portal(statement, len(body), s.due[-1] if s.due else None, paid=True)
        return True
    refusal = bound(s, statement, body[second + 1 :])
    if refusal is not None:
        s.refuse_extended(refusal)
        return True
    if plan.effects.positioned in s.fenced:
        s.refuse_extended(not_positioned(plan.effects.positioned or ""))
        return True
    if plan.effects.settings:
        plan, refusal = with_values(s, plan, body[second + 1 :])
        refusal = refusal or over_ceiling(s, plan)
        if refusal is not None:
            s.refuse_extended(refusal)
            return True
    if not leased(s):
        return s.waiting is Waiting.NOTHING
    if not s.due:
        s.started = s.clock()
    upstream = upstream_name(s, name, statement)
    s.up.append(message(66, b"%b\0%b%b" % (portal, upstream, body[second:])))
    due = Due(BIND, plan=plan, text=statement.text)
    due.name = name or None
    s.due.append(due)
    if name:
        due.key = statement.key
        stale.begin(s, statement.key, (66, body))
    fence(s, portal.decode("utf-8", "replace"), plan)
    run = statement if plan is statement.plan else replace(statement, plan=plan)
    opened = s.portals[portal] = Portal(run, len(body), due, quotas.counted_as(s, name, statement), True)
    if plan.restore is not None and plan.restore.parameters:
        opened.values = kept_values(plan.restore, statement, body[second + 1 :])
    s.open = True
    return True


def describe(s: Conversation, body: bytes) -> bool:
    """Describe of a statement or portal."""
    if s.skipping:
        return True
    reader = Reader(body)
    what, name = reader.byte(), reader.name()
    reader.end()
    if what == 83:
        statement = runnable(s, name)
        if statement is None:
            return True
        if isinstance(statement, bool):
            return False
        if isinstance(statement.plan, Answer) or prepared.own(statement.plan):
            s.supply(encode.NO_PARAMETERS + described(statement.plan))
            return True
        if not leased(s):
            return s.waiting is Waiting.NOTHING
        upstream = upstream_name(s, name, statement)
        s.up.append(message(68, b"S" + upstream + b"\0"))
        due = Due(DESCRIBE, plan=statement.plan, text=statement.text)
        due.name = name or None
        s.due.append(due)
        if name:
            due.key = statement.key
            stale.begin(s, statement.key, (68, body))
        s.open = True
        return True
    if what != 80:
        raise RemoteProtocolError(f"invalid DESCRIBE message subtype {what}")
    portal = s.portals.get(name)
    if portal is None and s.lease is not None:
        s.up.append(message(68, body))  # of DECLARE, or left by a query that failed: there is nobody else's here
        s.due.append(Due(DESCRIBE))
        s.open = True
    elif portal is None:
        s.refuse_extended(no_portal(name), early=True)
    elif isinstance(portal.statement.plan, Answer) or prepared.own(portal.statement.plan):
        s.supply(described(portal.statement.plan))
    else:
        s.up.append(message(68, body))
        s.due.append(Due(DESCRIBE, plan=portal.statement.plan, text=portal.statement.text))
        s.open = True
    return True


def described(plan: Answer | Forward) -> bytes:
    """What Describe says of a statement that is not sent as it is: its columns."""
    return encode.described(plan) if isinstance(plan, Answer) else encode.NO_DATA


def no_portal(name: bytes) -> Refusal:
    """The answer to a portal that is not there."""
    return Refusal(f'portal "{name.decode("utf-8", "replace")}" does not exist', sqlstate="34000")


def execute(s: Conversation, body: bytes) -> bool:
    """Execute: runs a portal, perhaps only some rows of it."""
    if s.skipping:
        return True
    end = body.find(0)
    if end < 0 or len(body) != end + 5:
        raise RemoteProtocolError("invalid message format")
    portal = s.portals.get(body[:end])
    refusal = quotas.execute(s, portal)
    if refusal is quotas.WAITS:
        return False
    s.turns += 1
    if portal is None or refusal is not None:
        s.refuse_extended(refusal or no_portal(body[:end]), early=refusal is None)
        return True
    own = prepared.own(portal.statement.plan)
    if own:
        current = rebound(s, body[:end], portal)
        if not isinstance(current, Portal):
            return current is None
        portal, own = current, prepared.own(current.statement.plan)
    plan = portal.statement.plan
    if prepared.uncertain(s, Planned((plan,))):
        return False
    if own:
        refusal = own_objection(s, Planned((plan,), portal.statement.literals))
        if refusal is None and not listens(s, (plan,)):
            return False
        if refusal is None and s.refusal is not None:
            refusal, s.refusal = s.refusal, None
        if refusal is None and inserts(plan):
            return insert_rows(s, portal)
        if refusal is None and isinstance(plan, Forward) and plan.effects.prepares is not None:
            return execute_prepare(s, portal.statement, plan.effects.prepares)
        if refusal is not None or not isinstance(plan, Answer):
            s.refuse_extended(refusal or Refusal("the prepared statement came too late", sqlstate="26000"))
            return True
    refusal = growth.refused(s, plan, portal.statement.text)
    refusal = refusal or copy.objection(s, plan) or outside_block(s, (plan,))
    if refusal is not None:
        s.refuse_extended(refusal)
        return True
    if not listens(s, (plan,)) or not told(s, (plan,)):
        return False
    s.count((plan,))
    if isinstance(plan, Answer):
        due = Due(SUPPLY, reply=answer_now(s, plan, False))
        prepared.forget(s, plan, due)
        prepared.supply(s, due)
        s.result.sent(plan)
        return True
    if plan.effects.declares is not None:
        fence(s, plan.effects.declares.name, plan)
    announce(s, plan)
    s.result.sent(plan)
    s.up.append(message(69, body))
    due = Due(EXECUTE, plan=plan, text=portal.statement.text)
    due.values = portal.values
    s.due.append(due)
    copy.wait_for_server(s, (plan,))
    s.open = True
    if plan.effects.resets or plan.effects.discards:
        restate(s)
    return True


def close(s: Conversation, body: bytes) -> bool:
    """Close of a statement or portal; closing what is not there is no error."""
    if s.skipping:
        return True
    reader = Reader(body)
    what, name = reader.byte(), reader.name()
    reader.end()
    if what == 83:
        prepared.mean(s, name, None, encode.CLOSE_COMPLETE)
        return True
    if what != 80:
        raise RemoteProtocolError(f"invalid CLOSE message subtype {what}")
    portal = s.portals.pop(name, None)
    if portal is None and s.lease is not None:
        if name:
            s.settings.objects.note(Effects(closes=name.decode()))  # perhaps a cursor that DECLARE made
    elif portal is None or prepared.own(portal.statement.plan) or s.lease is None:
        s.supply(encode.CLOSE_COMPLETE)
        return True
    s.up.append(message(67, body))
    s.due.append(Due(CLOSE))
    s.open = True
    return True


def sync(s: Conversation, body: bytes) -> bool:
    """Sync: the end of a pipeline, and of what is skipped."""
    if body:
        raise RemoteProtocolError("invalid message format")
    s.skipping = False
    if s.lease is None:
        s.portals.clear()
        s.result.answered()
        committed(s)
        s.out.append(changed(s) + encode.READY_IDLE)
        return True
    s.up.append(encode.SYNC)
    s.due.append(Due(SYNC))
    s.pipeline += 1
    s.open = False
    return True


def flush(s: Conversation, body: bytes) -> bool:
    """Flush: the server is to send what it has."""
    if body:
        raise RemoteProtocolError("invalid message format")
    if s.lease is not None and s.open and not s.skipping:
        s.up.append(encode.FLUSH)
    return True


def terminate(s: Conversation, body: bytes) -> bool:
    """Terminate: the client says goodbye."""
    s.end()
    s.port.act(CloseFrontend())
    return True


def function_call(s: Conversation, body: bytes) -> bool:
    """FunctionCall: never forwarded, as its function would have to be resolved by number."""
    if not s.skipping:
        s.refuse_query(Refusal("fastpath function calls are not supported", sqlstate="0A000"))
    return True


def stray_copy(s: Conversation, body: bytes) -> bool:
    """CopyData, CopyDone or CopyFail outside a copy: ignored, for its copy may have failed (tcop/postgres.c)."""
    return True


HANDLERS: Mapping[int, Handler] = {
    ord("Q"): simple_query,
    ord("P"): parse,
    ord("B"): bind,
    ord("D"): describe,
    ord("E"): execute,
    ord("C"): close,
    ord("S"): sync,
    ord("H"): flush,
    ord("X"): terminate,
    ord("F"): function_call,
    ord("d"): stray_copy,
    ord("c"): stray_copy,
    ord("f"): stray_copy,
}
