"""Queries for verifiers follow the rules: begun whole or not at all, ended when no login needs them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from proxy.auth.scram import build_verifier, parse_verifier
from proxy.errors import ConfigurationError
from proxy.fleet.verifiers import Verifiers
from proxy.tenancy.policy import Credentials, Login, Server, VerifierSource
from tests.kit.postgres import Cluster

TEXT = build_verifier("password", b"0123456789abcdef", 10)
QUERY = f"SELECT n, '{TEXT}' FROM unnest($1::text[]) n"


@pytest.fixture
async def verifiers() -> AsyncIterator[Verifiers]:
    made = Verifiers()
    yield made
    await made.close()


def login(name: str, port: int, query: str = QUERY) -> Login:
    server = Server("127.0.0.1", port, "postgres", "postgres")
    return Login(name, "acme", None, source=VerifierSource(server, Credentials(tls="disable"), query))


async def test_logins_of_one_query_are_asked_for_together(verifiers: Verifiers, postgres15: Cluster) -> None:
    a, b = login("a", postgres15.port), login("b", postgres15.port)
    await verifiers.reconcile([a, b, Login("c", "acme", parse_verifier(TEXT))])
    assert verifiers.of(a) == verifiers.of(b) == parse_verifier(TEXT)
    assert verifiers.of(Login("c", "acme", None)) is None
    assert (verifiers.statistics().looks, verifiers.statistics().known) == (1, 2)
    verifiers.hurry(a)
    verifiers.hurry(None)


async def test_a_login_that_the_rules_do_not_ask_for_gets_no_verifier_from_anothers_query(
    verifiers: Verifiers, postgres15: Cluster
) -> None:
    """The query is part of what is asked: one that tells everybody's must not answer for a login of another query."""
    other = login("a", postgres15.port, QUERY + " WHERE false")
    await verifiers.reconcile([login("b", postgres15.port), other])
    assert verifiers.of(other) is None
    assert verifiers.of(login("a", postgres15.port)) is None


async def test_a_query_that_fails_changes_nothing(verifiers: Verifiers, postgres15: Cluster) -> None:
    a = login("a", postgres15.port)
    await verifiers.reconcile([a])
    with pytest.raises(ConfigurationError, match=r"auth_query as postgres: .*nonsense"):
        await verifiers.reconcile([login("b", postgres15.port), login("c", postgres15.port, "SELECT nonsense($1)")])
    assert verifiers.of(a) == parse_verifier(TEXT)
    await verifiers.reconcile([])
    assert verifiers.of(a) is None
