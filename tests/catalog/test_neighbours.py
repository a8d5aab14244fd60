"""What a tenant with a database of its own could make others do, and what it hears of other databases: found, shown by
the statement, and gone when the remedy was run; on real roles.
"""

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

ROLE = "neighbour_facts"


@pytest.fixture
def role(server: Cluster) -> Iterator[Server]:
    with owned_nothing(server, ROLE) as database:
        yield Server("127.0.0.1", server.port, database, ROLE)


async def found(server: Server) -> dict[str, Finding]:
    connection = await connect(server, Credentials(tls="disable"))
    try:
        return {one.name: one for one in await check_facts(connection, server, own=True)}
    finally:
        await connection.close()


async def test_a_function_that_acts_as_a_superuser_runs_what_the_tenant_puts_in_its_way(
    server: Cluster, role: Server
) -> None:
    server.psql(
        ROLE,
        f"CREATE TABLE log (what text); ALTER TABLE log OWNER TO {ROLE};"
        "CREATE FUNCTION note() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public"
        " AS $$INSERT INTO public.log VALUES ('noted')$$",
    )
    shown = (await found(role))["function.definer"]
    assert shown.severity == "critical"
    server.psql(
        ROLE,
        f"SET ROLE {ROLE}; CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN EXECUTE 'ALTER ROLE neighbour_facts CREATEDB'; RETURN NEW; END$$;"
        "CREATE TRIGGER mine BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION mine()",
        user="postgres",
    )
    assert works(tried(server, ROLE, ROLE, shown.attack, {"(…)": "()"}))
    server.psql(ROLE, shown.remedy)
    assert tried(server, ROLE, ROLE, shown.attack, {"(…)": "()"}) == "42501"
    assert "function.definer" not in await found(role)


@pytest.mark.parametrize(
    ("privilege", "value"),
    [("SET ON PARAMETER session_preload_libraries", "''"), ("ALTER SYSTEM ON PARAMETER work_mem", "'5MB'")],
)
async def test_a_setting_of_the_servers_that_the_role_may_change_is_found(
    server: Cluster, role: Server, privilege: str, value: str
) -> None:
    if server.major < 15:  # such a privilege does not exist
        assert "role.parameter" not in await found(role)
        return
    server.psql(ROLE, f"GRANT {privilege} TO {ROLE}")
    shown = (await found(role))["role.parameter"]
    assert shown.severity == "critical"
    alters = shown.attack.startswith("ALTER SYSTEM")
    assert works(tried(server, ROLE, ROLE, shown.attack, {"…": value}, stays=alters))
    server.psql(ROLE, shown.remedy)
    assert tried(server, ROLE, ROLE, shown.attack, {"…": value}, stays=alters) == "42501"
    if alters:
        server.psql(sql="ALTER SYSTEM RESET work_mem")
    assert "role.parameter" not in await found(role)


async def test_other_databases_are_told_of_where_the_role_can_hear_or_enter_them(server: Cluster, role: Server) -> None:
    server.create_database("neighbour_facts_other")
    try:
        shown = await found(role)
        assert {shown[name].severity for name in ("role.connect", "server.neighbours")} == {"warning"}
        assert works(tried(server, ROLE, ROLE, shown["server.neighbours"].attack, {}))
        assert works(tried(server, "neighbour_facts_other", ROLE, "SELECT 1", {}))
        server.psql(ROLE, shown["server.neighbours"].remedy)
        remedy = 'REVOKE CONNECT ON DATABASE "neighbour_facts_other"'
        assert remedy in shown["role.connect"].remedy
        server.psql(sql=f"{remedy} FROM PUBLIC")
        assert tried(server, ROLE, ROLE, shown["server.neighbours"].attack, {}) == "42501"
        left = await found(role)
        assert "server.neighbours" not in left
        assert all("neighbour_facts_other" not in one.remedy for one in left.values())
    finally:
        server.drop_database("neighbour_facts_other")
