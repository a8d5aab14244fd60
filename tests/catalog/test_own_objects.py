"""What others have of a tenant's schema works for them until the remedy is run; provision mends it, too."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from proxy.catalog.connect import connect
from proxy.catalog.finding import Finding
from proxy.catalog.own_objects import connect_findings, object_findings
from proxy.tenancy.policy import Credentials, Server
from tests.kit.attacks import tried, works
from tests.kit.postgres import Cluster
from tests.kit.schemas import REFERENCE, provisioned

DATABASE = "objects_db"
TENANTS = ("acme", "globex")
ROLES = {"acme_rw": "acme", "globex_rw": "globex"}
TABLE = "CREATE TABLE acme.t (a int); INSERT INTO acme.t VALUES (7); ALTER TABLE acme.t OWNER TO acme_rw;"
THEIRS = TABLE.replace("acme", "globex")


@pytest.fixture
def database(server: Cluster) -> Iterator[str]:
    server.create_database(DATABASE)
    server.psql(DATABASE, REFERENCE)
    provisioned(server, DATABASE, TENANTS)
    yield DATABASE
    server.drop_database(DATABASE)


async def found(server: Cluster) -> list[tuple[str, Finding]]:
    connection = await connect(Server("127.0.0.1", server.port, DATABASE, "acme_rw"), Credentials(tls="disable"))
    try:
        return await object_findings(connection, ROLES, ["reference"])
    finally:
        await connection.close()


async def test_what_provision_makes_is_nobody_elses(server: Cluster, database: str) -> None:
    server.psql(
        database,
        "SET ROLE acme_rw; CREATE TABLE acme.t (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY);"
        "CREATE VIEW acme.v AS SELECT 1 AS a; CREATE FUNCTION acme.f() RETURNS int RETURN 1;"
        "CREATE TYPE acme.c AS (a int);"
        "CREATE DOMAIN acme.d AS int; CREATE TYPE acme.e AS ENUM ('a')",
    )
    assert await found(server) == []


@pytest.mark.parametrize(
    ("change", "name", "severity", "attacker", "blanks"),
    [
        (f"{TABLE} GRANT USAGE ON SCHEMA acme TO PUBLIC", "schema.acme", "critical", "globex_rw", {"a_table": "t"}),
        (f"{TABLE} GRANT USAGE ON SCHEMA acme TO globex_rw", "schema.acme", "warning", "globex_rw", {"a_table": "t"}),
        (f"{THEIRS} CREATE VIEW acme.v AS SELECT * FROM globex.t", "view.acme.v", "critical", "acme_rw", {}),
        (f"{THEIRS} CREATE MATERIALIZED VIEW acme.v AS TABLE globex.t", "view.acme.v", "critical", "acme_rw", {}),
        (f"{TABLE} GRANT SELECT (a) ON acme.t TO globex_rw", "grants.acme.t", "warning", "globex_rw", {}),
        (f"{TABLE} GRANT SELECT ON acme.t TO PUBLIC", "grants.acme.t", "warning", "globex_rw", {}),
    ],
)
async def test_others_get_at_it_until_the_remedy_is_run(
    server: Cluster, database: str, change: str, name: str, severity: str, attacker: str, blanks: dict[str, str]
) -> None:
    if name.startswith(("view.", "grants.")):  # to be told alone, what the attacker needs besides is taken for given
        change += "; GRANT SELECT ON ALL TABLES IN SCHEMA acme TO acme_rw; GRANT USAGE ON SCHEMA acme TO globex_rw"
    server.psql(database, change)
    ((role, shown),) = [one for one in await found(server) if one[1].name == name]
    assert (role, shown.severity) == ("acme_rw", severity)
    assert works(tried(server, database, attacker, shown.attack, blanks))
    server.psql(database, shown.remedy)
    after = "55000" if "MATERIALIZED" in change else "42501"  # it has no rows until its owner may read them
    assert tried(server, database, attacker, shown.attack, blanks) == after
    assert [one for one in await found(server) if one[1].name == name] == []


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE acme.t (id serial)",
        "CREATE VIEW acme.v WITH (security_invoker) AS SELECT 1 AS a",
        "CREATE SEQUENCE acme.s",
        "CREATE FUNCTION acme.f(int) RETURNS int RETURN 1",
        "CREATE PROCEDURE acme.p() LANGUAGE sql AS ''",
        "CREATE TYPE acme.e AS ENUM ('a')",
        "CREATE DOMAIN acme.d AS int",
    ],
)
@pytest.mark.parametrize("how", ["remedy", "provision"])
async def test_what_a_tenant_cannot_change_in_its_schema_becomes_its_own(
    server: Cluster, database: str, change: str, how: str
) -> None:
    server.psql(database, change)
    ((role, shown),) = await found(server)
    assert (role, shown.name, shown.severity) == ("acme_rw", "objects.acme", "warning")
    assert tried(server, database, "acme_rw", shown.attack, {}) == "42501"
    if how == "remedy":
        server.psql(database, shown.remedy)
    else:
        provisioned(server, database, TENANTS)
    assert works(tried(server, database, "acme_rw", shown.attack, {}))
    assert await found(server) == []


@pytest.mark.parametrize(
    ("of", "what", "to", "made", "name"),
    [
        ("IN SCHEMA acme", "SELECT ON TABLES", "globex_rw", "acme.", "defaults.acme"),
        ("IN SCHEMA reference", "DELETE ON TABLES", "acme_rw", "reference.", "defaults.reference"),
        ("IN SCHEMA reference", "DELETE ON TABLES", "PUBLIC", "reference.", "defaults.reference"),
        ("", "SELECT ON TABLES", "PUBLIC", "acme.", "defaults.*"),
    ],
)
async def test_what_is_made_next_is_others_until_the_remedy_is_run(
    server: Cluster, database: str, of: str, what: str, to: str, made: str, name: str
) -> None:
    server.psql(
        database, f"ALTER DEFAULT PRIVILEGES {of} GRANT {what} TO {to}; GRANT USAGE ON SCHEMA acme TO globex_rw"
    )
    shown = next(one for _, one in await found(server) if one.name == name)
    attacker = "acme_rw" if made == "reference." else "globex_rw"
    blanks = {"a_table": "{}" if of else f"{made}{{}}"}

    def attempt(table: str) -> object:
        server.psql(database, f"CREATE TABLE {made}{table} ()")
        return tried(server, database, attacker, shown.attack, {"a_table": blanks["a_table"].format(table)})

    assert attempt("one") == []
    server.psql(database, shown.remedy)
    assert attempt("two") == "42501"
    assert [one for _, one in await found(server) if one.name == name] == []


async def test_every_role_of_the_server_gets_in_until_the_remedy_is_run(server: Cluster, database: str) -> None:
    server.psql(
        database,
        f"GRANT CONNECT ON DATABASE {database} TO PUBLIC; REVOKE CONNECT ON DATABASE {database} FROM globex_rw",
    )
    connection = await connect(Server("127.0.0.1", server.port, database, "acme_rw"), Credentials(tls="disable"))
    try:
        ((role, shown),) = await connect_findings(connection, ["acme_rw"], "warning")
        assert (role, shown.name) == ("acme_rw", "database.connect")
        assert works(tried(server, database, "globex_rw", shown.attack, {}))
        server.psql(database, shown.remedy)
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            tried(server, database, "globex_rw", shown.attack, {})
        assert await connect_findings(connection, ["acme_rw"], "warning") == []
    finally:
        await connection.close()
