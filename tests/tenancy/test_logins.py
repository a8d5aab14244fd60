"""What may be said about a login, and what a mistake in it may tell."""

from __future__ import annotations

from tests.tenancy.test_models import TENANT, mistakes


def test_a_verifier_in_the_clear_is_refused_without_being_repeated() -> None:
    for _, text in mistakes("tenant", TENANT | {"logins": {"a": {"verifier": "hunter2"}}}):
        assert "hunter2" not in text
        assert "hash-password" in text
