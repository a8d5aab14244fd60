"""Who may come in: every reason against it ends where a wrong password ends, and the client never hears which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from proxy.auth.addresses import LOCAL, parse_networks
from proxy.auth.certificate import CertificateRule
from proxy.auth.scram import Verifier
from proxy.auth.token import Issuer
from proxy.server.logins import Came, find_login
from proxy.session.actions import FindLogin
from proxy.session.events import LoginFound
from proxy.tenancy.policy import Login, VerifierSource
from tests.auth.test_certificate import certificate
from tests.kit.builders import PARSED, OneTenant, grant, services
from tests.kit.tokens import issuer

HERE = "192.0.2.1"
NOW = 1000.0


@dataclass
class Book(OneTenant):
    """Rules of one login that is as a test wants it."""

    one: Login | None = None

    def login(self, name: str) -> Login | None:
        return self.one if self.one is not None and name == self.one.name else None


def found(login: Login | None, address: str = HERE, database: str = "test", full: bool = False) -> LoginFound:
    given = services(Book(grant(), one=login), pools=None, now=lambda: NOW)
    return find_login(given, FindLogin("alice", database, ""), Came(address, full=full))


def alice(**more: Any) -> Login:
    return replace(Login("alice", "acme", PARSED), **more)


CLOSED = {
    "disabled": alice(disabled=True),
    "expired": alice(valid_until=NOW),
    "elsewhere": alice(allow_from=(parse_networks([HERE]), parse_networks(["10.0.0.0/8", LOCAL]))),
}


def test_who_may_come_in_is_given_what_the_rules_grant() -> None:
    login = alice(valid_until=NOW + 1, allow_from=(parse_networks(["192.0.2.0/24"]),))
    one = found(login)
    assert one.grant is not None
    assert (one.verifier, one.refusal, one.why) == (PARSED, None, "")


@pytest.mark.parametrize("login", CLOSED.values(), ids=CLOSED)
@pytest.mark.parametrize("database", ["test", "other"])
def test_who_may_not_is_challenged_as_ever_and_nothing_it_proves_will_do(login: Login, database: str) -> None:
    """The challenge is the login's own: another salt would tell an observer that something has changed."""
    one = found(login, database=database)
    assert (one.verifier.salt, one.verifier.iterations, one.verifier.mock) == (PARSED.salt, PARSED.iterations, True)
    assert (one.grant, one.refusal) == (None, None)
    assert one.why


def test_a_login_that_is_not_there_is_closed_in_the_same_way() -> None:
    one = found(None)
    assert (one.verifier.mock, one.grant, one.refusal) == (True, None, None)
    assert one.why


def test_that_there_are_too_many_clients_is_told_after_the_proof_only() -> None:
    one = found(alice(), full=True)
    assert one.refusal is not None
    assert (one.refusal.sqlstate, one.verifier) == ("53300", PARSED)
    assert found(None, full=True).refusal is None


def test_a_unix_socket_is_local() -> None:
    login = alice(allow_from=(parse_networks([LOCAL]),))
    assert found(login, LOCAL).grant is not None
    assert found(login, "127.0.0.1").grant is None


@dataclass
class Federated(Book):
    """Rules with an issuer."""

    def issuer(self, name: str) -> Issuer | None:
        return issuer() if name.endswith("@example.com") else None


def federated(
    login: Login | None, name: str = "alice@example.com", address: str = HERE, tls: bool = True
) -> LoginFound:
    given = services(Federated(grant(), one=login), pools=None, now=lambda: NOW)
    return find_login(given, FindLogin(name, "test", ""), Came(address, tls))


BEARER = Login("alice@example.com", "acme", None, token="248289761001")


def test_a_token_is_asked_for_by_the_name_whether_the_login_exists_or_not() -> None:
    known, closed_one, unknown = federated(BEARER), federated(replace(BEARER, disabled=True)), federated(None)
    assert [one.bearer and one.bearer.subject for one in (known, closed_one, unknown)] == ["248289761001", None, None]
    assert [one.grant is None for one in (known, closed_one, unknown)] == [False, True, True]
    assert federated(None, "alice").bearer is None


@pytest.mark.parametrize("login", [BEARER, None])
def test_where_others_could_read_it_nobody_is_asked_for_a_token(login: Login | None) -> None:
    barred = federated(login, tls=False)
    assert barred.barred is not None
    assert "sslmode" in (barred.barred.hint or "")
    assert federated(login, address=LOCAL, tls=False).barred is None


def test_a_password_beside_an_issuer_stays_a_password() -> None:
    assert federated(alice(name="alice@example.com")).bearer is None


NAMED = CertificateRule("common_name", "batch")


def shown(login: Login, certificate: bytes | None) -> LoginFound:
    given = services(Book(grant(), one=login), pools=None, now=lambda: NOW)
    return find_login(given, FindLogin("alice", "test", ""), Came(HERE, tls=True, certificate=certificate))


def test_a_certificate_alone_is_proof_enough_where_the_rule_says_so() -> None:
    found = shown(alice(verifier=None, certificate=NAMED), certificate())
    assert (found.certain, found.grant is None) == (True, False)


def test_a_certificate_beside_a_password_leaves_the_password_to_be_proved() -> None:
    found = shown(alice(certificate=NAMED), certificate())
    assert (found.certain, found.verifier) == (False, PARSED)


@pytest.mark.parametrize("verifier", [None, PARSED])
@pytest.mark.parametrize("names", [None, ("other",)])
def test_without_the_right_certificate_a_password_is_asked_for_and_none_will_do(
    verifier: Verifier | None, names: tuple[str, ...] | None
) -> None:
    found = shown(alice(verifier=verifier, certificate=NAMED), None if names is None else certificate(names))
    assert (found.certain, found.grant, found.verifier.mock) == (False, None, True)
    assert "certificate" in found.why


SOURCE = VerifierSource(grant().server, grant().credentials, "SELECT 1")


@pytest.mark.parametrize("told", [PARSED, replace(PARSED, mock=True), None])
def test_a_server_that_knows_the_verifier_is_believed_and_one_that_does_not_answer_lets_nobody_in(
    told: Verifier | None,
) -> None:
    login = alice(verifier=None, source=SOURCE)
    given = replace(services(Book(grant(), one=login), pools=None, now=lambda: NOW), asked_verifier=lambda _: told)
    found = find_login(given, FindLogin("alice", "test", ""), Came(HERE))
    if told is PARSED:
        assert (found.verifier, found.why, found.grant is None) == (PARSED, "", False)
    else:
        assert (found.verifier.mock, found.grant, found.certain) == (True, None, False)
        assert "auth_query" in found.why
        assert told is None or found.verifier.salt == PARSED.salt
