"""What may be said about a login, and what a mistake in it may tell."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.auth.scram import build_verifier
from proxy.tenancy.logins import LoginModel
from proxy.tenancy.models import Tenant, document
from tests.kit.builders import PASSWORD, VERIFIER
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
