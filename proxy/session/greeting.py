"""The greeting: what a client that was let in is told of the server, as an earlier session learnt it or by asking.

It ends in READY: parameters under the client's own names, its cancel key, ReadyForQuery. What was learnt is forgotten
when a connection reports otherwise; a server whose settings changed says so with its next statement, not before.
Source: PostgreSQL documentation, "Start-up".
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.session import encode
from proxy.session.actions import Established, LearnParameters
from proxy.session.conversation import Conversation, Phase, Waiting
from proxy.session.label import NAME, cleaned, cut, labelled
from proxy.session.parameters import exceeds
from proxy.sql.settings import READ_ONLY
from proxy.wire.backend import BackendKeyData
from proxy.wire.streams import MESSAGE_LIMIT


def with_ceilings(s: Conversation, asked: Mapping[str, str]) -> Mapping[str, str]:
    """The session's defaults: what was asked for, no timeout longer than the tenant's limit; and read-only transactions
    of a login that only reads, where the tenant has functions of its own.
    """
    settings = dict(asked)
    ceiling = s.limits.statement_timeout
    if ceiling is not None and ("statement_timeout" not in settings or exceeds(settings["statement_timeout"], ceiling)):
        settings["statement_timeout"] = str(round(ceiling * 1000))
    policy = s.grant.policy if s.grant is not None else None
    if policy is not None and policy.schema and policy.read_only:
        settings[READ_ONLY] = "'on'"  # what its functions do, no statement shows
    if s.port.label:
        settings[NAME] = labelled(settings.get(NAME, "''"), s.port.label)
    return settings


def own_name(s: Conversation, parameters: Mapping[str, str]) -> str:
    """The client's application_name as the server would report it."""
    return cleaned(cut(s.application_name, s.port.label), parameters.get("server_version", ""))


def greet(s: Conversation) -> None:
    """Tells the client what the server is like, from what an earlier session learnt or after asking it."""
    parameters = s.port.parameters(template(s))
    if parameters is not None:
        _establish(s, parameters)
        return
    s.phase = Phase.LEARN
    lease = s.port.lease_nowait()
    if lease is None:
        s.waiting = Waiting.LEASE
        s.queue()
        return
    s.adopt(lease)
    s.bring_in_line()
    learnt(s)


def template(s: Conversation) -> dict[str, str]:
    """The defaults that parameters are learnt for; the client's name is told under its own."""
    return {name: value for name, value in s.settings.defaults.items() if name != NAME}


def learnt(s: Conversation) -> None:
    """Takes the parameters once the connection has the session's settings."""
    if s.phase is not Phase.LEARN or s.state is None or not s.idle():
        return
    parameters = dict(s.state.parameters)
    s.port.act(LearnParameters(template(s), parameters))
    _establish(s, parameters)


def _establish(s: Conversation, parameters: Mapping[str, str]) -> None:
    known = dict(parameters)
    known["session_authorization"] = s.user
    known[NAME] = own_name(s, parameters)
    s.known = known
    for name, value in known.items():
        s.out.append(encode.parameter_status(name, value))
    s.out.append(BackendKeyData(s.process_id, s.secret_key).encode())
    s.out.append(encode.READY_IDLE)
    s.phase = Phase.READY
    s.frontend.limit = MESSAGE_LIMIT
    s.port.act(Established())
