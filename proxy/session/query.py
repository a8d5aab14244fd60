"""A simple query, and what simple and extended queries share: plans, own answers, objections that only the session has.

Nothing of a text with a refused statement runs. Own answers never overtake replies that are due. Source: PostgreSQL
documentation, "Simple Query" and "Multiple Statements in a Simple Query".
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.errors import FeatureNotSupported, Refusal, RemoteProtocolError
from proxy.session import copy, encode, growth, inserting, lazy, prepared, quotas, stale
from proxy.session.actions import PlanStatement
from proxy.session.admission import admitted_here
from proxy.session.blocks import ENDS, aborted, in_block, outside_block
from proxy.session.conversation import Conversation, Waiting
from proxy.session.due import QUERY, Due
from proxy.session.label import NAME
from proxy.session.notifications import committed, listens, told
from proxy.session.resets import RESETTING, changed, discard, discarded, is_sent, restated
from proxy.session.statements import Statement
from proxy.sql.copied import inserts
from proxy.sql.plan import Answer, AnswerKind, Forward, Plan, Planned, Reject, StatementKind

SEPARATOR = b";\n"
INSERTS_ALONE = FeatureNotSupported("COPY FROM is not supported beside other statements", hint="Send it by itself.")
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
    planned = kept(s, planned)
    refusal = limited = quotas.admit(s, planned.plans, text, planned.shape)
    if refusal is quotas.WAITS:
        s.plans[text, (), False] = planned
        return False
    rejection = planned.rejection if limited is None else None
    if rejection is not None:
        refusal = encode.refusal_of(rejection)
    if refusal is None and prepared.uncertain(s, planned):
        s.plans[text, (), False] = planned
        return False
    if refusal is None:
        renewed = executable(s, planned)
        if renewed is False:
            return False
        refusal = renewed if isinstance(renewed, Refusal) else own_objection(s, planned)
    if rejection is None and refusal is not None and refusal is not limited:
        rejection = s.own_refusal(planned.plans[0].kind, refusal)
    if refusal is None and s.refusal is not None:
        refusal, s.refusal = s.refusal, None  # no lease to be had, or nobody to listen
    if refusal is None and not listens(s, planned.plans):
        s.plans[text, (), False] = planned
        return False
    if refusal is None and lazy.waits(s, planned, text):
        return True
    answered = s.lease is None and all(isinstance(one, Answer) for one in planned.plans)
    sent = refusal is None and not answered
    if sent and not (s.ensure_lease() and prepared.ready(s, planned) and told(s, planned.plans)):
        s.plans[text, (), False] = planned
        return False
    if rejection is not None:
        s.audit(rejection, text, planned.shape)
    unnamed = s.statements.pop(b"", None)  # a simple query ends the unnamed statement
    s.opened[b""] = s.pipeline
    s.turns += 1
    if not s.due:
        s.started = s.clock()
    if refusal is not None:
        s.refuse_query(refusal)
        skippable(s, unnamed)
        return True
    s.count(planned.plans)
    if s.lease is None:
        for one in planned.plans:
            if isinstance(one, Answer):
                prepared.forget(s, one)
                s.out.append(answer_now(s, one, True))
        committed(s)
        s.out.append(changed(s) + encode.READY_IDLE)
        return True
    only = planned.plans[0]
    if isinstance(only, Forward) and only.effects.discards and len(planned.plans) == 1:
        discard(s, only)
        return True
    if inserts(only) and isinstance(only, Forward):
        s.result.sent(only)
        announce(s, only)
        inserting.start(s, only, planned.literals, text, True)
        skippable(s, unnamed)
        return True
    send_query(s, text, planned)
    skippable(s, unnamed)
    if isinstance(only, Forward) and only.effects.executes is not None and len(planned.plans) == 1:
        stale.begin(s, s.statements[only.effects.executes.name.encode()].key, (81, body))
    return True


def skippable(s: Conversation, unnamed: Statement | None) -> None:
    """The last Query has ended the unnamed statement, unless it is skipped."""
    if len(s.due) > 1:
        s.due[-1].names.append((-1, b"", unnamed))


def kept(s: Conversation, planned: Planned) -> Planned:
    """What the proxy would answer itself, sent where there is something to do: on a connection of the session's own."""
    if not any(isinstance(one, Answer) and one.sent is not None for one in planned.plans):
        return planned
    return planned._replace(plans=tuple(sent_now(s, one, planned.plans) for one in planned.plans))


def sent_now(s: Conversation, plan: Plan, plans: tuple[Plan, ...] = ()) -> Plan:
    """The plan, or what is sent instead of an answer; `plans`: of the whole text."""
    if isinstance(plan, Answer) and plan.sent is not None and (has_own(s, plans) or is_sent(s, plan, plans)):
        return plan.sent
    return plan


def has_own(s: Conversation, plans: tuple[Plan, ...] = ()) -> bool:
    """Does the session keep its connection, or will it by these plans or by what is under way?"""
    every = [*plans, *(one for due in s.due for one in (*due.plans, due.plan))]
    return bool(s.pins) or any(isinstance(one, Forward) and one.effects.pins is not None for one in every)


def send_query(s: Conversation, text: bytes, planned: Planned) -> None:
    """The statements that the server runs, as one Query; those answered here are given between its replies."""
    parts: list[bytes] = []
    starts: list[int] = []
    plans: list[Plan] = []
    length = 0
    due = Due(QUERY, text=text)
    for one, sent in every(s, text, planned, due):
        starts.append(length)
        plans.append(one)
        s.result.sent(one)
        if sent is not None and isinstance(one, Forward):
            if one.effects.declares is not None:
                fence(s, one.effects.declares.name, one)
            announce(s, one)
            parts.append(sent)
            length += len(sent.decode()) + len(SEPARATOR)
    s.up.append(encode.query(SEPARATOR.join(parts)))
    only = plans[0] if len(plans) == 1 else None
    due.plan = only if isinstance(only, Forward) else None
    due.plans = tuple(plans)
    due.started = isinstance(plans[0], Forward)
    due.starts = tuple(starts) if len(parts) > 1 else ()
    s.due.append(due)
    s.pipeline += 1
    copy.wait_for_server(s, planned.plans)
    if s.state is not None:
        s.state.unnamed = None
    if not due.started and len(s.due) == 1:
        due.started = True
        lead(s, due, s.out)


def every(s: Conversation, text: bytes, planned: Planned, due: Due) -> Iterable[tuple[Plan, bytes | None]]:
    """What is sent of each plan, and of what stands behind a RESET ALL."""
    for one, sent in prepared.settle(s, text, planned, due):
        yield one, sent
        if isinstance(one, Forward) and one.effects.resets:
            for own in restated(s):
                yield own, own.template.pieces[0]


def announce(s: Conversation, plan: Forward) -> None:
    """A statement is being sent: what it makes can be named by those behind it; who will have notified is known when
    the notification comes; and that numbers must be forgotten at check-in.
    """
    if plan.effects.creates is not None:
        s.settings.objects.send(plan.effects.creates)
        s.tell_tables()
    if s.state is None:
        return
    if plan.effects.notifies:
        s.port.notifying(s.state.process_id)
    if plan.effects.draws:
        s.state.drawn = True


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
    key = (text, types, extended)
    planned = None
    if s.plans:
        s.port.follow()  # what was planned by other rules, or with another picture, is not kept
        planned = s.plans.get(key)
    if planned is None:
        planned = s.port.lookup(text, types, extended)
        s.counters.plans["miss" if planned is None else planned.cache] += 1
    if planned is not None:
        return admitted_here(s, planned)
    rejected = quotas.unplanned(s, text)
    if rejected is not None:
        return Planned((rejected,))
    s.waiting = Waiting.PLAN
    s.asked = key
    s.ticket += 1
    s.port.act(PlanStatement(s.ticket, text, types, extended))
    return None


def renew(s: Conversation, name: bytes, statement: Statement) -> Statement | Refusal | None:
    """A statement of the session under the present rules; None: it waits for its plan."""
    s.port.follow()
    if statement.epoch is s.epoch and not statement.plan.effects.fresh:
        return statement
    parsed = statement.at is None
    planned = plan_of(s, statement.text, statement.parameter_types if parsed else (), parsed)
    if planned is None:
        return None
    plan = planned.rejection or planned.plans[statement.at or 0]
    if isinstance(plan, Reject):
        s.audit(plan, statement.text, planned.shape)
        return encode.refusal_of(plan)
    if statement.at is not None and isinstance(plan, Forward) and plan.effects.prepares is not None:
        fresh = prepared.made(s, statement.text, plan.effects.prepares, planned.literals, statement.at)
    else:
        sql = s.text_of(plan, planned.literals, statement.text) if isinstance(plan, Forward) else b""
        types = statement.parameter_types
        fresh = Statement(statement.text, types, plan, sql, s.epoch, None, planned.literals, s.reading)
    fresh.paid = statement.paid
    s.statements[name] = fresh
    return fresh


def executable(s: Conversation, planned: Planned) -> Refusal | bool:
    """Are the statements that these execute as of the present rules? False: it waits for a plan."""
    for one in planned.plans:
        run = one.effects.executes if isinstance(one, Forward) else None
        statement = None if run is None else s.statements.get(run.name.encode())
        if run is None or statement is None:
            continue
        fresh = renew(s, run.name.encode(), statement)
        if not isinstance(fresh, Statement):
            return fresh if fresh is not None else False
    return True


def own_objection(s: Conversation, planned: Planned) -> Refusal | None:
    """What only the session knows: that a DISCARD is inside a transaction, an answer comes in a failed one, or what
    the names of prepared statements stand for.
    """
    plans = planned.plans
    fenced = s.fenced
    block = in_block(s)
    failed = True
    if len(plans) > 1 and any(inserts(one) for one in plans):
        return INSERTS_ALONE
    for one in plans:
        if isinstance(one, Answer):
            if failed and aborted(s, one):
                return encode.ABORTED
            if one.answer is AnswerKind.DISCARD_ALL and (block or len(plans) > 1):
                return NO_DISCARD
        else:
            refusal = growth.objection(s, one) or copy.objection(s, one)
            failed = failed and not (isinstance(one, Forward) and one.effects.transaction in ENDS)
            if refusal is None and isinstance(one, Forward):
                refusal = over_ceiling(s, one)
                if one.effects.positioned in fenced:
                    refusal = not_positioned(one.effects.positioned or "")
                if one.effects.declares is not None:
                    name = {one.effects.declares.name}
                    fenced = fenced | name if one.fenced else fenced - name
            if refusal is not None:
                return refusal
    return prepared.objection(s, planned) or outside_block(s, plans)


def not_positioned(cursor: str) -> Refusal:
    """WHERE CURRENT OF a cursor whose rows are computed behind a boundary: it could hit another row."""
    return FeatureNotSupported(
        f'WHERE CURRENT OF cursor "{cursor}" is not supported', hint="Name the row by its key, or simplify the cursor."
    )


def fence(s: Conversation, name: str, plan: Forward) -> None:
    """A cursor or portal of that name is being made: does it show rows of a table as they are?"""
    if plan.fenced:
        s.fenced.add(name)
    else:
        s.fenced.discard(name)


def over_ceiling(s: Conversation, plan: Forward) -> Refusal | None:
    """A timeout above the tenant's limit that cannot be put right in the text, as in set_config()."""
    if plan.kind is StatementKind.SETTING:
        return None
    for effect in plan.effects.settings:
        if effect.value is not None and s.settings.meant(effect) != effect.value:
            hint = f"Use SET {effect.name}." if effect.name == NAME else None
            return Refusal(f'permission denied to set parameter "{effect.name}"', sqlstate="42501", hint=hint)
    return None


def answer_now(s: Conversation, answer: Answer, with_description: bool) -> bytes:
    """Does what an answered statement does, and gives its reply."""
    kind = answer.answer
    if kind is AnswerKind.LISTEN:
        s.settings.objects.listen(answer.argument)
    elif kind is AnswerKind.UNLISTEN:
        s.settings.objects.unlisten(answer.argument)
    elif kind is AnswerKind.DISCARD_ALL:
        discarded(s)
    if kind in RESETTING:
        s.settings.reset_all()
        s.restated = True
    return encode.answered(answer, with_description)
