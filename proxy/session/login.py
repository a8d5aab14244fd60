"""The log-in: a SASL exchange for the login that was found, and the way in when its proof was right. token.py asks for
tokens.

An unknown login takes the same steps as a wrong password and ends with the same answer. Source: PostgreSQL
documentation, "SASL Authentication".
"""

from __future__ import annotations

from proxy.auth.scram import ScramServer
from proxy.errors import InternalError, InvalidPassword, Refusal, RemoteProtocolError
from proxy.session import token
from proxy.session.actions import AwaitAdmission, WeighProof
from proxy.session.conversation import Conversation, Phase
from proxy.session.events import LoginFound, ProofWeighed
from proxy.session.greeting import greet, with_ceilings
from proxy.session.options import permitted
from proxy.session.parameters import Settings, ceilings_of
from proxy.session.ports import Later
from proxy.tenancy.policy import held_to
from proxy.wire.authentication import (
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
)
from proxy.wire.frontend import SASLInitialResponse, SASLResponse


def found(s: Conversation, event: LoginFound) -> None:
    """The answer to FindLogin: the proof that is asked for. Refusal for who is not even asked."""
    s.login = event
    s.why = event.why
    if event.barred is not None:
        raise event.barred
    if event.certain:
        s.right = True
        s.phase = Phase.PROOF
        s.port.act(WeighProof(True))
        return
    if event.bearer is not None:
        token.ask(s, event.bearer)
        return
    s.scram = ScramServer(event.verifier, event.nonce, s.binding)
    s.phase = Phase.SASL_INITIAL
    s.out.append(AuthenticationSASL(s.scram.mechanisms).encode())


def answered(s: Conversation, body: bytes) -> None:
    """A message of the client's in the exchange. Refusal for what must not go on."""
    if s.phase in token.PHASES:
        token.answered(s, body)
        return
    scram, login = s.scram, s.login
    if scram is None or login is None:
        raise RemoteProtocolError("unexpected SASL response")
    if s.phase is Phase.SASL_INITIAL:
        initial = SASLInitialResponse.decode(body)
        if initial.data is None:
            raise RemoteProtocolError("an initial SASL response is needed")
        s.out.append(AuthenticationSASLContinue(scram.first(initial.data, initial.mechanism)).encode())
        s.phase = Phase.SASL_FINAL
        return
    s.proof = scram.final(SASLResponse.decode(body).data)
    s.scram = None
    s.right = s.proof is not None and not s.why
    s.phase = Phase.PROOF
    s.port.act(WeighProof(s.right))


def weighed(s: Conversation, event: ProofWeighed) -> None:
    """The answer to WeighProof: now the client may hear how it went. Refusal when it may not come in."""
    proof, login = s.proof, s.login
    s.proof = None
    if event.refusal is not None:
        raise event.refusal
    if not s.right or login is None:
        if login is not None and login.bearer is not None and login.bearer.issuer.method == "oauthbearer":
            token.refused(s, login.bearer)
            return
        raise InvalidPassword(f'password authentication failed for user "{s.user}"')
    if proof is not None:
        s.out.append(AuthenticationSASLFinal(proof).encode())
    s.out.append(AuthenticationOk().encode())
    if login.refusal is not None:
        raise login.refusal
    s.grant = login.grant
    if login.grant is None:
        raise InvalidPassword(f'password authentication failed for user "{s.user}"')
    s.limits = held_to(login.grant.limits, login.limits)  # admit() knows those of now
    answer = s.port.admit(login.grant)
    if isinstance(answer, Later):
        s.phase = Phase.ADMISSION
        s.port.act(AwaitAdmission())
        return
    admitted(s, answer)


def admitted(s: Conversation, refusal: Refusal | None) -> None:
    """Counted in, unless there is a refusal: it is raised."""
    if refusal is not None:
        raise refusal
    login = s.login
    if login is None or login.grant is None:
        raise InternalError("nobody was admitted")
    s.startup = permitted(s, s.requested)
    s.settings = Settings(with_ceilings(s, s.startup), ceilings_of(s.limits), s.port.label)
    greet(s)
