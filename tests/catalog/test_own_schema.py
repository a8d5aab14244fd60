"""The role of a tenant with a schema of its own may own what is there and reads what is shared; on real roles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.facts import check_facts
from proxy.catalog.finding import Finding
from proxy.tenancy.policy import Credentials, Server
from tests.kit.attacks import tried, works
from tests.kit.postgres import Cluster
from tests.kit.schemas import REFERENCE, provisioned

DATABASE = "schema_facts_db"


@pytest.fixture
def role(server: Cluster) -> Iterator[Server]:
    server.create_database(DATABASE)
    server.psql(DATABASE, REFERENCE)
    provisioned(server, DATABASE, ("acme", "globex"))
    yield Server("127.0.0.1", server.port, DATABASE, "acme_rw")
    server.psql(DATABASE, "ALTER ROLE acme_rw NOCREATEDB NOBYPASSRLS; REVOKE pg_read_all_data FROM acme_rw")
    server.drop_database(DATABASE)


async def found(server: Server) -> tuple[Finding, ...]:
    connection = await connect(server, Credentials(tls="disable"))
    try:
        return await check_facts(connection, server, schemas=("acme", "reference"))
    finally:
        await connection.close()


async def test_what_provision_makes_may_serve_whatever_the_role_makes_there(server: Cluster, role: Server) -> None:
    assert await found(role) == ()
    server.psql(DATABASE, "SET ROLE acme_rw; CREATE TABLE acme.t (); CREATE FUNCTION acme.f() RETURNS int RETURN 1")
    assert await found(role) == ()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("DROP SCHEMA acme", "schema.own"),
        ("REVOKE USAGE ON SCHEMA acme FROM acme_rw", "schema.own"),
        ("GRANT USAGE ON SCHEMA globex TO acme_rw", "schema.reach"),
        ("GRANT USAGE ON SCHEMA public TO PUBLIC", "schema.reach"),
        ("GRANT CREATE ON SCHEMA reference TO acme_rw", "schema.reach"),
        ("ALTER SCHEMA globex OWNER TO acme_rw", "schema.reach"),
        ("CREATE TABLE globex.t (); ALTER TABLE globex.t OWNER TO acme_rw", "role.owner"),
        ("GRANT INSERT ON reference.countries TO acme_rw", "schema.write"),
        ("GRANT UPDATE (name) ON reference.countries TO acme_rw", "schema.write"),
        ("GRANT REFERENCES ON reference.countries TO acme_rw", "schema.write"),
        ("CREATE FUNCTION reference.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "function.definer"),
        ("GRANT CREATE ON DATABASE schema_facts_db TO acme_rw", "database.create"),
        ("ALTER ROLE acme_rw CREATEDB", "role.createdb"),
        ("ALTER ROLE acme_rw BYPASSRLS", "role.bypassrls"),
        ("GRANT pg_read_all_data TO acme_rw", "role.member"),
        ("GRANT EXECUTE ON FUNCTION pg_read_file(text) TO acme_rw", "role.function"),
    ],
)
async def test_each_way_out_of_the_schema_is_found(server: Cluster, role: Server, change: str, name: str) -> None:
    server.psql(DATABASE, change)
    assert name in {one.name for one in await found(role) if one.severity == "critical"}


ROW = {"SELECT * FROM": "SELECT 'se', 'Sweden' --"}
DEFINER = "CREATE FUNCTION {}.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"


@pytest.mark.parametrize(
    ("change", "name", "blanks"),
    [
        ("GRANT USAGE ON SCHEMA globex TO acme_rw", "schema.reach", {"a_table": "t"}),
        ("GRANT USAGE ON SCHEMA public TO PUBLIC", "schema.reach", {"a_table": "t"}),
        ("GRANT CREATE ON SCHEMA reference TO acme_rw", "schema.reach", {}),
        ("CREATE SEQUENCE reference.s; ALTER SEQUENCE reference.s OWNER TO acme_rw", "role.owner", {}),
        ("GRANT INSERT ON reference.countries TO acme_rw", "schema.write", ROW),
        ("GRANT UPDATE (name) ON reference.countries TO PUBLIC", "schema.write", {"…": "name = ''"}),
        ("GRANT DELETE ON reference.countries TO acme_rw", "schema.write", {}),
        ("GRANT TRUNCATE ON reference.countries TO acme_rw", "schema.write", {}),
        ("GRANT TRIGGER ON reference.countries TO acme_rw", "schema.write", {}),
        (
            "GRANT REFERENCES ON reference.countries TO acme_rw",
            "schema.write",
            {"…": "text", "TABLE another": "TABLE acme.another"},
        ),
        ("CREATE SEQUENCE reference.s; GRANT USAGE ON SEQUENCE reference.s TO acme_rw", "schema.write", {}),
        (DEFINER.format("reference"), "function.definer", {"…": ""}),
        (DEFINER.format("acme"), "function.definer", {"…": ""}),
    ],
)
async def test_the_way_out_is_open_until_the_remedy_is_run(
    server: Cluster, role: Server, change: str, name: str, blanks: dict[str, str]
) -> None:
    server.psql(DATABASE, change)
    findings = await found(role)
    (shown,) = [one for one in findings if one.name == name]
    assert works(tried(server, DATABASE, "acme_rw", shown.attack, blanks))
    for one in findings:
        server.psql(DATABASE, one.remedy.replace("some_owner", "postgres"))
    assert tried(server, DATABASE, "acme_rw", shown.attack, blanks) == "42501"
    assert await found(role) == ()
    provisioned(server, DATABASE, ("acme", "globex"))
    assert await found(role) == ()  # what the remedy says and what provision makes are one


@pytest.mark.parametrize("change", ["DROP SCHEMA acme", "REVOKE USAGE ON SCHEMA acme FROM acme_rw"])
async def test_without_its_schema_the_tenants_names_are_somebody_elses(
    server: Cluster, role: Server, change: str
) -> None:
    server.psql(DATABASE, "CREATE TABLE acme.t (); ALTER TABLE acme.t OWNER TO acme_rw")
    server.psql(DATABASE, change + (" CASCADE" if "DROP" in change else ""))
    (shown,) = await found(role)
    assert (shown.name, "provision" in shown.remedy) == ("schema.own", True)
    assert tried(server, DATABASE, "acme_rw", shown.attack, {"a_table": "t"}) in {"42P01", "42501"}
    provisioned(server, DATABASE, ("acme", "globex"))
    assert await found(role) == ()


async def test_a_privilege_of_newer_servers_lets_everybody_wait(postgres18: Cluster) -> None:
    postgres18.create_database(DATABASE)
    try:
        postgres18.psql(DATABASE, REFERENCE)
        provisioned(postgres18, DATABASE, ("acme",))
        postgres18.psql(DATABASE, "GRANT MAINTAIN ON reference.countries TO acme_rw")
        role = Server("127.0.0.1", postgres18.port, DATABASE, "acme_rw")
        (shown,) = await found(role)
        assert works(tried(postgres18, DATABASE, "acme_rw", shown.attack, {}))
        postgres18.psql(DATABASE, shown.remedy)
        assert tried(postgres18, DATABASE, "acme_rw", shown.attack, {}) == "42501"
        assert await found(role) == ()
    finally:
        postgres18.drop_database(DATABASE)


KEY = "CREATE TABLE acme.k (c {}, CONSTRAINT k FOREIGN KEY (c) REFERENCES reference.{})"


async def test_a_key_to_a_shared_table_lets_a_tenants_code_in(server: Cluster, role: Server) -> None:
    server.psql(DATABASE, "CREATE DOMAIN acme.d AS text;" + KEY.format("acme.d", "countries"))
    assert [(one.name, one.severity) for one in await found(role)] == (
        [("schema.key", "warning")] if server.major < 18 else []
    )
    server.psql(DATABASE, "DROP TABLE acme.k; CREATE TABLE reference.n (id int PRIMARY KEY);")
    server.psql(DATABASE, "GRANT SELECT ON reference.n TO acme_rw; CREATE TYPE acme.e AS ENUM ('a');")
    server.psql(DATABASE, "CREATE FUNCTION acme.f(acme.e) RETURNS int RETURN 1")
    server.psql(DATABASE, "CREATE CAST (acme.e AS int) WITH FUNCTION acme.f AS IMPLICIT;" + KEY.format("acme.e", "n"))
    (shown,) = await found(role)
    assert (shown.name, shown.severity) == ("schema.key", "critical")
    server.psql(DATABASE, shown.remedy)
    assert await found(role) == ()
