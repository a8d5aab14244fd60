"""The role of a tenant with a database of its own may own what is there, and must reach nothing else; on real roles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.facts import check_facts
from proxy.catalog.finding import Finding
from proxy.tenancy.policy import Credentials, Server
from tests.kit.attacks import tried, works
from tests.kit.owned import owned_nothing
from tests.kit.postgres import Cluster

ROLE = "own_facts"


@pytest.fixture
def role(server: Cluster) -> Iterator[Server]:
    with owned_nothing(server, ROLE) as database:
        yield Server("127.0.0.1", server.port, database, ROLE)
        server.psql(sql="DROP DATABASE IF EXISTS own_facts_other")
    server.psql(sql="DROP ROLE IF EXISTS own_facts_group")


async def found(server: Server) -> tuple[Finding, ...]:
    connection = await connect(server, Credentials(tls="disable"))
    try:
        return tuple([one for one in await check_facts(connection, server, own=True) if one.severity == "critical"])
    finally:
        await connection.close()


async def test_who_owns_its_database_and_what_is_there_may_serve(server: Cluster, role: Server) -> None:
    server.psql(ROLE, f"SET ROLE {ROLE}; CREATE TABLE mine (); CREATE FUNCTION f() RETURNS int RETURN 1")
    server.psql(ROLE, f"ALTER DATABASE {ROLE} SET row_security = off")
    assert await found(role) == ()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (f"ALTER ROLE {ROLE} SUPERUSER", "role.superuser"),
        (f"ALTER ROLE {ROLE} CREATEDB", "role.createdb"),
        (f"ALTER ROLE {ROLE} REPLICATION", "role.replication"),
        (f"GRANT pg_execute_server_program TO {ROLE}", "role.member"),
        (f"CREATE ROLE own_facts_group CREATEROLE; GRANT own_facts_group TO {ROLE}", "role.member"),
        (f"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {ROLE}", "role.function"),
        (f"CREATE FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN DATA WRAPPER w TO {ROLE}", "role.foreign"),
        ("CREATE DATABASE own_facts_other", "role.databases"),
    ],
)
async def test_each_way_out_of_the_database_is_found(server: Cluster, role: Server, change: str, name: str) -> None:
    server.psql(ROLE, change.replace("%ROLE%", ROLE))
    if name == "role.databases":
        server.psql(sql=f"ALTER DATABASE own_facts_other OWNER TO {ROLE}")
    assert (name, "critical") in [(one.name, one.severity) for one in await found(role)]


@pytest.mark.parametrize(
    ("change", "name", "blanks"),
    [
        (f"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {ROLE}", "role.function", {"(…)": "('PG_VERSION')"}),
        (f"CREATE FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN DATA WRAPPER w TO {ROLE}", "role.foreign", {}),
        (
            "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
            f"GRANT USAGE ON FOREIGN SERVER s TO {ROLE}",
            "role.foreign",
            {},
        ),
        ("CREATE DATABASE own_facts_other", "role.databases", {}),
    ],
)
async def test_the_way_out_is_open_until_the_remedy_is_run(
    server: Cluster, role: Server, change: str, name: str, blanks: dict[str, str]
) -> None:
    server.psql(ROLE, change)
    if name == "role.databases":
        server.psql(sql=f"ALTER DATABASE own_facts_other OWNER TO {ROLE}")
    (shown,) = await found(role)
    assert shown.name == name
    assert works(tried(server, ROLE, ROLE, shown.attack, blanks))
    server.psql(ROLE, shown.remedy.replace("some_owner", "postgres"))
    assert tried(server, ROLE, ROLE, shown.attack, blanks) == "42501"
    assert await found(role) == ()
