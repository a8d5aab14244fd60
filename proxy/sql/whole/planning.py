"""A text of a tenant that has a database of its own becomes plans: parsed, looked at, and sent as it came.

No literal is lifted and nothing is rewritten: what is sent is the client's own text, statement by statement, which
verify compares with what the client sent. Only the name in PREPARE and EXECUTE is the proxy's, because what it stands
for may be prepared on any server connection. plan_text() never raises for what a client wrote.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.catalog.model import Catalog
from proxy.errors import FeatureNotSupported, Refusal, StatementTooComplex, SyntaxRefused
from proxy.sql.classified import Classified
from proxy.sql.classify import kind_of
from proxy.sql.copied import CopyIn, CopyOut
from proxy.sql.parse import Statement, masked, parse
from proxy.sql.plan import (
    Answer,
    AnswerKind,
    Effects,
    Forward,
    Plan,
    PlanContext,
    Planned,
    Preparation,
    StatementKind,
    Template,
)
from proxy.sql.prepared import require_one_name
from proxy.sql.reading import Reading
from proxy.sql.rejection import rejected
from proxy.sql.verify.whole import verify_whole
from proxy.sql.whole.calls import Known
from proxy.sql.whole.effects import effects_of
from proxy.sql.whole.named import body_of, declared, renamed
from proxy.sql.whole.reach import check_reach
from proxy.wire.copyformat import CopyFormat

MODE = "database"
RULE = ("database.own",)
SHAPE_BYTES = 2048
DEPTH_HINT = "Nest the statement's expressions less deeply."
SEND_AS_IS = "Send it as it is."
AS_IT_COMES = CopyFormat()  # nothing is put before the rows, so that their format does not matter


def is_whole(context: PlanContext) -> bool:
    """Has the tenant a database of its own?"""
    return context.policy.isolation == MODE


def plan_text(
    text: bytes, context: PlanContext, catalog: Catalog, known: Known, reading: Reading, extended: bool
) -> Planned:
    """The plans of a text. Refusals are plans."""
    try:
        most, deepest = context.policy.statement_size, context.policy.statement_nesting
        statements = parse(text, size_limit=most, server_major=catalog.major, nesting=deepest)
        if extended and len(statements) > 1:
            raise SyntaxRefused("cannot insert multiple commands into a prepared statement")
    except Refusal as refusal:
        return Planned((rejected(StatementKind.INVALID, refusal, text),), shape=masked(text, SHAPE_BYTES))
    whole = len(statements) == 1
    plans = tuple(_plan(one, text, whole, catalog, known, reading) for one in statements)
    planned = Planned(plans or (Answer(StatementKind.EMPTY, AnswerKind.EMPTY),))
    return planned if planned.rejection is None else planned._replace(shape=masked(text, SHAPE_BYTES))


def _plan(statement: Statement, text: bytes, whole: bool, catalog: Catalog, known: Known, reading: Reading) -> Plan:
    try:
        check_reach(statement.tree, catalog.database)
        classified = effects_of(statement.tree, known)
        if classified.answer is not None and classified.answer.answer is not AnswerKind.UNLISTEN:
            return classified.answer
        begin = 0 if whole else statement.location
        sent = text if whole else text[begin : begin + statement.length]
        begins = len(text[:begin].decode())
        if "PrepareStmt" in classified.tree:
            return replace(_prepare(statement, classified, sent, catalog, known, reading, begins), begins=begins)
        copied = _copied(statement.tree)
        reads = reading.only(classified.kind, statement.tree, classified.effects, copied)
        if classified.effects.executes is not None:
            return replace(_execute(classified, sent, catalog), begins=begins, reads=reads)
        verify_whole(sent, text, begin, catalog.major)
        forward = Forward(
            classified.kind, Template((sent,)), classified.effects, rules=RULE, copy=copied, begins=begins, reads=reads
        )
        return forward if classified.answer is None else replace(classified.answer, sent=forward)
    except Refusal as refusal:
        return rejected(kind_of(statement), refusal, text)
    except RecursionError:
        deep = StatementTooComplex("stack depth limit exceeded", hint=DEPTH_HINT)
        return rejected(kind_of(statement), deep, text)


def _copied(tree: dict[str, object]) -> CopyIn | CopyOut | None:
    body = tree.get("CopyStmt")
    if not isinstance(body, dict):
        return None
    return CopyIn("", 0, AS_IT_COMES) if body.get("is_from") else CopyOut()


def _prepare(
    statement: Statement,
    classified: Classified,
    sent: bytes,
    catalog: Catalog,
    known: Known,
    reading: Reading,
    begins: int,
) -> Forward:
    """PREPARE, and the plan of what the name stands for."""
    body = statement.tree["PrepareStmt"]
    types = declared(body, catalog)
    inner = effects_of(body["query"], known)
    if inner.answer is not None:
        raise FeatureNotSupported("this statement cannot be prepared", hint=SEND_AS_IS)
    query = body_of(sent, body["query"], catalog.major)
    verify_whole(query, sent, len(sent) - len(query), catalog.major)
    before = begins + len(sent[: len(sent) - len(query)].decode())
    reads = reading.only(inner.kind, body["query"], inner.effects)
    plan = Forward(inner.kind, Template((query,)), inner.effects, rules=RULE, begins=before, reads=reads)
    changed, shift = renamed(sent, "PREPARE", classified.tree, catalog.major)
    require_one_name(Template((changed,)))
    effects = Effects(prepares=Preparation(body["name"], types, plan))
    return Forward(classified.kind, Template((changed,)), effects, rules=RULE, shift=shift)


def _execute(classified: Classified, sent: bytes, catalog: Catalog) -> Forward:
    changed, shift = renamed(sent, "EXECUTE", classified.tree, catalog.major)
    require_one_name(Template((changed,)))
    return Forward(classified.kind, Template((changed,)), classified.effects, rules=RULE, shift=shift)
