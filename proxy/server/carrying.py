"""What a session has set, taken along when another mode serves its tenant from now on.

Each mode has a list of its own of what may be set, and reads a search path in its own way. So nothing is believed
because it was allowed before: each setting is asked for anew, as if the client set it now, and what the new mode does
not let it have cannot go along. Then the session ends. Decision 0096.
"""

from __future__ import annotations

from proxy.errors import Refusal
from proxy.server.services import Planning
from proxy.session.label import NAME, unlabelled
from proxy.session.options import permitted
from proxy.session.parameters import quote_name
from proxy.session.session import ClientSession
from proxy.sql.plan import Forward, PlanContext, SettingEffect, StatementKind

MOST = 100  # settings that go along; each is planned, while others wait


def carry(session: ClientSession, planning: Planning, context: PlanContext, label: str) -> bool:
    """Gives the session what it had set, as this context's mode means it; between transactions, and when the session's
    grant is the new one. label: of application names. False: something of it cannot go along, and nothing is believed.
    """
    settings = session.settings
    before = settings.defaults
    own = {name: value for name, value in settings.current.items() if before.get(name) != value}
    if len(own) > MOST or any(name not in settings.current for name in before):
        return False
    try:
        startup = permitted(session, session.requested)
    except Refusal:
        return False
    found: dict[str, str] = {}
    settings.label, former = label, settings.label
    for name, value in own.items():
        effects = _asked(planning, context, name, unlabelled(value, former) if name == NAME else value)
        if effects is None:
            return False
        for one in effects:
            meant = settings.meant(one)
            if one.value is not None and meant is not None:
                found[one.name] = meant
    session.startup = startup
    settings.carry(found)
    return True


def _asked(planning: Planning, context: PlanContext, name: str, value: str) -> tuple[SettingEffect, ...] | None:
    """What SET of this does there; None where it is refused, or does anything else."""
    text = f"SET {quote_name(name)} TO {value}".encode()
    planned = planning.lookup(text, context) or planning.plan(text, context)
    (plan, *others) = planned.plans
    if others or not isinstance(plan, Forward) or plan.kind is not StatementKind.SETTING or plan.effects.pins:
        return None
    effects = plan.effects.settings
    return effects if all(one.name == name and not one.local for one in effects) else None
