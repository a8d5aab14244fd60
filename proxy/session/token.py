"""A token as proof: asked for as a password in clear, or by OAUTHBEARER; only where nobody else can read it.

Which of the two, and whether at all, follows from the login's name alone, so that it tells nothing of whether the login
exists. Sources: PostgreSQL documentation, "Start-up" and "OAuth Authorization/Authentication"; RFC 7628.
"""

from __future__ import annotations

from proxy.auth.token import problem_of
from proxy.errors import InvalidPassword, RemoteProtocolError
from proxy.session.actions import WeighProof
from proxy.session.conversation import Conversation, Phase
from proxy.session.events import Bearer
from proxy.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationSASL,
    AuthenticationSASLContinue,
)
from proxy.wire.bearer import END, MECHANISM, decode_bearer, failure
from proxy.wire.frontend import PasswordMessage, SASLInitialResponse, SASLResponse

PHASES = frozenset({Phase.CLEARTEXT, Phase.BEARER, Phase.BEARER_REFUSED})


def ask(s: Conversation, bearer: Bearer) -> None:
    """Asks for a token in the way that the issuer's rule says."""
    s.asked_at = s.clock()
    if bearer.issuer.method == "password":
        s.phase = Phase.CLEARTEXT
        s.out.append(AuthenticationCleartextPassword().encode())
    else:
        s.phase = Phase.BEARER
        s.out.append(AuthenticationSASL((MECHANISM,)).encode())


def answered(s: Conversation, body: bytes) -> None:
    """What the client says to that. Refusal for what must not go on."""
    bearer = None if s.login is None else s.login.bearer
    if bearer is None:
        raise RemoteProtocolError("unexpected password message")
    if s.phase is Phase.BEARER_REFUSED:
        if SASLResponse.decode(body).data != END:
            raise RemoteProtocolError("malformed OAUTHBEARER message", detail="Client did not send a kvsep response.")
        raise InvalidPassword(f'OAuth bearer authentication failed for user "{s.user}"', sqlstate="28000")
    if s.phase is Phase.CLEARTEXT:
        _weigh(s, bearer, PasswordMessage.decode(body).password.decode("utf-8", "replace"))
        return
    initial = SASLInitialResponse.decode(body)
    if initial.mechanism != MECHANISM:
        raise RemoteProtocolError("client selected an invalid SASL authentication mechanism")
    if initial.data is None:
        raise RemoteProtocolError("an initial SASL response is needed")
    token = decode_bearer(initial.data)
    if token:
        _weigh(s, bearer, token)
    else:  # it asks where one is to be had
        s.why = "no token was given"
        refused(s, bearer)


def refused(s: Conversation, bearer: Bearer) -> None:
    """The token is not taken: the client is told where to get another, and then the log-in fails."""
    s.phase = Phase.BEARER_REFUSED
    s.out.append(AuthenticationSASLContinue(failure(bearer.issuer.url, bearer.issuer.scope)).encode())


def _weigh(s: Conversation, bearer: Bearer, token: str) -> None:
    problem = problem_of(token, bearer.issuer, bearer.subject, bearer.now + s.clock() - s.asked_at)
    s.why = s.why or problem
    s.right = not s.why
    s.phase = Phase.PROOF
    s.port.act(WeighProof(s.right))
