"""Who may come in: the answer to FindLogin, from the rules in force, where the client comes from, and what time it is.

Whoever may not come in is asked for the same proof as anybody else, with the challenge that the login always has, and
fails where a wrong password fails; why stands in the log only. So an answer tells neither whether a login exists, nor
that it is disabled, expired, or not allowed from here. What is told, is told after the proof.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from proxy.auth.addresses import LOCAL
from proxy.auth.certificate import proves
from proxy.errors import InvalidAuthorization, TooManyConnections, UnknownDatabase
from proxy.server.services import Services
from proxy.session.actions import FindLogin
from proxy.session.events import Bearer, LoginFound
from proxy.tenancy.policy import Login

OTHER_NAME = "the certificate has another name than the login's rule"
NEEDS_TLS = "a token is needed, and must not be sent unencrypted"


@dataclass(frozen=True, slots=True)
class Came:
    """How a client came. address: as text, `local` for a Unix socket. tls: encrypted. full: there are too many clients
    already. certificate: what TLS believed of it, DER.
    """

    address: str
    tls: bool = False
    full: bool = False
    certificate: bytes | None = None

    @property
    def private(self) -> bool:
        """May a secret be sent here as it is?"""
        return self.tls or self.address == LOCAL


def find_login(services: Services, action: FindLogin, came: Came) -> LoginFound:
    """The proof to ask for, and what it is worth."""
    rules, now = services.rules(), services.now()
    login = rules.login(action.user)
    mock = services.mock_verifier(action.user)  # made for every login, so that all take the same time
    known = None if login is None else login.verifier or services.asked_verifier(login)
    verifier = mock if known is None else known
    found = LoginFound(verifier, services.nonce(), None)
    why = "there is no such login" if login is None else closed(login, came, now)
    if not why and login is not None and login.source is not None and (known is None or known.mock):
        why = "auth_query told no verifier" if known is None else "auth_query has not answered for long"
    if why:
        found = replace(found, verifier=replace(verifier, mock=True), why=why)
    issuer = rules.issuer(action.user) if login is None or login.token is not None else None
    if issuer is not None:
        if not came.private:
            return replace(found, barred=InvalidAuthorization(NEEDS_TLS, hint="Use sslmode=require."))
        found = replace(found, bearer=Bearer(issuer, None if login is None or why else login.token, now))
    if login is None or why:
        return found
    if known is None and issuer is None:
        found = replace(found, certain=True)
    if came.full:
        return replace(found, refusal=TooManyConnections("sorry, too many clients already"))
    grant = rules.grant(login, action.database)
    if grant is None:
        return replace(found, refusal=UnknownDatabase(f'database "{action.database}" does not exist'))
    return replace(found, grant=grant, limits=login.limits)


def closed(login: Login, came: Came, now: float) -> str:
    """Why this login may not come in from there, so, at that time, whatever else it proves; "" when it may."""
    if login.disabled:
        return "the login is disabled"
    if login.valid_until is not None and now >= login.valid_until:
        return "the login has expired: valid_until"
    if not all(came.address in one for one in login.allow_from):
        return "the login may not come from this address: allow_from"
    if login.certificate is not None and not proves(came.certificate, login.certificate):
        return "the login must show a certificate of its own" if came.certificate is None else OTHER_NAME
    return ""
