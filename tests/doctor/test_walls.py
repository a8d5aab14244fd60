"""The policies that provision makes: at the server itself each role has its own rows, and may be run again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.grants import Grants, read_grants
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.catalog.walls import GROUP
from proxy.doctor.walls import tenant_behind, tenant_relations, walls
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import SUPERUSER, Cluster, PostgresError
from tests.kit.rls import load_walled, provision_walls, rls_grants, rls_policy, role_of
from tests.kit.sample import pristine

SALT = b"0123456789abcdef"


@pytest.fixture(scope="module")
def cluster(server: Cluster) -> Cluster:
    return load_walled(server)


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    with pristine(cluster, "walled") as name:
        yield name


def read(cluster: Cluster, database: str) -> tuple[Catalog, Grants]:
    async def both() -> tuple[Catalog, Grants]:
        connection = await connect(Server("127.0.0.1", cluster.port, database, SUPERUSER), Credentials(tls="disable"))
        try:
            catalog = await introspect(connection, 1)
            relations = [one.relation.oid for one in tenant_relations(rls_policy(), catalog)]
            return catalog, await read_grants(connection, GROUP, relations)
        finally:
            await connection.close()

    return asyncio.run(both())


def as_tenant(cluster: Cluster, database: str, tenant: str, sql: str) -> str:
    return cluster.psql(database, sql, user=role_of(tenant))


def test_every_table_of_tenants_shows_each_role_its_own_rows_and_nobody_else_any(
    cluster: Cluster, database: str
) -> None:
    catalog, _ = read(cluster, database)
    keys = {"default": "1", "slug": "'acme'", "uid": "'00000000-0000-4000-8000-000000000001'"}
    relations = tenant_relations(rls_policy(), catalog)
    assert len(relations) > 20
    for one in relations:
        assert one.column is not None
        name, column = f'public."{one.relation.name}"', f'"{one.column.name}"'
        rows = f"SELECT count(*), count(*) FILTER (WHERE {column} = {keys[one.key]}) FROM {name}"
        every, own = cluster.psql(database, rows).strip().split("|")
        assert as_tenant(cluster, database, "acme", rows).strip() == f"{own}|{own}", name
        if one.relation.name not in ("listed_2", "listed_3", "metrics", "metrics_t1", "metrics_t2", "metrics_t3"):
            assert int(every) >= int(own)
        assert (
            cluster.psql(
                database,
                f"SET ROLE app_owner; SELECT count(*) FROM {name}" if one.relation.owner == "app_owner" else "SELECT 0",
            ).strip()
            == "0"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO customers (tenant_id, id, name) VALUES (2, 900, 'x')",
        "UPDATE customers SET tenant_id = 2 WHERE id = 1",
        "INSERT INTO events_2024 (tenant_id, id, kind, at) VALUES (2, 1, 'x', '2024-05-05')",
        "INSERT INTO vehicles (tenant_id, id, label, plate) VALUES (2, 900, 'x', 'y')",
        "TRUNCATE notes",
        "DELETE FROM products",
        "SELECT * FROM mv_order_stats",
        "SELECT * FROM leaky_stats",
        "SELECT * FROM partywall.tenant_keys",
        "CREATE TABLE public.t ()",
        "CREATE TABLE r (a int REFERENCES public.products (id))",
        "SET ROLE app_owner",
        "SET ROLE globex_rls",
        "SET SESSION AUTHORIZATION globex_rls",
        "SET row_security = off; SELECT * FROM orders",
        "LOCK TABLE products IN ACCESS EXCLUSIVE MODE",
        "SELECT setval('accounts_id_seq', 1)",
    ],
)
def test_the_server_itself_refuses_what_is_not_the_tenants(cluster: Cluster, database: str, statement: str) -> None:
    with pytest.raises(PostgresError, match="ERROR"):
        as_tenant(cluster, database, "acme", statement)


def test_what_a_session_may_set_changes_no_row(cluster: Cluster, database: str) -> None:
    for text in ("SET ROLE partywall_tenants", "SET search_path = pg_temp, public", "SET partywall.tenant = '2'"):
        seen = as_tenant(cluster, database, "acme", f"{text}; SELECT DISTINCT tenant_id FROM public.orders")
        assert seen.split() == ["1"], text


def test_own_rows_are_written_with_numbers_from_defaults(cluster: Cluster, database: str) -> None:
    sql = "INSERT INTO accounts (tenant_id, owner) VALUES (1, 'me'); UPDATE orders SET note = 'n' WHERE id = 1;"
    sql += " DELETE FROM order_items WHERE order_id = 1; SELECT nextval('invoice_no_seq') > 0"
    assert as_tenant(cluster, database, "acme", sql).split() == ["t"]
    assert cluster.psql(database, "SELECT DISTINCT tenant_id FROM orders WHERE note = 'n'").split() == ["1"]


def test_a_function_of_an_owner_without_bypass_reads_the_rows_of_who_calls(cluster: Cluster, database: str) -> None:
    assert as_tenant(cluster, database, "acme", "SELECT order_secret(3)").split() == ["acme-secret-3"]
    assert as_tenant(cluster, database, "acme", "SELECT DISTINCT tenant_id FROM open_orders").split() == ["1"]
    assert as_tenant(cluster, database, "acme", "SELECT DISTINCT tenant_id FROM odd_loud").split() == ["1"]


def test_the_key_is_asked_for_once_and_an_index_is_searched_with_it(cluster: Cluster, database: str) -> None:
    cluster.psql(
        database,
        "CREATE TABLE big (tenant_id int NOT NULL, id int NOT NULL, PRIMARY KEY (tenant_id, id));"
        "INSERT INTO big SELECT g % 100, g FROM generate_series(1, 20000) g; ANALYZE big",
    )
    provision_walls(cluster, database, rls_grants(cluster.port, database))
    plan = as_tenant(cluster, database, "acme", "EXPLAIN (COSTS OFF) SELECT * FROM big WHERE id = 101")
    assert "Index Cond: ((tenant_id = " in plan
    assert plan.count("InitPlan") >= 1
    assert "tenant_key" not in plan


def test_a_second_run_locks_no_table_and_takes_nothing_back(cluster: Cluster, database: str) -> None:
    catalog, grants = read(cluster, database)
    text = walls(rls_policy(), catalog, grants)
    assert "ALTER TABLE" not in text
    assert "POLICY" not in text
    assert "REVOKE INSERT" not in text
    assert ' ON "public".' not in text
    provision_walls(cluster, database, rls_grants(cluster.port, database))
    with pytest.raises(PostgresError, match="permission denied"):
        as_tenant(cluster, database, "acme", "UPDATE tenants SET plan = 'enterprise'")


def test_what_is_missing_is_made_and_what_is_too_much_is_taken(cluster: Cluster, database: str) -> None:
    cluster.psql(
        database,
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY; ALTER POLICY partywall ON notes USING (true);"
        "GRANT TRUNCATE ON notes TO partywall_tenants; GRANT SELECT ON leaky_stats TO PUBLIC;"
        "ALTER VIEW open_orders OWNER TO postgres; ALTER FUNCTION order_secret(int) OWNER TO postgres;"
        "CREATE SCHEMA more; CREATE TABLE more.things (tenant_id int NOT NULL, id serial)",
    )
    provision_walls(cluster, database, rls_grants(cluster.port, database))
    assert as_tenant(cluster, database, "acme", "SELECT DISTINCT tenant_id FROM orders").split() == ["1"]
    assert as_tenant(cluster, database, "acme", "SELECT DISTINCT tenant FROM notes").split() == ["acme"]
    assert as_tenant(cluster, database, "acme", "SELECT DISTINCT tenant_id FROM open_orders").split() == ["1"]
    as_tenant(cluster, database, "acme", "INSERT INTO more.things (tenant_id) VALUES (1)")
    for refused in ("TRUNCATE notes", "SELECT * FROM leaky_stats", "SELECT order_secret(3)"):
        with pytest.raises(PostgresError, match="permission denied"):
            as_tenant(cluster, database, "acme", refused)


def test_a_role_has_the_keys_of_the_rules_and_nobody_else_these(cluster: Cluster, database: str) -> None:
    cluster.psql(
        database,
        "UPDATE partywall.tenant_keys SET value = '9' WHERE role = 'globex_rls' AND kind = 'default';"
        "INSERT INTO partywall.tenant_keys VALUES ('acme_rls', 'old', 'x');"
        "UPDATE partywall.tenant_keys SET role = 'acme_before' WHERE role = 'acme_rls' AND kind = 'slug'",
    )
    for grant in rls_grants(cluster.port, database):
        cluster.psql(database, tenant_behind(grant, SALT))
    rows = cluster.psql(database, "SELECT role, kind, value FROM partywall.tenant_keys ORDER BY 1, 2").split()
    assert rows[:3] == [
        "acme_rls|default|1",
        "acme_rls|slug|acme",
        "acme_rls|uid|00000000-0000-4000-8000-000000000001",
    ]
    assert len(rows) == 9


def test_a_tenants_own_sequences_are_made_and_its_password_is_a_verifier(cluster: Cluster, database: str) -> None:
    grants = rls_grants(cluster.port, database, sequences="invoice_no_seq: per_tenant")
    grant = next(one for one in grants if one.tenant == "acme")
    for _ in range(2):
        cluster.psql(database, tenant_behind(grant, SALT))
    ((name,),) = [
        cluster.psql(database, "SELECT relname FROM pg_class WHERE relname LIKE 'invoice_no_seq\\_\\_t%'").split()
    ]
    as_tenant(cluster, database, "acme", f"SELECT nextval('{name}'), setval('{name}', 5)")
    with pytest.raises(PostgresError, match="permission denied"):
        as_tenant(cluster, database, "globex", f"SELECT nextval('{name}')")
    secret = replace(grant, credentials=Credentials("top secret"))
    assert "top secret" not in tenant_behind(secret, SALT)
    assert "SCRAM-SHA-256$" in tenant_behind(secret, SALT)
