"""The wall at the server: our policy is known from every other, and who may move it is found; on real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.facts import check_facts
from proxy.catalog.finding import Finding
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.catalog.walls import condition, without_walls
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.rls import load_walled, rls_grants, role_of
from tests.kit.sample import pristine

KEYS = {"default": "1", "slug": "acme", "uid": "00000000-0000-4000-8000-000000000001"}
TYPES = {
    "int2": 21,
    "int4": 23,
    "int8": 20,
    "uuid": 2950,
    "text": 25,
    "varchar(10)": 1043,
    "char(5)": 1042,
}


@pytest.fixture(scope="module")
def cluster(server: Cluster) -> Cluster:
    return load_walled(server)


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    with pristine(cluster, "walled") as name:
        yield name


async def picture(cluster: Cluster, database: str) -> Catalog:
    connection = await connect(Server("127.0.0.1", cluster.port, database, SUPERUSER), Credentials(tls="disable"))
    try:
        return await introspect(connection, 1)
    finally:
        await connection.close()


async def found(cluster: Cluster, database: str, keys: dict[str, str] | None = None) -> tuple[Finding, ...]:
    server = Server("127.0.0.1", cluster.port, database, role_of("acme"))
    connection = await connect(server, Credentials(tls="disable"))
    try:
        return await check_facts(connection, server, keys=KEYS if keys is None else keys)
    finally:
        await connection.close()


def test_the_rules_keys_are_what_the_role_must_have() -> None:
    assert [one.wall_keys for one in rls_grants(5432) if one.tenant == "acme"] == [KEYS, KEYS]


async def test_the_policy_is_known_for_every_type_and_name(cluster: Cluster, database: str) -> None:
    names = ['"select"', '"Odd "" name"', "tenant_id", "über", '"user"', "t", "_1$"]
    for number, (name, (written, oid)) in enumerate(zip(names, TYPES.items(), strict=True)):
        rows = condition(name, oid, "it's")
        cluster.psql(
            database,
            f"CREATE TABLE t{number} ({name} {written} NOT NULL);"
            f" ALTER TABLE t{number} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
            f" CREATE POLICY partywall ON t{number} USING {rows} WITH CHECK {rows}",
        )
    catalog = await picture(cluster, database)
    for number, name in enumerate(names):
        plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
        assert catalog.relations["public", f"t{number}"].wall == (plain, "it's"), (number, name)


async def test_without_walls_no_policy_counts(cluster: Cluster, database: str) -> None:
    catalog = await picture(cluster, database)
    assert catalog.relations["public", "orders"].wall == ("tenant_id", "default")
    fallen = without_walls(catalog)
    assert not any(one.wall for one in fallen.relations.values())
    assert fallen.relations.keys() == catalog.relations.keys()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY partywall ON orders",
        "ALTER POLICY partywall ON orders USING (true)",
        "ALTER POLICY partywall ON orders WITH CHECK (true)",
        "ALTER POLICY partywall ON orders TO app_owner",
        "ALTER POLICY partywall ON orders RENAME TO ours",
        "CREATE POLICY more ON orders USING (true)",
        "CREATE POLICY more ON orders AS RESTRICTIVE USING (true)",
        "CREATE POLICY more ON orders FOR INSERT WITH CHECK (id > 0)",
        "ALTER POLICY partywall ON orders USING"
        " (tenant_id = (SELECT partywall.tenant_key('default')::int4 AS key) OR true)",
        "ALTER POLICY partywall ON orders USING (id = (SELECT partywall.tenant_key('default')::int4 AS key))",
        "ALTER POLICY partywall ON orders USING (tenant_id >= (SELECT partywall.tenant_key('default')::int4 AS key))",
        "ALTER POLICY partywall ON orders USING"
        " (tenant_id::text = (SELECT partywall.tenant_key('default')::char(1) AS key))",
        "DROP POLICY partywall ON orders; CREATE POLICY partywall ON orders FOR SELECT"
        " USING (tenant_id = (SELECT partywall.tenant_key('default')::int4 AS key))",
        "DROP POLICY partywall ON orders; CREATE POLICY partywall ON orders AS RESTRICTIVE"
        " USING (tenant_id = (SELECT partywall.tenant_key('default')::int4 AS key))"
        " WITH CHECK (tenant_id = (SELECT partywall.tenant_key('default')::int4 AS key))",
        "CREATE FUNCTION partywall.tenant_key(name) RETURNS text LANGUAGE sql AS 'SELECT ''2'''; ALTER POLICY partywall"
        " ON orders USING (tenant_id = (SELECT partywall.tenant_key('default'::name)::int4 AS key))",
        "CREATE SCHEMA other; CREATE OPERATOR other.= (FUNCTION = int4ge, LEFTARG = int4, RIGHTARG = int4);"
        " ALTER POLICY partywall ON orders USING"
        " (tenant_id OPERATOR(other.=) (SELECT partywall.tenant_key('default')::int4 AS key))"
        " WITH CHECK (tenant_id OPERATOR(other.=) (SELECT partywall.tenant_key('default')::int4 AS key))",
    ],
)
async def test_any_other_policy_is_none(cluster: Cluster, database: str, change: str) -> None:
    cluster.psql(database, change)
    catalog = await picture(cluster, database)
    wall = catalog.relations["public", "orders"].wall
    assert wall is None or wall == ("id", "default"), wall
    assert catalog.relations["public", "customers"].wall == ("tenant_id", "default")


async def test_what_provision_makes_may_serve(cluster: Cluster, database: str) -> None:
    assert await found(cluster, database) == ()


BODY = "BEGIN RETURN (SELECT ''2''); END"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("DROP SCHEMA partywall CASCADE", "rls.missing"),
        ("DROP TABLE partywall.tenant_keys", "rls.missing"),
        ("ALTER TABLE partywall.tenant_keys OWNER TO app_owner", "rls.owner"),
        ("ALTER FUNCTION partywall.tenant_key(text) OWNER TO app_owner", "rls.owner"),
        ("ALTER SCHEMA partywall OWNER TO app_owner", "rls.owner"),
        ("GRANT INSERT ON partywall.tenant_keys TO app_owner", "rls.keys"),
        ("GRANT UPDATE (value) ON partywall.tenant_keys TO PUBLIC", "rls.keys"),
        ("GRANT SELECT ON partywall.tenant_keys TO partywall_tenants", "rls.keys"),
        ("CREATE RULE r AS ON UPDATE TO partywall.tenant_keys DO INSTEAD NOTHING", "rls.keys"),
        ("ALTER TABLE partywall.tenant_keys ENABLE ROW LEVEL SECURITY", "rls.keys"),
        ("ALTER FUNCTION partywall.tenant_key(text) SECURITY INVOKER", "rls.function"),
        ("ALTER FUNCTION partywall.tenant_key(text) VOLATILE", "rls.function"),
        ("ALTER FUNCTION partywall.tenant_key(text) SET search_path = public", "rls.function"),
        (
            "CREATE OR REPLACE FUNCTION partywall.tenant_key(kind text) RETURNS text LANGUAGE plpgsql STABLE"
            f" SECURITY DEFINER AS '{BODY}'",
            "rls.function",
        ),
        ("REVOKE USAGE ON SCHEMA partywall FROM partywall_tenants", "rls.role"),
        ("REVOKE EXECUTE ON FUNCTION partywall.tenant_key(text) FROM PUBLIC", "rls.role"),
        ("UPDATE partywall.tenant_keys SET value = '7' WHERE role = 'acme_rls' AND kind = 'default'", "rls.key"),
        ("DELETE FROM partywall.tenant_keys WHERE role = 'acme_rls' AND kind = 'slug'", "rls.key"),
        ("DELETE FROM partywall.tenant_keys", "rls.key"),
    ],
)
async def test_whoever_could_say_whose_rows_are_whose_is_found(
    cluster: Cluster, database: str, change: str, name: str
) -> None:
    cluster.psql(database, change)
    critical = [one for one in await found(cluster, database) if one.severity == "critical"]
    assert [one.name for one in critical] == [name]


async def test_a_role_for_which_no_policy_holds_is_found(cluster: Cluster, database: str) -> None:
    cluster.psql(database, "ALTER ROLE acme_rls BYPASSRLS")
    try:
        assert {one.name for one in await found(cluster, database)} == {"rls.bypass", "role.bypassrls"}
    finally:
        cluster.psql(database, "ALTER ROLE acme_rls NOBYPASSRLS")


async def test_another_key_in_the_rules_is_found_and_its_value_is_not_told(cluster: Cluster, database: str) -> None:
    (one,) = await found(cluster, database, KEYS | {"default": "2"})
    assert (one.name, one.severity) == ("rls.key", "critical")
    assert "default" in one.text


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("GRANT app_owner TO acme_rls", "REVOKE app_owner FROM acme_rls"),
        ("CREATE ROLE walls_other; GRANT walls_other TO acme_rls", "DROP ROLE walls_other"),
        ("ALTER ROLE partywall_tenants BYPASSRLS", "ALTER ROLE partywall_tenants NOBYPASSRLS"),
        ("CREATE ROLE walls_other; GRANT walls_other TO partywall_tenants", "DROP ROLE walls_other"),
    ],
)
async def test_the_role_is_in_the_group_of_tenants_and_in_nothing_else(
    cluster: Cluster, database: str, change: str, back: str
) -> None:
    cluster.psql(database, change)
    try:
        assert "role.member" in {one.name for one in await found(cluster, database) if one.severity == "critical"}
    finally:
        cluster.psql(database, back)
