"""Admission as the session asks it: of a text's literals when its plan is known, of parameters when Bind gives them.

The question is sql/admission.py's; here are this session's keys and the bytes of the messages. A refusal goes to the
audit like that of a plan.
"""

from __future__ import annotations

from proxy.errors import Refusal
from proxy.session.conversation import Conversation
from proxy.session.statements import Statement
from proxy.sql.admission import admitted, parameters_refused
from proxy.sql.plan import Forward, Planned
from proxy.wire.fields import Reader


def admitted_here(s: Conversation, planned: Planned) -> Planned:
    """The plans for this session's tenant."""
    return planned if s.grant is None else admitted(planned, s.grant.keys)


def bound(s: Conversation, statement: Statement, values: bytes) -> Refusal | None:
    """Why Bind may not give these values, or None. `values` is the message from its formats on."""
    plan = statement.plan
    if not isinstance(plan, Forward) or s.grant is None or not any(isinstance(one.value, int) for one in plan.checks):
        return None
    reader = Reader(values)
    formats, parameters = reader.int16s(), reader.values()
    refusal = parameters_refused(plan.checks, s.grant.keys, statement.parameter_types, formats, parameters)
    if refusal is not None:
        s.audit(s.own_refusal(plan.kind, refusal), statement.text, "")
    return refusal
