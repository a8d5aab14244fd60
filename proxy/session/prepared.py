"""SQL PREPARE, EXECUTE and DEALLOCATE: in one name space with Parse, as PostgreSQL has it.

A name stands for a statement of the session. What it stands for is prepared on whichever server connection runs it,
under a name of the proxy's; EXECUTE is sent with that name. Names change when a statement is sent, and change back if
it fails. Source: PostgreSQL documentation, PREPARE, EXECUTE, DEALLOCATE.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from proxy.errors import FeatureNotSupported, Refusal
from proxy.session import encode
from proxy.session.admission import names_refused
from proxy.session.blocks import aborted, undecided_yet
from proxy.session.conversation import Conversation, Waiting
from proxy.session.due import BIND, CLOSE, DESCRIBE, PARSE, SUPPLY, SYNC, Due, unsettled
from proxy.session.holdings import room, size_of
from proxy.session.statements import Statement
from proxy.sql.admission import parameters_refused
from proxy.sql.copied import inserts
from proxy.sql.explaining import COUNTED
from proxy.sql.plan import (
    CATALOGS,
    FINAL,
    STATEMENT_NAME,
    Answer,
    AnswerKind,
    Effects,
    Execution,
    Forward,
    Plan,
    Planned,
    Preparation,
)
from proxy.sql.prepared import values

OWN_NAME = re.compile(r'"(pw_[0-9]{8})"')
NAMING = frozenset({AnswerKind.DEALLOCATE, AnswerKind.DEALLOCATE_ALL, AnswerKind.DISCARD_ALL})  # change names


def no_statement(name: str) -> Refusal:
    """PostgreSQL's answer to a name that stands for nothing."""
    if not name:
        return Refusal("unnamed prepared statement does not exist", sqlstate="26000")
    return Refusal(f'prepared statement "{name}" does not exist', sqlstate="26000")


def taken(name: str) -> Refusal:
    """PostgreSQL's answer to a name that stands for something already."""
    return Refusal(f'prepared statement "{name}" already exists', sqlstate="42P05")


def objection(s: Conversation, planned: Planned) -> Refusal | None:
    """Why the names in these statements, run one after the other, cannot be what the client thinks."""
    if not any(named(one) for one in planned.plans):
        return None
    meant: dict[bytes, Forward | Answer | None] = {name: one.plan for name, one in s.statements.items()}
    types = {name: one.parameter_types for name, one in s.statements.items()}
    for one in planned.plans:
        if isinstance(one, Answer) and one.answer is AnswerKind.DEALLOCATE_ALL:
            meant.clear()
        elif isinstance(one, Answer) and one.answer is AnswerKind.DEALLOCATE:
            if meant.pop(one.argument.encode(), None) is None:
                return no_statement(one.argument)
        elif isinstance(one, Forward) and one.effects.prepares is not None:
            name = one.effects.prepares.name
            if name.encode() in meant:
                return taken(name)
            refusal = room(s, size_of(name.encode(), b"".join(one.effects.prepares.plan.template.pieces)))
            if refusal is not None:
                return refusal
            meant[name.encode()] = one.effects.prepares.plan
            types[name.encode()] = one.effects.prepares.types
        elif isinstance(one, Forward) and one.effects.executes is not None:
            run = one.effects.executes
            found = meant.get(run.name.encode())
            if found is None:
                return no_statement(run.name)
            refusal = unfit(s, run, found, types[run.name.encode()], planned.literals)
            if refusal is not None:
                return refusal
    return None


def named(plan: Plan) -> bool:
    """Does this statement define, use or forget a name?"""
    if isinstance(plan, Forward):
        return plan.effects.prepares is not None or plan.effects.executes is not None
    return isinstance(plan, Answer) and plan.answer in NAMING


def own(plan: Plan) -> bool:
    """Is it the session that answers this, and not the server? An EXECUTE with the server's name in it is none."""
    return isinstance(plan, Answer) or named(plan) or inserts(plan)


def answered(plan: Plan) -> bool:
    """May the session answer this although the server runs what stands around it?"""
    if isinstance(plan, Forward):
        return plan.effects.prepares is not None
    return isinstance(plan, Answer) and plan.answer is not AnswerKind.EMPTY


def unfit(
    s: Conversation, run: Execution, found: Forward | Answer, types: tuple[int, ...], literals: tuple[bytes, ...]
) -> Refusal | None:
    """Why this statement cannot be executed with these arguments."""
    if isinstance(found, Answer) or found.effects.asked:
        return FeatureNotSupported("this statement cannot be executed by EXECUTE", hint="Send it as it is.")
    if run.explained and s.grant is not None and s.grant.policy.schema and CATALOGS in found.rules:
        return FeatureNotSupported("EXPLAIN of a catalog is not supported", hint=COUNTED)
    if s.grant is None or not (found.checks or found.names):
        return None
    if any(run.arguments[one.parameter - 1 : one.parameter] == (None,) for one in found.names):
        return FeatureNotSupported("a name must be given to EXECUTE as a constant", hint="Send the statement itself.")
    given = values(run, literals)
    return parameters_refused(found.checks, s.grant.keys, types, (), given) or names_refused(s, found, types, (), given)


def merged(outer: Forward, inner: Forward) -> Forward:
    """EXECUTE's plan with what the statement does that it executes."""
    one, other = outer.effects, inner.effects
    effects = replace(
        one,
        executes=None,
        writes=one.writes or other.writes,
        grows=one.grows or other.grows,
        pins=other.pins if one.pins is None or other.pins in FINAL else one.pins,
        taints=one.taints or other.taints,
        unpins=(*one.unpins, *other.unpins),
        notifies=one.notifies or other.notifies,
        draws=one.draws or other.draws,
    )
    rewritten, tag = outer.rewritten or inner.rewritten, outer.tag or inner.tag
    return replace(outer, effects=effects, rewritten=rewritten, tag=tag, reads=outer.reads and inner.reads)


def made(s: Conversation, text: bytes, preparation: Preparation, literals: tuple[bytes, ...], at: int) -> Statement:
    """What a PREPARE defines, the `at`-th statement of its text."""
    plan = preparation.plan
    return Statement(text, preparation.types, plan, s.port.fill(plan, literals, text), s.epoch, at, (), s.reading)


def ready(s: Conversation, planned: Planned) -> bool:
    """Is everything that a simple query executes prepared on the leased connection, as of the present rules? False:
    it waits for that, or was answered with the error that came of it.
    """
    state = s.backend()
    own = {one.effects.prepares.name for one in planned.plans if isinstance(one, Forward) and one.effects.prepares}
    missing = False
    for one in planned.plans:
        if not isinstance(one, Forward) or one.effects.executes is None or one.effects.executes.name in own:
            continue
        statement = s.statements[one.effects.executes.name.encode()]
        if state.name_of(statement.key) is None and not aborted(s, one):
            prepare(s, statement)
            missing = True
    if missing:
        s.up.append(encode.SYNC)
        s.due.append(Due(SYNC, False))
        s.waiting = Waiting.PREPARE
    return not missing


def prepare(s: Conversation, statement: Statement) -> bytes:
    """Prepares a statement on the leased connection, which the client did not ask for; its name there."""
    state = s.backend()
    name = state.prepare(statement.key)
    drop_surplus(s)
    due = Due(PARSE, False, text=statement.text)
    due.key = statement.key
    due.plan = statement.plan if isinstance(statement.plan, Forward) else None
    s.up.append(encode.parse(name, statement.sql, statement.parameter_types))
    s.due.append(due)
    return name


def drop_surplus(s: Conversation) -> None:
    """Closes what the connection need not keep prepared any longer."""
    for one in s.backend().surplus():
        s.up.append(encode.close_statement(one))
        s.due.append(Due(CLOSE, False))


def settle(s: Conversation, text: bytes, planned: Planned, due: Due) -> Iterable[tuple[Plan, bytes | None]]:
    """The plans of a simple query with the server's names in their texts; None: nothing is sent for it. Changes the
    session's names as each of them will, and notes on `due` what to change back.
    """
    state = s.backend()
    for at, one in enumerate(planned.plans):
        if isinstance(one, Answer):
            forget(s, one, due, at)
        if not isinstance(one, Forward):
            yield one, None
        elif one.effects.prepares is not None:
            statement = made(s, text, one.effects.prepares, planned.literals, at)
            note(s, due, at, one.effects.prepares.name.encode(), statement)
            if state.name_of(statement.key) is not None and not aborted(s, one):
                yield Answer(one.kind, AnswerKind.PREPARED), None
                continue
            name = state.prepare(statement.key)
            drop_surplus(s)
            due.prepared.append((at, statement.key))
            yield (
                replace(one, effects=Effects()),
                s.port.fill(one, planned.literals, text).replace(STATEMENT_NAME, name, 1),
            )
        elif one.effects.executes is not None:
            statement = s.statements[one.effects.executes.name.encode()]
            name = (
                state.name_of(statement.key) or STATEMENT_NAME
            )  # not prepared in a failed transaction: refused anyway
            inner = statement.plan
            plan = merged(one, inner) if isinstance(inner, Forward) else one
            yield plan, s.port.fill(one, planned.literals, text).replace(STATEMENT_NAME, name, 1)
        else:
            yield one, s.text_of(one, planned.literals, text)


def note(s: Conversation, due: Due, at: int, name: bytes, statement: Statement | None) -> None:
    """A name gets another meaning by the `at`-th statement, unless that fails."""
    due.names.append((at, name, s.statements.get(name)))
    s.opened[name] = s.pipeline
    if statement is None:
        s.statements.pop(name, None)
    else:
        s.statements[name] = statement


def mean(s: Conversation, name: bytes, statement: Statement | None, reply: bytes) -> None:
    """A name stands for this from here on, or for nothing, as an own reply says; unless an error comes before it."""
    due = Due(SUPPLY, reply=reply)
    note(s, due, 0, name, statement)
    supply(s, due)


def supply(s: Conversation, due: Due) -> None:
    """An own reply, now or after those that are due, with the names that it changes."""
    if s.due:
        s.due.append(due)
    else:
        s.out.append(due.reply)


def opened(s: Conversation, name: bytes) -> bool:
    """Is it open what this name stands for, as an earlier pipeline changed it? Then the message waits for replies."""
    changed = s.opened.get(name, s.pipeline)
    if changed == s.pipeline:  # what comes now is skipped with it
        return False
    if unsettled(s.due, name):
        s.waiting = Waiting.REPLIES
        return True
    del s.opened[name]
    return False


def uncertain(s: Conversation, planned: Planned) -> bool:
    """Is it open what a name in these plans stands for, or whether an own answer comes in a failed transaction? Then
    their message waits for the replies before it.
    """
    if any(named(one) for one in planned.plans) and unsettled(s.due):
        s.waiting = Waiting.REPLIES
        return True
    return any(answered(one) for one in planned.plans) and undecided_yet(s)


def forget(s: Conversation, answer: Answer, due: Due | None = None, at: int = 0) -> None:
    """DEALLOCATE of one name or of all."""
    if answer.answer is AnswerKind.DEALLOCATE:
        names = [answer.argument.encode()]
    elif answer.answer is AnswerKind.DEALLOCATE_ALL:
        names = [one for one in s.statements if one]
    else:
        return
    for name in names:
        if due is None:
            s.statements.pop(name, None)
        else:
            note(s, due, at, name, None)


def take_back(s: Conversation, due: Due, name: bytes, before: Statement | None) -> None:
    """A name that `due` was to change is not changed; the next that changes it, changes it from what it was before."""
    for later in s.due:
        if later is due:
            continue
        if later.kind is PARSE and later.name == name:
            later.previous = before
            return
        for number, (at, one, _) in enumerate(later.names):
            if one == name:
                later.names[number] = (at, one, before)
                return
    if before is None:
        s.statements.pop(name, None)
    else:
        s.statements[name] = before


def undo(s: Conversation, due: Due) -> None:
    """A simple query failed: what its statements from there on would have named, they did not."""
    for at, name, before in reversed(due.names):
        if at >= due.index:
            take_back(s, due, name, before)
    for at, key in due.prepared:
        if at >= due.index and s.state is not None:
            s.state.unprepare(key)


def rename(s: Conversation, fields: dict[str, str], due: Due) -> None:
    """In what the server reports, the client's names of its statements instead of ours."""
    found = OWN_NAME.search(fields.get("M", ""))
    if found is None or s.state is None:
        return
    if due.kind in (BIND, DESCRIBE) and due.name is not None:  # which may stand for something else by now
        fields["M"] = fields["M"].replace(found.group(0), f'"{due.name.decode()}"')
        return
    keys = {upstream: key for key, upstream in s.state.prepared.items()}
    key = keys.get(found.group(1).encode())
    for name, statement in s.statements.items():
        if statement.key == key:
            fields["M"] = fields["M"].replace(found.group(0), f'"{name.decode()}"')
            return
