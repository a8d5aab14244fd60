"""The facts that must hold before serving, on real roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from proxy.catalog import facts
from proxy.catalog.connect import connect
from proxy.catalog.facts import check_facts, role_facts
from proxy.catalog.finding import Finding
from proxy.tenancy.policy import Credentials, Server
from tests.kit.attacks import Outcome, tried, works
from tests.kit.postgres import SUPERUSER, Cluster

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


@dataclass(frozen=True)
class Case:
    """A fault, the finding, and what its statement gives before and after its remedy. blanks: what is planted."""

    change: str
    name: str
    severity: str = "critical"
    before: Outcome | None = None  # None: it works
    after: Outcome = "42501"
    blanks: dict[str, str] = field(default_factory=dict)
    stays: str = ""  # what takes away what the attack leaves behind


CASES = [
    Case(f"ALTER ROLE {ROLE} SUPERUSER", "role.superuser"),
    Case(
        "CREATE TABLE secret (a int); ALTER TABLE secret ENABLE ROW LEVEL SECURITY; INSERT INTO secret VALUES (7);"
        f"GRANT SELECT ON secret TO {ROLE}; ALTER ROLE {ROLE} BYPASSRLS",
        "role.bypassrls",
        before=[(7,)],
        after=[],
        blanks={"a_table": "secret"},
    ),
    Case(f"ALTER ROLE {ROLE} CREATEROLE", "role.createrole"),
    Case(f"ALTER ROLE {ROLE} CREATEDB", "role.createdb", stays="DROP DATABASE another"),
    Case(f"ALTER ROLE {ROLE} REPLICATION", "role.replication", stays="SELECT pg_drop_replication_slot('another')"),
    Case(f"CREATE TABLE mine (); ALTER TABLE mine OWNER TO {ROLE}", "role.owner"),
    Case(f"CREATE FUNCTION mine() RETURNS int RETURN 1; ALTER FUNCTION mine() OWNER TO {ROLE}", "role.owner"),
    Case(f"CREATE SCHEMA mine AUTHORIZATION {ROLE}", "role.owner"),
    Case(f"GRANT CREATE ON SCHEMA public TO {ROLE}", "schema.create"),
    Case("GRANT CREATE ON SCHEMA public TO PUBLIC", "schema.create"),
    Case(f"GRANT CREATE ON DATABASE %DATABASE% TO {ROLE}", "database.create"),
    Case(
        f"GRANT TEMPORARY ON DATABASE %DATABASE% TO {ROLE}",
        "database.temporary",
        "warning",
        blanks={"a_table": "orders"},
    ),
    Case(
        f"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {ROLE}",
        "role.function",
        "warning",
        blanks={"(…)": "('PG_VERSION')"},
    ),
    Case(f"CREATE FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN DATA WRAPPER w TO {ROLE}", "role.foreign", "warning"),
    Case(f"GRANT pg_read_all_data TO {ROLE}", "role.member"),
    Case(f"CREATE ROLE facts_group; GRANT app_owner TO facts_group; GRANT facts_group TO {ROLE}", "role.member"),
    Case(f"CREATE ROLE facts_group CREATEDB; GRANT facts_group TO {ROLE}", "role.member"),
    Case(f"CREATE ROLE facts_group; GRANT facts_group TO {ROLE}", "role.member", "warning"),
    Case(f"ALTER ROLE {ROLE} SET row_security = off", "role.setting", before=[("off",)], after=[("on",)]),
    Case(
        f"ALTER ROLE {ROLE} IN DATABASE %DATABASE% SET transform_null_equals = on",
        "role.setting",
        "warning",
        [("on",)],
        [("off",)],
    ),
    Case("ALTER DATABASE %DATABASE% SET bytea_output = 'escape'", "role.setting", "warning", [("escape",)], [("hex",)]),
    Case(
        f"CREATE ROLE facts_group; GRANT facts_group TO {ROLE}; ALTER ROLE {ROLE} SET role = facts_group;"
        "GRANT CONNECT ON DATABASE %DATABASE% TO PUBLIC",
        "role.other",
        before=[("facts_group",)],
        after=[(ROLE,)],
    ),
    Case(
        "CREATE SCHEMA partywall; CREATE TABLE partywall.tenants (); GRANT USAGE ON SCHEMA partywall TO PUBLIC;"
        "GRANT SELECT ON partywall.tenants TO PUBLIC",
        "rules.reach",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {case.change}"[:70])
async def test_each_power_is_found_and_what_it_allows_is_possible_until_the_remedy_is_run(
    shared_server: Cluster, role: Server, case: Case
) -> None:
    assert [one.name for one in await found(role)] == []
    database = role.database
    shared_server.psql(database, case.change.replace("%DATABASE%", f'"{database}"'))
    findings = [one for one in await found(role) if one.name == case.name]
    assert case.severity in {one.severity for one in findings}
    shown = next(one for one in findings if one.severity == case.severity)

    def attempt() -> Outcome:
        return tried(shared_server, database, ROLE, shown.attack, case.blanks, stays=bool(case.stays))

    before = attempt()
    assert works(before) if case.before is None else before == case.before
    if case.stays:
        shared_server.psql(database, case.stays)
    for one in findings:
        remedy = one.remedy.replace("some_owner", "postgres")
        shared_server.psql(database, remedy)
    assert attempt() == case.after
    assert [one for one in await found(role) if one.name == case.name] == []


async def test_another_encoding_is_found_and_its_bytes_mean_something_else(server: Cluster) -> None:
    server.psql(sql="CREATE DATABASE old ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    role = Server("127.0.0.1", server.port, "old", SUPERUSER)
    try:
        (shown,) = [one for one in await found(role) if one.name == "database.encoding"]
        assert works(tried(server, "old", SUPERUSER, shown.attack, {}))
        server.psql(sql=shown.remedy)
        assert tried(server, "old_utf8", SUPERUSER, shown.attack, {}) == "22021"
        assert "database.encoding" not in {one.name for one in await found(replace(role, database="old_utf8"))}
    finally:
        server.psql(sql="DROP DATABASE old")
        server.psql(sql="DROP DATABASE IF EXISTS old_utf8")


async def test_another_version_is_found(server: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "NEWEST", 14)
    (shown,) = [
        one
        for one in await found(Server("127.0.0.1", server.port, "postgres", SUPERUSER))
        if one.name == "server.version"
    ]
    assert (shown.severity, f"PostgreSQL {server.major} is not supported" in shown.text) == ("critical", True)


async def test_many_roles_are_asked_about_at_once_and_each_gets_what_it_would_alone(
    shared_server: Cluster, role: Server
) -> None:
    shared_server.psql(
        role.database,
        f"ALTER ROLE {ROLE} CREATEDB; CREATE ROLE facts_group; GRANT facts_group TO {ROLE};"
        f"ALTER ROLE {ROLE} SET row_security = off; ALTER DATABASE \"{role.database}\" SET bytea_output = 'escape'",
    )
    connection = await connect(role, Credentials(tls="disable"))
    try:
        several = await role_facts(connection, {"app": "", ROLE: "", "nobody": ""}, "shared")
    finally:
        await connection.close()
    assert [one.name for one in several["nobody"]] == ["role.unknown"]
    assert several[ROLE] == await found(role)
    assert [one.name for one in several[ROLE]] == ["role.createdb", "role.setting", "role.member", "role.setting"]
    assert {one.name for one in several["app"]} == {"role.setting"}


async def test_harmless_settings_are_not_mentioned(shared_server: Cluster, role: Server) -> None:
    shared_server.psql(
        role.database,
        f"ALTER ROLE {ROLE} SET statement_timeout = '60s';ALTER ROLE {ROLE} SET search_path = public",
    )
    assert await found(role) == ()
