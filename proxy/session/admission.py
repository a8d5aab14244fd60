"""Admission as the session asks it: of a text's literals when its plan is known, of parameters when Bind gives them.

The question is sql/admission.py's; here are this session's keys and the bytes of the messages. A refusal goes to the
audit like that of a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from proxy.errors import Refusal
from proxy.session.conversation import Conversation
from proxy.session.parameters import quote_value
from proxy.session.statements import Statement
from proxy.sql.admission import admitted, parameters_refused
from proxy.sql.oids import INT2, INT4, INT8, UNTYPED
from proxy.sql.plan import Forward, Planned
from proxy.sql.restored import Restore, as_text
from proxy.wire.fields import Reader

NUMBERS = frozenset({INT2, INT4, INT8, 26})  # pg_type.oid; 26 is oid's own


def admitted_here(s: Conversation, planned: Planned) -> Planned:
    """The plans for this session's tenant."""
    return planned if s.grant is None else admitted(planned, s.grant.keys)


def names_refused(
    s: Conversation,
    plan: Forward,
    declared: Sequence[int],
    formats: Sequence[int],
    values: Sequence[bytes | None],
) -> Refusal | None:
    """Why a name that a parameter gives is answered as absent; None where each is visible, a number, or no text. A
    parameter of a text type is text in binary too.
    """
    for one in plan.names:
        at = one.parameter - 1
        value = values[at] if at < len(values) else None
        form = 0 if not formats else formats[0] if len(formats) == 1 else formats[at] if at < len(formats) else 0
        given = declared[at] if at < len(declared) else 0
        direct = one.direct and given in (0, UNTYPED)
        if value is None or given in NUMBERS or (form == 1 and direct):
            continue
        try:
            name = value.decode()
        except UnicodeDecodeError:
            continue  # the server's to refuse
        refusal = s.port.missing(name, one.kind, direct)
        if refusal is not None:
            return refusal
    return None


def bound(s: Conversation, statement: Statement, values: bytes) -> Refusal | None:
    """Why Bind may not give these values, or None. `values` is the message from its formats on."""
    plan = statement.plan
    if not isinstance(plan, Forward) or s.grant is None:
        return None
    if not plan.names and not any(isinstance(one.value, int) for one in plan.checks):
        return None
    reader = Reader(values)
    formats, parameters = reader.int16s(), reader.values()
    refusal = parameters_refused(plan.checks, s.grant.keys, statement.parameter_types, formats, parameters)
    refusal = refusal or names_refused(s, plan, statement.parameter_types, formats, parameters)
    if refusal is not None:
        s.audit(s.own_refusal(plan.kind, refusal), statement.text, "")
    return refusal


def kept_values(restore: Restore, statement: Statement, values: bytes) -> tuple[bytes | None, ...]:
    """The parameters of an INSERT as text. `values` is the message from its formats on."""
    reader = Reader(values)
    formats = reader.int16s()
    return tuple(as_text(restore, statement.parameter_types, formats, reader.values()))


def unbound(name: bytes, values: bytes) -> Refusal | None:
    """The same for a statement that the proxy answers itself, which has no parameters; in PostgreSQL's words."""
    reader = Reader(values)
    formats, parameters = reader.int16s(), reader.values()
    if len(formats) > 1 and len(formats) != len(parameters):
        text = f"bind message has {len(formats)} parameter formats but {len(parameters)} parameters"
        return Refusal(text, sqlstate="08P01")
    if parameters:
        text = f"bind message supplies {len(parameters)} parameters, but prepared statement"
        return Refusal(f'{text} "{name.decode()}" requires 0', sqlstate="08P01")
    return None


def with_values(s: Conversation, plan: Forward, values: bytes) -> tuple[Forward, Refusal | None]:
    """set_config('name', $n, …): the plan with the values that Bind gives, or why they may not be set."""
    if all(one.parameter is None for one in plan.effects.settings):
        return plan, None
    reader = Reader(values)
    formats, parameters = reader.int16s(), reader.values()
    settings = []
    for one in plan.effects.settings:
        if one.parameter is None:
            settings.append(one)
            continue
        index = one.parameter - 1
        value = parameters[index] if index < len(parameters) else None
        form = formats[index] if index < len(formats) and len(formats) > 1 else formats[0] if formats else 0
        text = None if value is None or form not in {0, 1} else value.decode("utf-8", "replace")
        if text is None or not s.port.allowed_setting(one.name, text):
            return plan, Refusal(f'permission denied to set parameter "{one.name}"', sqlstate="42501")
        settings.append(replace(one, value=quote_value(text), parameter=None))
    return replace(plan, effects=replace(plan.effects, settings=tuple(settings))), None
