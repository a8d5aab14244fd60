"""Quotas: when a session asks its login's budget, what it counts, and what becomes of a statement that is refused.

Counted is each statement of a Query; and each Parse, Bind and Execute, but for the first Bind of what was parsed and
the first Execute of what was bound: so the usual batch is one, and nothing that the server has to do is free. What ends
a transaction is let through, and owed. A refusal is an error like another: the rest of the pipeline is skipped and a
transaction block fails. Decision 0053.
"""

from __future__ import annotations

import re

from proxy.errors import Refusal
from proxy.quota.allowance import MOMENT
from proxy.quota.budget import NEVER, Judgement
from proxy.quota.exceeded import NOT_ENFORCED, Exceeded
from proxy.session import encode
from proxy.session.actions import Audit, AwaitQuota
from proxy.session.blocks import ENDS, in_block
from proxy.session.conversation import Conversation, Waiting
from proxy.session.statements import Portal, Statement
from proxy.sql.plan import NO_EFFECTS, Answer, AnswerKind, Decision, Forward, Plan, Reject, StatementKind
from proxy.tenancy.policy import UNCLASSED

SQLSTATE = "53400"
WARNING = "01000"
PATIENCE = 0.25  # seconds for which a message waits for what other processes may have to spare
WAITS = Refusal("nobody knows yet", sqlstate=SQLSTATE)
"""No refusal: the message waits, and is to be asked about again."""
ENOUGH = 8  # times that one transaction's end is let through: a Parse, a Bind and more, and no flood
END = re.compile(rb"\s*(?:commit|rollback|end|abort)(?:\s+(?:work|transaction))?\s*;?\s*", re.IGNORECASE)
NOTHING = Answer(StatementKind.OTHER, AnswerKind.EMPTY)  # what a name stands for that is none
HIDDEN = frozenset({"error", "log", "fatal", "panic"})  # values of client_min_messages that hide a warning


def admit(s: Conversation, plans: tuple[Plan, ...], text: bytes, shape: str = "") -> Refusal | None:
    """May these statements of one message run? Asked once for a message; the refusal was noted for the audit. WAITS:
    it is to be asked again.
    """
    if s.budget is None or s.charged or s.repeated:
        return None
    return _asked(s, plans, [class_of(s, one) for one in plans], text, shape, False)


def bind(s: Conversation, name: bytes) -> Refusal | None:
    """May the statement of this name be bound, if there is one? Under the rules in force, which may be new ones."""
    s.port.follow()
    if s.budget is None or s.charged or s.repeated:
        return None
    statement = s.statements.get(name)
    if statement is None:
        return _asked(s, (NOTHING,), [UNCLASSED], b"", "", False)
    refusal = _asked(s, (statement.plan,), [class_of(s, statement.plan)], statement.text, "", statement.paid)
    statement.paid = statement.paid and refusal is WAITS
    return refusal


def counted_as(s: Conversation, name: bytes, statement: Statement) -> int:
    """As which class of statements a portal of this statement is executed."""
    return UNCLASSED if s.budget is None else class_of(s, s.statements.get(name, statement).plan)


def parsed(s: Conversation, statement: Statement) -> Statement:
    """Its Parse was counted. An EXECUTE's was not as what it executes, for that is not known before it is bound."""
    statement.paid = s.budget is not None and not _executes(statement.plan)
    return statement


def execute(s: Conversation, portal: Portal | None) -> Refusal | None:
    """May the portal be executed, if there is one?"""
    if s.budget is None or s.charged or s.repeated:
        return None
    if portal is None:
        return _asked(s, (NOTHING,), [UNCLASSED], b"", "", False)
    statement = portal.statement
    refusal = _asked(s, (statement.plan,), [portal.counted], statement.text, "", portal.paid)
    portal.paid = portal.paid and refusal is WAITS
    return refusal


def class_of(s: Conversation, plan: Plan | None) -> int:
    """As which class of statements it counts; an EXECUTE as what it executes."""
    if not isinstance(plan, Forward):
        return UNCLASSED
    run = plan.effects.executes
    found = s.statements.get(run.name.encode()) if run is not None else None
    return class_of(s, found.plan) if found is not None and not _executes(found.plan) else plan.counted


def _executes(plan: Forward | Answer) -> bool:
    return isinstance(plan, Forward) and plan.effects.executes is not None


def _asked(
    s: Conversation, plans: tuple[Plan, ...], kinds: list[int], text: bytes, shape: str, paid: bool
) -> Refusal | None:
    budget = s.budget
    assert budget is not None
    s.charged = True
    now = s.clock()
    ends = s.passes < ENOUGH and len(plans) == 1 and _ends(s, plans[0])
    judged = budget.judge(kinds, now, s.entered, paid=paid, ends=ends)
    s.passes += ends
    if judged.exceeded is not None:
        if _waits(s, judged, now):
            return WAITS
        _refuse(s, judged, now)
        reject = rejected(judged.exceeded, plans[0].kind)
        s.audit(reject, text, shape)
        return encode.refusal_of(reject)
    s.entered = judged.entered
    for one in judged.warned:
        warn(s, one, plans[0].kind, text, shape)
    return None


def _waits(s: Conversation, judged: Judgement, now: float) -> bool:
    """Waits for its turn or for the counter store, unless the message did so for long enough; or, once, because the
    session was refused lately: a flood of refusals is everybody's load.
    """
    line = None
    if judged.until is not None and judged.meter is not None and s.grant is not None and now < (s.patience or NEVER):
        if not s.patience:
            judged.meter.waited += 1
            s.patience = now + s.grant.limits.query_wait_timeout
        seconds = min(judged.until, max(s.patience - now, MOMENT))
        line = judged.meter.line
    elif judged.soon and now < (s.patience or NEVER):
        seconds, s.patience = 0.0, s.patience or now + PATIENCE
    elif not s.patience and s.tired(now):
        seconds, s.patience = s.fatigue, now + s.fatigue
    else:
        return False
    s.charged = False
    s.waiting = Waiting.QUOTA
    s.ticket += 1
    s.port.act(AwaitQuota(s.ticket, seconds, line))
    return True


def _refuse(s: Conversation, judged: Judgement, now: float) -> None:
    if judged.meter is not None:
        judged.meter.refusals += 1
    s.tire(now)


def _ends(s: Conversation, plan: Plan) -> bool:
    effects = plan.effects if isinstance(plan, Forward) else NO_EFFECTS
    return effects.transaction in ENDS and not effects.chain and in_block(s)


def unplanned(s: Conversation, text: bytes) -> Reject | None:
    """May a text be planned that was not seen before? The end of a transaction may."""
    budget = s.budget
    if budget is None or not budget.planning or (END.fullmatch(text) and in_block(s)):
        return None
    now = s.clock()
    judged = budget.may_plan(now)
    if judged.exceeded is not None:
        _refuse(s, judged, now)
        return rejected(judged.exceeded, StatementKind.OTHER)
    for one in judged.warned:
        warn(s, one, StatementKind.OTHER, text, "")
    return None


def flooded(s: Conversation, plan: Forward | None, text: bytes) -> Refusal | None:
    """Were more rows of a COPY received than are allowed?"""
    exceeded = None if s.budget is None else s.budget.flooded(s.clock())
    if exceeded is None:
        return None
    reject = rejected(exceeded, StatementKind.COPY if plan is None else plan.kind)
    s.audit(reject, text, "")
    return encode.refusal_of(reject)


def rejected(exceeded: Exceeded, kind: StatementKind) -> Reject:
    """The refusal as a plan."""
    return Reject(kind, SQLSTATE, exceeded.message, exceeded.detail, exceeded.hint, rules=(exceeded.rule,))


def warn(s: Conversation, exceeded: Exceeded, kind: StatementKind, text: bytes, shape: str) -> None:
    """Tells client and audit of a limit that only warns; of each once a second."""
    told = warning(s, exceeded, kind, text, shape)
    if told:
        s.supply(told)


def warning(s: Conversation, exceeded: Exceeded, kind: StatementKind, text: bytes, shape: str) -> bytes:
    """Tells the audit, and what the client is to be told; nothing when it was told within a second, or hides it."""
    s.note(s.counters.quota_warnings, exceeded.rule)
    if not s.due_to_tell(exceeded.rule):
        return b""
    decision = Decision("warn", kind, (exceeded.rule,), shape, WARNING, NO_EFFECTS, s.generation)
    s.port.act(Audit(decision, text, exceeded.message))
    if s.settings.current.get("client_min_messages", "").strip("'").lower() in HIDDEN:
        return b""
    fields = {"S": "WARNING", "V": "WARNING", "C": WARNING, "M": exceeded.message, "D": exceeded.detail}
    return encode.report(78, fields | {"H": NOT_ENFORCED})
