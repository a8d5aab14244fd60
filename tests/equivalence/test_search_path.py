"""Applications that choose their tenant by SET search_path, as django-tenants and Apartment do: two clients on one
server connection. A transaction pooler lends it with the path that the other has left there, and the row of one tenant
is written to the other's table. Here the path is the session's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.pgbouncer import pooled
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.schemas import REFERENCE, provisioned, schema_rules

ONE = "quotas: {server_connections: 1}\n"
WIDE = """
CREATE ROLE app_wide LOGIN;
CREATE SCHEMA first; CREATE SCHEMA second;
CREATE TABLE first.notes (body text); CREATE TABLE second.notes (body text);
GRANT USAGE ON SCHEMA first, second TO app_wide;
GRANT SELECT, INSERT ON first.notes, second.notes TO app_wide;
"""
Connect = Callable[[], RawClient]


@pytest.fixture
def wide(server: Cluster) -> Iterator[str]:
    """A database of two tenants' schemas and one role for both, as these libraries have it."""
    server.create_database("paths")
    server.psql("paths", WIDE)
    yield "paths"
    server.drop_database("paths")
    server.psql(sql="DROP ROLE app_wide")


def test_a_transaction_pooler_writes_the_row_of_one_tenant_to_the_others_table(
    server: Cluster, wide: str, tmp_path: Path
) -> None:
    with (
        pooled(tmp_path, server.port, wide, "app_wide") as port,
        RawClient("127.0.0.1", port, "app_wide", wide) as one,
        RawClient("127.0.0.1", port, "app_wide", wide) as other,
    ):
        assert one.simple("SET search_path = first").tags == ["SET"]
        assert other.simple("SET search_path = second").tags == ["SET"]
        assert one.simple("INSERT INTO notes VALUES ('of the first')").tags == ["INSERT 0 1"]
    assert server.psql(wide, "SELECT body FROM second.notes").strip() == "of the first"


@pytest.fixture
def bare(server: Cluster) -> Iterator[str]:
    """A database of two tenants' schemas without any function, so that no session must keep its connection."""
    server.create_database("bare")
    server.psql("bare", REFERENCE)
    provisioned(server, "bare", ("acme", "globex"))
    for schema in ("acme", "globex"):
        server.psql("bare", f"SET ROLE {schema}_rw; CREATE TABLE {schema}.notes AS SELECT '{schema}'::text AS body")
    yield "bare"
    server.drop_database("bare")


def own_paths(one: RawClient, other: RawClient) -> None:
    """Each session says which path it wants, and keeps it whatever the other says."""
    assert one.simple("SET search_path = reference").tags == ["SET"]
    assert other.simple("SET search_path = nowhere, acme").tags == ["SET"]
    for _ in range(3):
        assert one.simple("SELECT current_schema()").rows == [(b"reference",)]
        assert one.simple("SELECT count(*) FROM countries").rows == [(b"2",)]
        assert one.simple("SELECT count(*) FROM notes").errors[0]["C"] == "42P01"
        assert other.simple("SELECT current_schema()").rows == [(b"acme",)]
        assert other.simple("SELECT body FROM notes").rows == [(b"acme",)]
        assert other.simple("SELECT count(*) FROM countries").errors[0]["C"] == "42P01"
    one.simple("RESET search_path")
    assert one.simple("SELECT current_schemas(false)").rows == [(b"{acme,reference}",)]
    assert other.simple("SELECT current_schemas(false)").rows == [(b"{acme}",)]


def test_each_session_has_its_own_path_on_one_server_connection(server: Cluster, bare: str) -> None:
    rules = schema_rules(server.port, bare, tenants=("acme", "globex")).replace("logins:\n", ONE + "logins:\n")
    with running_proxy(server.port, rules=rules) as proxy:
        with proxy.connect("acme_app") as one, proxy.connect("acme_app") as other:
            own_paths(one, other)
        with proxy.connect("acme_app") as one, proxy.connect("globex_app") as other:
            one.simple("SET search_path = globex")
            assert one.simple("INSERT INTO notes VALUES ('of acme')").errors[0]["C"] == "42P01"
            assert other.simple("INSERT INTO notes VALUES ('of globex')").tags == ["INSERT 0 1"]
            assert other.simple("SHOW search_path").rows == [(b"globex, reference",)]
            one.simple("RESET search_path")
            assert one.simple("SELECT body FROM notes").rows == [(b"acme",)]
            assert other.simple("SELECT body FROM notes").rows == [(b"globex",), (b"of globex",)]


def test_a_path_goes_back_with_its_transaction_and_is_a_startup_parameter_too(server: Cluster, bare: str) -> None:
    rules = schema_rules(server.port, bare, tenants=("acme", "globex"))
    with (
        running_proxy(server.port, rules=rules) as proxy,
        proxy.connect("acme_app", options="-c search_path=reference") as client,
    ):
        assert client.simple("SELECT count(*) FROM countries").rows == [(b"2",)]
        client.simple("BEGIN")
        client.simple("SET search_path = acme")
        assert client.simple("SELECT body FROM notes").rows == [(b"acme",)]
        client.simple("ROLLBACK")
        assert client.simple("SELECT body FROM notes").errors[0]["C"] == "42P01"
        assert client.simple("SELECT count(*) FROM countries").rows == [(b"2",)]
