"""RESET ALL and DISCARD ALL: back to what the session began with, which is not what its server connection began with.

Without a connection of its own the session answers them, and tells the client every parameter that changed, as the
server would. Else they run on that connection, where they take away what only the server knows, such as SET LOCAL and
advisory locks; the session's own defaults are set again behind them in the same transaction. So the answer is never
given before the connection is clean. Source: PostgreSQL documentation, RESET and DISCARD; guc.c.
"""

from __future__ import annotations

from proxy.session import encode
from proxy.session.conversation import Conversation
from proxy.session.due import BIND, CLOSE, EXECUTE, PARSE, SYNC, Due, Kind
from proxy.session.greeting import own_name, template
from proxy.session.parameters import quote_name
from proxy.sql.plan import FINAL, Answer, AnswerKind, Effects, Forward, Plan, SettingEffect, StatementKind, Template
from proxy.sql.settings import settable
from proxy.wire.fields import message

PORTAL = b"pw_own"
RESETTING = frozenset({AnswerKind.RESET_ALL, AnswerKind.DISCARD_ALL})


def is_sent(s: Conversation, plan: Answer, plans: tuple[Plan, ...] = ()) -> bool:
    """Must the server run it, as there is a connection with something on it, or nobody knows what it would report?"""
    if plan.answer not in RESETTING:
        return False
    if plan.answer is AnswerKind.RESET_ALL and (s.lease is not None or any(isinstance(one, Forward) for one in plans)):
        return True
    return s.settings.current != s.settings.defaults and s.port.parameters(template(s)) is None


def restated(s: Conversation) -> tuple[Forward, ...]:
    """The session's defaults as statements behind a RESET ALL; the client is told nothing of them."""
    return tuple(
        Forward(
            StatementKind.SETTING,
            Template((f"SET {quote_name(name)} TO {value}".encode(),)),
            Effects(settings=(SettingEffect(name, value, own=True),)),
            tag="",
        )
        for name, value in s.settings.defaults.items()
    )


def restate(s: Conversation) -> None:
    """The same in the extended protocol, behind an Execute."""
    for plan in restated(s):
        run(s, plan, forward=False)


def run(s: Conversation, plan: Forward, *, forward: bool) -> None:
    """One statement of ours, as Parse to Close; `forward`: the client is told that it completed."""
    text = plan.template.pieces[0]
    s.up += [
        encode.parse(b"", text, ()),
        message(66, PORTAL + b"\0\0\0\0\0\0\0\0"),
        message(69, PORTAL + b"\0\0\0\0\0"),
        message(67, b"P" + PORTAL + b"\0"),
    ]
    kinds: tuple[Kind, ...] = (PARSE, BIND, EXECUTE, CLOSE)
    for kind in kinds:
        s.due.append(Due(kind, forward and kind is EXECUTE, plan if kind is EXECUTE else None, text=text))
    s.backend().unnamed = None


def discard(s: Conversation, plan: Forward) -> None:
    """DISCARD ALL as a simple query: no string of several statements may hold it."""
    run(s, plan, forward=True)
    restate(s)
    s.up.append(encode.SYNC)
    s.due.append(Due(SYNC))


def discarded(s: Conversation) -> None:
    """DISCARD ALL: nothing of the session is left but its defaults, and what nothing takes back."""
    s.settings.reset_all()
    s.statements.clear()
    s.portals.clear()
    s.settings.objects.clear()
    s.settings.objects.unlisten("")
    s.tell_tables()
    s.unpin(*s.pins - FINAL)


def changed(s: Conversation) -> bytes:
    """ParameterStatus of everything that is another than the client knows, after an answer of ours."""
    parameters = s.port.parameters(template(s)) if s.restated else None
    s.restated = False
    if parameters is None:
        return b""
    now = {**parameters, "application_name": own_name(s, parameters)}
    found = {name: value for name, value in now.items() if s.known.get(name) != value and settable(name)}
    s.known.update(found)
    return b"".join(encode.parameter_status(name, value) for name, value in found.items())
