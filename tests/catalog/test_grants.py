"""What provision must know of who holds what."""

from __future__ import annotations

from proxy.catalog.connect import connect
from proxy.catalog.grants import Grants, read_grants
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import SUPERUSER, Cluster


async def read(cluster: Cluster, database: str, group: str) -> Grants:
    connection = await connect(Server("127.0.0.1", cluster.port, database, SUPERUSER), Credentials(tls="disable"))
    try:
        oids = await connection.fetch("SELECT c.oid FROM pg_class c WHERE c.relname = 'numbered'")
        return await read_grants(connection, group, [one["oid"] for one in oids])
    finally:
        await connection.close()


async def test_privileges_of_everybody_and_of_the_group_are_read_by_table_and_by_column(server: Cluster) -> None:
    server.create_database("granted")
    try:
        server.psql(
            "granted",
            "CREATE ROLE grants_group; CREATE TABLE a (x int, y int); CREATE TABLE b (x int);"
            "GRANT SELECT, TRUNCATE ON a TO PUBLIC; GRANT UPDATE (x) ON a TO PUBLIC; GRANT INSERT ON a TO grants_group",
        )
        grants = await read(server, "granted", "grants_group")
        assert list(grants.everybody.values()) == [frozenset({"SELECT", "TRUNCATE", "UPDATE"})]
        assert list(grants.group.values()) == [frozenset({"INSERT"})]
        assert grants.group.keys() == grants.everybody.keys()
        assert not (await read(server, "granted", "nobody")).group
    finally:
        server.drop_database("granted")
        server.psql(sql="DROP ROLE grants_group")


async def test_sequences_of_defaults_and_definers_without_policy_are_named(server: Cluster) -> None:
    server.create_database("granted")
    try:
        server.psql(
            "granted",
            "CREATE ROLE grants_owner; CREATE SEQUENCE apart; CREATE SEQUENCE unused;"
            "CREATE TABLE numbered (a serial, b int GENERATED ALWAYS AS IDENTITY, c int DEFAULT nextval('apart'));"
            "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
            "CREATE FUNCTION g() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
            "ALTER FUNCTION g() OWNER TO grants_owner;"
            "CREATE FUNCTION h() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
            "REVOKE EXECUTE ON FUNCTION h() FROM PUBLIC; CREATE FUNCTION i() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        )
        grants = await read(server, "granted", "nobody")
        assert grants.drawn == ("public.apart", "public.numbered_a_seq")
        assert grants.definers == ("public.f(integer)",)
    finally:
        server.drop_database("granted")
        server.psql(sql="DROP ROLE grants_owner")
