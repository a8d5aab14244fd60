"""Who may come in: the answer to FindLogin, from the rules in force, where the client comes from, and what time it is.

Whoever may not come in is asked for the same proof as anybody else, with the challenge that the login always has, and
fails where a wrong password fails; why stands in the log only. So an answer tells neither whether a login exists, nor
that it is disabled, expired, or not allowed from here. What is told, is told after the proof.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from proxy.errors import TooManyConnections, UnknownDatabase
from proxy.server.services import Services
from proxy.session.actions import FindLogin
from proxy.session.events import LoginFound
from proxy.tenancy.policy import Login


@dataclass(frozen=True, slots=True)
class Came:
    """How a client came. address: as text, `local` for a Unix socket. full: there are too many clients already."""

    address: str
    full: bool = False


def find_login(services: Services, action: FindLogin, came: Came) -> LoginFound:
    """The proof to ask for, and what it is worth."""
    rules = services.rules()
    login = rules.login(action.user)
    nonce = services.nonce()
    mock = services.mock_verifier(action.user)  # made for every login, so that all take the same time
    if login is None:
        return LoginFound(mock, nonce, None, why="there is no such login")
    verifier = mock if login.verifier is None else login.verifier
    why = closed(login, came.address, services.now())
    if why:
        return LoginFound(replace(verifier, mock=True), nonce, None, why=why)
    if came.full:
        return LoginFound(verifier, nonce, None, TooManyConnections("sorry, too many clients already"))
    grant = rules.grant(login, action.database)
    if grant is None:
        return LoginFound(verifier, nonce, None, UnknownDatabase(f'database "{action.database}" does not exist'))
    return LoginFound(verifier, nonce, grant)


def closed(login: Login, address: str, now: float) -> str:
    """Why this login may not come in from there at that time, whatever it proves; "" when it may."""
    if login.disabled:
        return "the login is disabled"
    if login.valid_until is not None and now >= login.valid_until:
        return "the login has expired: valid_until"
    if not all(address in one for one in login.allow_from):
        return "the login may not come from this address: allow_from"
    return ""
