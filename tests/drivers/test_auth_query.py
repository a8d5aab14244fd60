"""Passwords that the server keeps, by the query of the rules page, from CREATE ROLE to a changed password."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.docs.pages import blocks
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample, pristine

ROLES = """\
CREATE ROLE umbrella_app LOGIN PASSWORD 'umbrella-pass';
CREATE ROLE umbrella_new LOGIN PASSWORD 'umbrella-pass';
CREATE ROLE umbrella_old LOGIN PASSWORD 'umbrella-pass' VALID UNTIL '2020-01-01';
CREATE ROLE umbrella_group PASSWORD 'umbrella-pass';
CREATE ROLE umbrella_other LOGIN PASSWORD 'umbrella-pass';
"""
NAMES = ("umbrella_app", "umbrella_new", "umbrella_old", "umbrella_group", "umbrella_other", "partywall_auth")
RULES = """\
tenant: umbrella
databases: [{database}]
keys: {{default: 66, slug: umbrella, uid: 00000000-0000-4000-8000-000000000066}}
logins:
  umbrella_app: {{verifier: auth_query}}
  umbrella_new: {{verifier: auth_query}}
  umbrella_old: {{verifier: auth_query}}
  umbrella_group: {{verifier: auth_query}}
  umbrella_gone: {{verifier: auth_query}}
"""
QUERY = "auth_query: {query: 'SELECT name, verifier FROM partywall.verifiers($1)', role: partywall_auth}\naccept:"


@pytest.fixture(scope="module")
def asking(postgres15: Cluster) -> Iterator[tuple[Cluster, Proxy]]:
    """A proxy that asks a server of this module's own roles."""
    cluster = load_sample(postgres15)
    page = [one.text for one in blocks() if one.page == "docs/rules.md" and one.language == "sql"]
    (remedy,) = [one for one in page if "partywall.verifiers" in one]
    try:
        with pristine(cluster) as database:
            cluster.psql(database, sql=ROLES + remedy)
            with running_proxy(cluster.port, database) as proxy:
                file = proxy.directory / "rules" / "sample.yaml"
                text = file.read_text(encoding="utf-8").replace("accept:", QUERY, 1)
                file.write_text(text + "---\n" + RULES.format(database=database), encoding="utf-8")
                proxy.reload_whole()
                yield cluster, proxy
    finally:
        for name in NAMES:
            cluster.psql("postgres", sql=f"DROP ROLE IF EXISTS {name}")


def log_in(proxy: Proxy, user: str, password: str = "umbrella-pass") -> str:
    """What comes of it."""
    where = f"host=127.0.0.1 port={proxy.port} dbname={proxy.database} connect_timeout=20 sslmode=disable"
    try:
        with psycopg.connect(f"{where} user={user} password={password}") as connection:
            (count,) = connection.execute("SELECT count(*) FROM orders").fetchone() or (None,)
            return f"in, {count} orders"
    except psycopg.OperationalError as refused:
        return str(refused)


def test_a_role_of_the_server_logs_in_as_the_tenant_that_the_rules_say(asking: tuple[Cluster, Proxy]) -> None:
    assert log_in(asking[1], "umbrella_app") == "in, 0 orders"
    assert log_in(asking[1], "acme_app", "acme-pass").startswith("in, ")  # and others as ever


@pytest.mark.parametrize(
    "user",
    ["umbrella_old", "umbrella_group", "umbrella_gone", "umbrella_other", "partywall_auth", "postgres", "app"],
)
def test_no_other_role_gets_in_by_its_password(asking: tuple[Cluster, Proxy], user: str) -> None:
    """Expired, without LOGIN, not at the server, not in the rules."""
    assert f'password authentication failed for user "{user}"' in log_in(asking[1], user)


def test_a_changed_password_works_soon_and_the_old_one_no_more(asking: tuple[Cluster, Proxy]) -> None:
    cluster, proxy = asking
    cluster.psql("postgres", sql="ALTER ROLE umbrella_new PASSWORD 'another-pass'")
    deadline = time.monotonic() + 60.0
    while log_in(proxy, "umbrella_new", "another-pass") != "in, 0 orders":  # the first wrong one makes it look again
        assert time.monotonic() < deadline
    assert "password authentication failed" in log_in(proxy, "umbrella_new")
