"""The facts that must hold before serving, on real roles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.facts import check_facts
from proxy.catalog.finding import Finding
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import Cluster, PostgresError

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

ROLE = "facts_role"


@pytest.fixture
def role(shared_server: Cluster, pristine_shared: str) -> Iterator[Server]:
    shared_server.psql(sql=f"CREATE ROLE {ROLE} LOGIN")
    name = f'"{pristine_shared}"'
    shared_server.psql(sql=f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {ROLE}")
    yield Server("127.0.0.1", shared_server.port, pristine_shared, ROLE)
    shared_server.psql(pristine_shared, f"REASSIGN OWNED BY {ROLE} TO postgres; DROP OWNED BY {ROLE}")
    shared_server.psql(sql=f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}; DROP ROLE IF EXISTS facts_group")


async def found(server: Server) -> tuple[Finding, ...]:
    connection = await connect(server, Credentials(tls="disable"))
    try:
        return await check_facts(connection, server)
    finally:
        await connection.close()


async def test_the_sample_sets_role_may_only_make_temporary_objects(
    shared_server: Cluster, connection: CatalogConnection
) -> None:
    findings = await check_facts(connection, Server("127.0.0.1", shared_server.port, "shared", "app"))
    assert [(one.name, one.severity) for one in findings] == [("database.temporary", "warning")]
    shared_server_database = findings[0].remedy
    assert shared_server_database == 'REVOKE TEMPORARY ON DATABASE "shared" FROM PUBLIC, "app";'


async def test_a_superuser_is_critical(shared_server: Cluster) -> None:
    findings = await found(Server("127.0.0.1", shared_server.port, "shared", "postgres"))
    assert {"role.superuser", "role.bypassrls", "role.createrole", "role.owner"} <= {
        one.name for one in findings if one.severity == "critical"
    }


@pytest.mark.parametrize(
    ("change", "name", "severity"),
    [
        (f"ALTER ROLE {ROLE} BYPASSRLS", "role.bypassrls", "critical"),
        (f"ALTER ROLE {ROLE} CREATEROLE", "role.createrole", "critical"),
        (f"ALTER ROLE {ROLE} CREATEDB", "role.createdb", "critical"),
        (f"ALTER ROLE {ROLE} REPLICATION", "role.replication", "critical"),
        (f"CREATE TABLE mine (); ALTER TABLE mine OWNER TO {ROLE}", "role.owner", "critical"),
        (f"CREATE SCHEMA mine AUTHORIZATION {ROLE}", "schema.create", "critical"),
        (f"GRANT CREATE ON SCHEMA public TO {ROLE}", "schema.create", "critical"),
        (f"GRANT CREATE ON DATABASE %DATABASE% TO {ROLE}", "database.create", "critical"),
        (f"GRANT pg_read_all_data TO {ROLE}", "role.member", "critical"),
        (
            f"CREATE ROLE facts_group; GRANT app_owner TO facts_group; GRANT facts_group TO {ROLE}",
            "role.member",
            "critical",
        ),
        (f"CREATE ROLE facts_group; GRANT facts_group TO {ROLE}", "role.member", "warning"),
        (f"ALTER ROLE {ROLE} SET row_security = off", "role.setting", "critical"),
        (f"ALTER ROLE {ROLE} IN DATABASE %DATABASE% SET transform_null_equals = on", "role.setting", "warning"),
        ("ALTER DATABASE %DATABASE% SET bytea_output = 'escape'", "role.setting", "warning"),
    ],
)
async def test_each_power_is_found_and_its_remedy_works(
    shared_server: Cluster, role: Server, change: str, name: str, severity: str
) -> None:
    assert [one.name for one in await found(role)] == []
    shared_server.psql(role.database, change.replace("%DATABASE%", f'"{role.database}"'))
    findings = [one for one in await found(role) if one.name == name]
    assert severity in {one.severity for one in findings}
    if name in {"role.owner", "schema.create"} and "mine" in change:
        return  # an owner's remedy is for people: it names a role that they choose
    for one in findings:
        try:
            shared_server.psql(role.database, one.remedy)
        except PostgresError as error:  # pragma: no cover - the message of a failing test
            raise AssertionError(f"{one.remedy} does not run") from error
    assert not [one for one in await found(role) if one.name == name and one.severity == severity and one in findings]


async def test_harmless_settings_are_not_mentioned(shared_server: Cluster, role: Server) -> None:
    shared_server.psql(
        role.database,
        f"ALTER ROLE {ROLE} SET statement_timeout = '60s';ALTER ROLE {ROLE} SET search_path = public",
    )
    assert await found(role) == ()
