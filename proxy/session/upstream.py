"""Statements of the session on the connection that it has leased: under which name, prepared when first needed.

A statement is brought up to date with the rules before it is used, and an EXECUTE is given the server's name of what
it executes. False always means that the message must wait, None that it was refused and answered.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.errors import Refusal
from proxy.session import encode, growth, inserting, prepared
from proxy.session.blocks import aborted
from proxy.session.conversation import Conversation, PlanKey, Waiting
from proxy.session.due import BIND, PARSE, Due
from proxy.session.prepared import drop_surplus
from proxy.session.query import announce, plan_of, renew, sent_now
from proxy.session.result import STAYS
from proxy.session.statements import Portal, Statement
from proxy.sql.plan import STATEMENT_NAME, Answer, AnswerKind, Forward, Planned, Preparation, Reject
from proxy.wire.fields import message


def defined(
    s: Conversation, text: bytes, types: tuple[int, ...], plan: Forward | Answer, literals: tuple[bytes, ...]
) -> Statement:
    """The statement that a Parse defines."""
    sql = s.text_of(plan, literals, text) if isinstance(plan, Forward) else b""
    return Statement(text, types, plan, sql, s.epoch, None, literals, s.reading)


def leased(s: Conversation, planned: Planned | None = None, key: PlanKey = (b"", (), True)) -> bool:
    """A lease for a message of the extended protocol. False: it waits, or was refused (then nothing is waited for)."""
    if s.refusal is not None:
        refusal, s.refusal = s.refusal, None
        s.refuse_extended(refusal)
        return False
    if not s.ensure_lease():
        if planned is not None:
            s.plans[key] = planned
        return False
    return True


def current_statement(s: Conversation, name: bytes) -> Statement | bool | None:
    """The statement of that name under the present rules. None: refused, and answered. False: it waits for a plan."""
    statement = s.statements.get(name)
    if prepared.opened(s, name):
        return False
    fresh = prepared.no_statement(name.decode()) if statement is None else renew(s, name, statement)
    if isinstance(fresh, Refusal):
        s.refuse_extended(fresh, early=statement is None)
        return None
    if fresh is None:
        return False
    plan = sent_now(s, fresh.plan)
    if plan is not fresh.plan and isinstance(plan, Forward):
        return replace(fresh, plan=plan, sql=s.port.fill(plan, fresh.literals, fresh.text))
    return fresh


def runnable(s: Conversation, name: bytes) -> Statement | bool | None:
    """current_statement; an EXECUTE gets the server's name of what it executes, which is prepared first, and stays as
    it is where its name stands for nothing.
    """
    statement = current_statement(s, name)
    if not isinstance(statement, Statement) or not isinstance(statement.plan, Forward):
        return statement
    run = statement.plan.effects.executes
    if run is None:
        return statement
    if run.name.encode() not in s.statements:
        return statement  # which is told when it is executed
    inner = current_statement(s, run.name.encode())
    if not isinstance(inner, Statement):
        return inner
    refusal = prepared.unfit(s, run, inner.plan, inner.parameter_types, statement.literals)
    if refusal is not None or not isinstance(inner.plan, Forward):
        return statement
    if not leased(s):
        return False if s.waiting is not Waiting.NOTHING else None
    upstream = upstream_name(s, run.name.encode(), inner)
    sql = statement.sql.replace(STATEMENT_NAME, upstream, 1)
    return replace(statement, plan=prepared.merged(statement.plan, inner.plan), sql=sql)


def upstream_name(s: Conversation, name: bytes, statement: Statement) -> bytes:
    """The server's name of a statement, preparing it on this connection first where it is not."""
    state = s.backend()
    key = statement.key
    if not name:
        if state.unnamed == key:
            return b""
        state.unnamed = key
        s.opened[b""] = s.pipeline
        upstream = b""
    else:
        known = state.name_of(key)
        if known is not None:
            return known
        upstream = state.prepare(key)
        drop_surplus(s)
    due = Due(PARSE, False, text=statement.text)
    due.key = key if name else None
    due.plan = statement.plan if isinstance(statement.plan, Forward) else None
    s.up.append(encode.parse(upstream, statement.sql, statement.parameter_types))
    s.due.append(due)
    s.open = True
    return upstream


def rebound(s: Conversation, name: bytes, portal: Portal) -> Portal | bool | None:
    """A portal of what the session does itself, as of the present rules. Where it is the server's by now to run it, it
    is prepared and bound there, of which the client was told already. False and None as everywhere here.
    """
    s.port.follow()
    statement = portal.statement
    if statement.epoch is s.epoch:
        return portal
    planned = plan_of(s, statement.text, statement.parameter_types, True)
    if planned is None:
        return False
    plan = planned.plans[0]
    if isinstance(plan, Reject):
        s.audit(plan, statement.text, planned.shape)
        s.refuse_extended(encode.refusal_of(plan))
        return None
    fresh = defined(s, statement.text, statement.parameter_types, plan, planned.literals)
    if isinstance(plan, Answer) or prepared.own(plan):
        portal = s.portals[name] = replace(portal, statement=fresh)
        return portal
    if not leased(s):
        return False if s.waiting is not Waiting.NOTHING else None
    if not s.due:
        s.started = s.clock()
    portal = s.portals[name] = replace(portal, statement=fresh)
    upstream = upstream_name(s, b"", fresh)
    s.up.append(message(66, b"%b\0%b\0\0\0\0\0\0\0" % (name, upstream)))
    due = Due(BIND, False, plan=plan, text=fresh.text)
    s.due.append(due)
    portal.bound = due
    s.open = True
    return portal


def insert_rows(s: Conversation, portal: Portal) -> bool:
    """Execute of a COPY FROM whose rows are inserted."""
    statement = portal.statement
    refusal = growth.refused(s, statement.plan, statement.text)
    if refusal is not None:
        s.refuse_extended(refusal)
        return True
    if not leased(s):
        return s.waiting is Waiting.NOTHING
    plan = statement.plan
    if isinstance(plan, Forward):
        s.count((plan,))
        s.result.sent(plan)
        announce(s, plan)
        inserting.start(s, plan, statement.literals, statement.text, False)
    return True


def execute_prepare(s: Conversation, statement: Statement, preparation: Preparation) -> bool:
    """Execute of a PREPARE: what it names is prepared as by Parse."""
    name = preparation.name.encode()
    if not leased(s):
        return s.waiting is Waiting.NOTHING
    state = s.backend()
    defined = prepared.made(s, statement.text, preparation, statement.literals, 0)
    if state.name_of(defined.key) is not None and not aborted(s, preparation.plan):
        prepared.mean(s, name, defined, encode.complete(AnswerKind.PREPARED.value))
    else:
        prepared.prepare(s, defined)
        due = s.due[-1]
        due.forward, due.tag, due.name, due.previous = True, AnswerKind.PREPARED.value, name, None
        s.statements[name] = defined
        s.opened[name] = s.pipeline
        s.open = True
    s.count((preparation.plan,))
    s.result.traces = STAYS
    return True
