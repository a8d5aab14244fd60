"""What may be said about a login, and what a mistake in it may tell."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.auth.certificate import CertificateRule
from proxy.auth.scram import build_verifier
from proxy.tenancy.logins import IssuerModel, LoginModel
from proxy.tenancy.models import Tenant, document
from tests.kit.builders import PASSWORD, VERIFIER
from tests.kit.tokens import URL, key, key_set
from tests.tenancy.test_models import TENANT, mistakes

NEW = build_verifier("the next one", b"salt of the tests", 4096)
OTHER_SALT = build_verifier("the next one", b"salt of another sort", 4096)


def wrong(**login: Any) -> list[tuple[tuple[int | str, ...], str]]:
    return mistakes("tenant", TENANT | {"logins": {"a": {"verifier": VERIFIER} | login}})


def right(tenant: dict[str, Any] | None = None, **login: Any) -> Any:
    """The login that runs."""
    found = document("tenant", TENANT | (tenant or {}) | {"logins": {"a": {"verifier": VERIFIER} | login}})
    assert isinstance(found, Tenant)
    model = found.logins["a"]
    assert isinstance(model, LoginModel)
    return model.login("a", "acme", found.allow_from)


@pytest.mark.parametrize("verifier", ["hunter2", [VERIFIER, "hunter2"], [VERIFIER, NEW, VERIFIER], []])
def test_a_verifier_in_the_clear_is_refused_without_being_repeated(verifier: object) -> None:
    found = wrong(verifier=verifier)
    assert found
    assert "hunter2" not in str(found)
    if "hunter2" in str(verifier):
        assert "hash-password" in found[0][1]


def test_two_passwords_pass_during_a_rotation() -> None:
    login = right(verifier=[VERIFIER, NEW])
    assert len(login.verifier.also) == 1
    assert right().verifier.also == ()


def test_two_verifiers_of_different_salts_are_refused_with_the_way_out() -> None:
    ((path, text),) = wrong(verifier=[VERIFIER, OTHER_SALT])
    assert path == ("logins", "a")
    assert "hash-password --like" in text
    assert PASSWORD not in text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-02T00:00:00Z", 86400.0), ("1970-01-01 01:00:30+01:00", 30.0), ("1970-01-01 00:00:00+00", 0.0)],
)
def test_a_login_is_valid_until_a_moment_that_says_its_zone(text: str, seconds: float) -> None:
    assert right(valid_until=text).valid_until == seconds


@pytest.mark.parametrize("text", ["2027-01-31", "2027-01-31 18:00:00", "infinity", "tomorrow", 5])
def test_a_moment_without_a_zone_is_a_mistake(text: object) -> None:
    ((path, _),) = wrong(valid_until=text)
    assert path[:3] == ("logins", "a", "valid_until")


def test_a_login_comes_from_where_both_its_tenant_and_itself_allow_it() -> None:
    first, second = right({"allow_from": ["10.0.0.0/8"]}, allow_from=["10.1.0.0/16", "local"]).allow_from
    assert ("10.2.0.1" in first, "10.2.0.1" in second) == (True, False)
    assert right().allow_from == ()


@pytest.mark.parametrize("allow_from", [[], ["10.0.0.1/8"], ["office"], "10.0.0.0/8"])
def test_what_is_no_list_of_networks_is_a_mistake(allow_from: object) -> None:
    assert wrong(allow_from=allow_from)
    assert mistakes("tenant", TENANT | {"allow_from": allow_from})


def test_a_login_has_a_password_or_a_token_or_a_certificate_or_one_of_them_and_a_certificate() -> None:
    assert wrong(token="alice") == [(("logins", "a"), "must say only one of verifier and token")]
    assert wrong(verifier=None) == [(("logins", "a"), "must say what it proves: verifier, token or certificate")]
    assert right(verifier=None, certificate={"dns": "a.example"}).certificate == CertificateRule("dns", "a.example")
    assert right(certificate={"subject": "CN=a"}).verifier is not None


@pytest.mark.parametrize("names", [{}, {"dns": "a", "uri": "b"}, {"dns": ""}, {"cn": "a"}])
def test_a_certificate_has_exactly_one_name(names: dict[str, str]) -> None:
    assert wrong(certificate=names)


ISSUER: dict[str, Any] = {"issuer": URL, "audience": "partywall", "suffix": "@example.com", "keys": key_set(key())}


def test_an_issuer_runs_with_its_keys_and_nothing_that_shows_them() -> None:
    found = document("issuer", ISSUER | {"leeway": "5s", "method": "oauthbearer", "scope": "openid"})
    assert isinstance(found, IssuerModel)
    runs = found.run()
    assert (runs.algorithms, runs.claim, runs.leeway, runs.method) == (("RS256", "ES256"), "sub", 5.0, "oauthbearer")
    assert "kty" not in repr(runs) + repr(found)


@pytest.mark.parametrize(
    "more",
    [
        {"issuer": "example"}, {"audience": ""}, {"suffix": "example.com"}, {"suffix": "@"}, {"keys": "secret stuff"},
        {"algorithms": []}, {"algorithms": ["none"]}, {"algorithms": ["HS256"]}, {"method": "certificate"},
        {"colour": "red"},
    ],
)  # fmt: skip
def test_an_issuer_whose_tokens_could_not_be_judged_is_a_mistake(more: dict[str, Any]) -> None:
    found = mistakes("issuer", ISSUER | more)
    assert found
    assert "secret stuff" not in str(found)
