"""What the client may send once it is logged in, and what becomes of it: the first of the two state machines.

A table of message type -> handler. A handler returns True when the message is dealt with, False when it must wait (for a plan or a
lease) and will be handled again. Own replies never overtake replies that are due. Source: PostgreSQL documentation, "Message Flow".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxy.backend.state import FAILED, IDLE
from proxy.errors import RemoteProtocolError, Refusal
from proxy.session import encode
from proxy.session.actions import CloseFrontend, PlanStatement
from proxy.session.conversation import Conversation, Waiting
from proxy.session.due import BIND, CLOSE, DESCRIBE, EXECUTE, PARSE, QUERY, SYNC, Due
from proxy.session.parameters import TIMEOUTS, exceeds
from proxy.session.statements import Portal, Statement
from proxy.sql.plan import Answer, AnswerKind, Forward, Plan, Planned
from proxy.wire.fields import Reader, message

Handler = Callable[[Conversation, bytes], bool]

NO_DISCARD = Refusal("DISCARD ALL cannot run inside a transaction block", sqlstate="25001")


def simple_query(s: Conversation, body: bytes) -> bool:
    """Query: one text, perhaps of several statements, all or none of which run."""
    if s.skipping:
        return True
    text = body[:-1]
    if body[-1:] != b"\0" or 0 in text:
        raise RemoteProtocolError("invalid message format")
    planned = plan_of(s, text, (), False)
    if planned is None:
        return False
    rejection = planned.rejection
    refusal = encode.refusal_of(rejection) if rejection is not None else own_objection(s, planned.plans)
    if rejection is None and refusal is not None:
        rejection = s.own_refusal(planned.plans[0].kind, refusal)
    if refusal is None and s.refusal is not None:
        refusal, s.refusal = s.refusal, None  # no lease to be had
    if refusal is None and not (s.lease is None and all(isinstance(one, Answer) for one in planned.plans)):
        if not s.ensure_lease():
            s.planned = planned
            return False
    if rejection is not None:
        s.audit(rejection, text, planned.shape)
    s.statements.pop(b"", None)  # a simple query ends the unnamed statement
    s.turns += 1
    if not s.due:
        s.started = s.clock()
    if refusal is not None:
        s.refuse_query(refusal)
        return True
    s.count(planned.plans)
    if s.lease is None:
        for one in planned.plans:
            if isinstance(one, Answer):
                s.out.append(answer_now(s, one, True))
        s.out.append(encode.READY_IDLE)
        return True
    send_query(s, text, planned)
    return True


def send_query(s: Conversation, text: bytes, planned: Planned) -> None:
    """The statements that the server runs, as one Query; those answered here are given between its replies."""
    parts = []
    for one in planned.plans:
        if isinstance(one, Forward):
            parts.append(clamped(s, one) or s.port.fill(one, planned.literals))
    s.up.append(encode.query(b"; ".join(parts)))
    only = planned.plans[0] if len(planned.plans) == 1 else None
    due = Due(
        QUERY,
        plan=only if isinstance(only, Forward) else None,
        plans=planned.plans,
        text=text,
        started=isinstance(planned.plans[0], Forward),
    )
    s.due.append(due)
    if s.state is not None:
        s.state.unnamed = None
    if not due.started and len(s.due) == 1:
        due.started = True
        lead(s, due, s.out)


def lead(s: Conversation, due: Due, out: list[bytes]) -> None:
    """Own answers whose turn has come inside a simple query."""
    plans = due.plans
    while due.index < len(plans):
        one = plans[due.index]
        if not isinstance(one, Answer):
            return
        out.append(answer_now(s, one, True))
        due.index += 1


def plan_of(s: Conversation, text: bytes, types: tuple[int, ...], extended: bool) -> Planned | None:
    """The plans of a text; None when they were asked for and the message must wait."""
    planned = s.planned
    if planned is not None:
        s.planned = None
        return planned
    planned = s.port.lookup(text, types, extended)
    if planned is None:
        s.waiting = Waiting.PLAN
        s.ticket += 1
        s.port.act(PlanStatement(s.ticket, text, types, extended))
    return planned


def own_objection(s: Conversation, plans: tuple[Plan, ...]) -> Refusal | None:
    """What only the session knows: that a DISCARD is inside a transaction, or an answer comes in a failed one."""
    in_block = s.lease is not None and s.state is not None and s.state.status != IDLE
    for one in plans:
        if isinstance(one, Answer):
            if in_block and not s.due and s.state is not None and s.state.status == FAILED and one.answer.value:
                return encode.ABORTED
            if one.answer is AnswerKind.DISCARD_ALL and (in_block or len(plans) > 1):
                return NO_DISCARD
            if one.answer is AnswerKind.DEALLOCATE and one.argument.encode() not in s.statements:
                return Refusal(f'prepared statement "{one.argument}" does not exist', sqlstate="26000")
        elif isinstance(one, Forward) and one.effects.settings:
            refusal = over_ceiling(s, one)
            if refusal is not None:
                return refusal
    return None


def over_ceiling(s: Conversation, plan: Forward) -> Refusal | None:
    """A timeout above the tenant's limit that cannot be put right in the text, as in set_config()."""
    for effect in plan.effects.settings:
        ceiling = ceiling_of(s, effect.name)
        if ceiling is not None and effect.value is not None and plan.kind.value != "setting":
            if exceeds(effect.value, ceiling):
                return Refusal(f'permission denied to set parameter "{effect.name}"', sqlstate="42501")
    return None


def ceiling_of(s: Conversation, name: str) -> float | None:
    """The tenant's limit of a timeout setting, in seconds."""
    if name not in TIMEOUTS:
        return None
    return s.limits.statement_timeout if name == "statement_timeout" else s.limits.transaction_timeout


def clamped(s: Conversation, plan: Forward) -> bytes | None:
    """The text of a SET or RESET of a timeout with the tenant's limit instead of a longer one; None: the plan's own text."""
    effects = plan.effects.settings
    if len(effects) != 1 or plan.kind.value != "setting":
        return None
    effect = effects[0]
    ceiling = ceiling_of(s, effect.name)
    if ceiling is None or (effect.value is not None and not exceeds(effect.value, ceiling)):
        return None
    return f"SET {'LOCAL ' if effect.local else ''}{effect.name} TO {round(ceiling * 1000)}".encode()


def answer_now(s: Conversation, answer: Answer, with_description: bool) -> bytes:
    """Does what an answered statement does, and gives its reply."""
    kind = answer.answer
    if kind is AnswerKind.RESET_ALL:
        s.settings.reset_all()
    elif kind is AnswerKind.DISCARD_ALL:
        s.settings.reset_all()
        s.statements.clear()
        s.portals.clear()
    elif kind is AnswerKind.DEALLOCATE_ALL:
        unnamed = s.statements.pop(b"", None)
        s.statements.clear()
        if unnamed is not None:
            s.statements[b""] = unnamed
    elif kind is AnswerKind.DEALLOCATE:
        s.statements.pop(answer.argument.encode(), None)
    return encode.answered(answer, with_description)


def parse(s: Conversation, body: bytes) -> bool:
    """Parse: defines a statement of the session, prepared on the leased connection under a name of ours."""
    if s.skipping:
        return True
    reader = Reader(body)
    name, text, types = reader.name(), reader.cstring(), reader.uint32s()
    reader.end()
    if name and name in s.statements:
        s.refuse_extended(Refusal(f'prepared statement "{name.decode()}" already exists', sqlstate="42P05"))
        return True
    planned = plan_of(s, text, types, True)
    if planned is None:
        return False
    plan = planned.plans[0]
    if not isinstance(plan, Forward | Answer):
        s.audit(plan, text, planned.shape)
        s.refuse_extended(encode.refusal_of(plan))
        return True
    if isinstance(plan, Answer):
        s.statements[name] = Statement(text, types, plan, b"", s.epoch)
        s.supply(encode.PARSE_COMPLETE)
        return True
    if not leased(s, planned):
        return s.waiting is Waiting.NOTHING
    statement = Statement(text, types, plan, s.port.fill(plan, planned.literals), s.epoch)
    state = s.state
    assert state is not None
    key = statement.key
    due = Due(PARSE, plan=plan, text=text)
    due.name, due.previous = name, s.statements.get(name)
    s.statements[name] = statement
    if not name:
        upstream = b""
        state.unnamed = key
    elif key in state.prepared and not (state.status == FAILED and not s.due):
        s.supply(encode.PARSE_COMPLETE)
        return True
    else:
        upstream = state.prepare(key)
        due.key = key
        drop_surplus(s)
    s.up.append(encode.parse(upstream, statement.sql, types))
    s.due.append(due)
    s.open = True
    return True


def leased(s: Conversation, planned: Planned | None) -> bool:
    """A lease for a message of the extended protocol. False: it waits, or was refused (then nothing is waited for)."""
    if s.refusal is not None:
        refusal, s.refusal = s.refusal, None
        s.refuse_extended(refusal)
        return False
    if not s.ensure_lease():
        s.planned = planned
        return False
    return True


def drop_surplus(s: Conversation) -> None:
    """Closes what the connection need not keep prepared any longer."""
    assert s.state is not None
    for one in s.state.surplus():
        s.up.append(encode.close_statement(one))
        s.due.append(Due(CLOSE, False))


def current_statement(s: Conversation, name: bytes) -> Statement | None | bool:
    """The statement of that name under the present rules. None: refused, and answered. False: it waits for a plan."""
    statement = s.statements.get(name)
    if statement is None:
        text = (
            f'prepared statement "{name.decode()}" does not exist'
            if name
            else "unnamed prepared statement does not exist"
        )
        s.refuse_extended(Refusal(text, sqlstate="26000"))
        return None
    if statement.epoch is s.epoch:
        return statement
    planned = plan_of(s, statement.text, statement.parameter_types, True)
    if planned is None:
        return False
    plan = planned.plans[0]
    if not isinstance(plan, Forward | Answer):
        s.audit(plan, statement.text, planned.shape)
        s.refuse_extended(encode.refusal_of(plan))
        return None
    sql = s.port.fill(plan, planned.literals) if isinstance(plan, Forward) else b""
    statement = Statement(statement.text, statement.parameter_types, plan, sql, s.epoch)
    s.statements[name] = statement
    return statement


def upstream_name(s: Conversation, name: bytes, statement: Statement) -> bytes:
    """The server's name of a statement, preparing it on this connection first where it is not."""
    state = s.state
    assert state is not None
    key = statement.key
    if not name:
        if state.unnamed == key:
            return b""
        state.unnamed = key
        upstream = b""
    else:
        known = state.name_of(key)
        if known is not None:
            return known
        upstream = state.prepare(key)
        drop_surplus(s)
    due = Due(PARSE, False, text=statement.text)
    due.key = key if name else None
    assert isinstance(statement.plan, Forward)
    due.plan = statement.plan
    s.up.append(encode.parse(upstream, statement.sql, statement.parameter_types))
    s.due.append(due)
    s.open = True
    return upstream


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
    statement = current_statement(s, name)
    if statement is None:
        return True
    if isinstance(statement, bool):
        return False
    if isinstance(statement.plan, Answer):
        refusal = own_objection(s, (statement.plan,))
        if refusal is not None:
            s.refuse_extended(refusal)
            return True
        s.portals[portal] = Portal(statement)
        s.supply(encode.BIND_COMPLETE)
        return True
    if statement.plan.effects.settings:
        refusal = over_ceiling(s, statement.plan)
        if refusal is None and clamped(s, statement.plan) is not None:
            refusal = Refusal("the timeout is longer than this tenant may have", sqlstate="22023")
        if refusal is not None:
            s.refuse_extended(refusal)
            return True
    if not leased(s, None):
        return s.waiting is Waiting.NOTHING
    if not s.due:
        s.started = s.clock()
    upstream = upstream_name(s, name, statement)
    s.up.append(message(66, b"%b\0%b%b" % (portal, upstream, body[second:])))
    s.due.append(Due(BIND, plan=statement.plan, text=statement.text))
    s.portals[portal] = Portal(statement)
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
        statement = current_statement(s, name)
        if statement is None:
            return True
        if isinstance(statement, bool):
            return False
        if isinstance(statement.plan, Answer):
            s.supply(encode.NO_PARAMETERS + encode.described(statement.plan))
            return True
        if not leased(s, None):
            return s.waiting is Waiting.NOTHING
        upstream = upstream_name(s, name, statement)
        s.up.append(message(68, b"S" + upstream + b"\0"))
        s.due.append(Due(DESCRIBE, plan=statement.plan, text=statement.text))
        s.open = True
        return True
    if what != 80:
        raise RemoteProtocolError(f"invalid DESCRIBE message subtype {what}")
    portal = s.portals.get(name)
    if portal is None:
        s.refuse_extended(no_portal(name))
    elif isinstance(portal.statement.plan, Answer):
        s.supply(encode.described(portal.statement.plan))
    else:
        s.up.append(message(68, body))
        s.due.append(Due(DESCRIBE, plan=portal.statement.plan, text=portal.statement.text))
        s.open = True
    return True


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
    s.turns += 1
    if portal is None:
        s.refuse_extended(no_portal(body[:end]))
        return True
    plan = portal.statement.plan
    s.count((plan,))
    if isinstance(plan, Answer):
        s.supply(answer_now(s, plan, False))
        return True
    s.up.append(message(69, body))
    s.due.append(Due(EXECUTE, plan=plan, text=portal.statement.text))
    s.open = True
    return True


def close(s: Conversation, body: bytes) -> bool:
    """Close of a statement or portal; closing what is not there is no error."""
    if s.skipping:
        return True
    reader = Reader(body)
    what, name = reader.byte(), reader.name()
    reader.end()
    if what == 83:
        s.statements.pop(name, None)
        s.supply(encode.CLOSE_COMPLETE)
        return True
    if what != 80:
        raise RemoteProtocolError(f"invalid CLOSE message subtype {what}")
    portal = s.portals.pop(name, None)
    if portal is None or isinstance(portal.statement.plan, Answer) or s.lease is None:
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
        s.out.append(encode.READY_IDLE)
        return True
    s.up.append(encode.SYNC)
    s.due.append(Due(SYNC))
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
