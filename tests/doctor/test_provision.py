"""The SQL that makes a tenant's schema and role: it may be run again, and leaves a role that may serve."""

from __future__ import annotations

from dataclasses import replace

from proxy.doctor.provision import provision
from proxy.tenancy.policy import Credentials, Grant, Limits, Server
from tests.kit.attacks import outcome
from tests.kit.postgres import Cluster
from tests.kit.schemas import schema_policy

SALT = b"0123456789abcdef"
NAME = "pro\"vi'sion"
RARE = """
CREATE FUNCTION eq(c, c) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR === (LEFTARG = c, RIGHTARG = c, FUNCTION = eq); CREATE STATISTICS s2 ON id, n FROM t;
CREATE OPERATOR FAMILY f2 USING hash; CREATE OPERATOR CLASS oc FOR TYPE c USING hash AS OPERATOR 1 ===;
CREATE COLLATION co FROM "C"; CREATE CONVERSION cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY td (TEMPLATE = pg_catalog.simple);
CREATE TEXT SEARCH CONFIGURATION tc (COPY = pg_catalog.simple);
"""
OWNED = {  # catalog -> how its columns begin
    "class": "rel", "type": "typ", "proc": "pro", "operator": "opr", "opclass": "opc", "opfamily": "opf",
    "collation": "coll", "conversion": "con", "statistic_ext": "stx", "ts_config": "cfg", "ts_dict": "dict",
}  # fmt: skip


def grant(database: str, schema: str, password: str | None = None) -> Grant:
    policy = replace(schema_policy(schema), shared_schemas=())
    server = Server("127.0.0.1", 5432, database, f"{schema}_role")
    return Grant("acme", "shared", server, Credentials(password), policy, {}, Limits())


def test_it_may_be_run_again_and_takes_over_what_is_there(server: Cluster) -> None:
    text = provision(grant("provisioned", NAME), SALT)
    server.create_database("provisioned")
    try:
        server.psql("provisioned", text)
        quoted = '"' + NAME.replace('"', '""') + '"'
        server.psql(
            "provisioned",
            f"SET search_path = {quoted}; CREATE TABLE t (id serial, n int GENERATED ALWAYS AS IDENTITY);"
            " CREATE VIEW v AS SELECT 1; CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS int; CREATE TYPE c AS (a int);"
            " CREATE SEQUENCE s; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
            " CREATE MATERIALIZED VIEW m AS SELECT 1; CREATE PROCEDURE p() LANGUAGE sql AS '';" + RARE,
        )
        server.psql("provisioned", text)
        server.psql("provisioned", text)
        left = "SELECT count(*) FROM pg_{} WHERE {}namespace = (SELECT oid FROM pg_namespace WHERE nspname LIKE 'pro%')"
        left += " AND {}owner <> (SELECT oid FROM pg_roles WHERE rolname LIKE 'pro%')"
        for catalog, prefix in OWNED.items():
            assert server.psql("provisioned", left.format(catalog, prefix, prefix)).strip() == "0", catalog
            assert server.psql("provisioned", left.format(catalog, prefix, prefix).replace("<>", "=")).strip() != "0"
    finally:
        server.drop_database("provisioned")
        server.psql(sql='DROP ROLE "pro""vi\'sion_role"')


def test_a_materialized_view_keeps_no_row_that_the_tenant_may_not_read(server: Cluster) -> None:
    text = provision(grant("provisioned", "acme"), SALT)
    server.create_database("provisioned")
    try:
        server.psql("provisioned", text)
        server.psql(
            "provisioned",
            "CREATE TABLE secret (a int); INSERT INTO secret VALUES (7);"
            " CREATE TABLE acme.t (a int); INSERT INTO acme.t VALUES (1);"
            " CREATE MATERIALIZED VIEW acme.theirs AS TABLE secret; CREATE MATERIALIZED VIEW acme.own AS TABLE acme.t;"
            " CREATE MATERIALIZED VIEW acme.of_own AS TABLE acme.own",
        )
        server.psql("provisioned", text)
        assert outcome(server, "provisioned", "acme_role", "TABLE acme.own") == [(1,)]
        assert outcome(server, "provisioned", "acme_role", "TABLE acme.of_own") == [(1,)]
        assert outcome(server, "provisioned", "acme_role", "TABLE acme.theirs") == "55000"
        assert outcome(server, "provisioned", "acme_role", "REFRESH MATERIALIZED VIEW acme.theirs") == "42501"
    finally:
        server.drop_database("provisioned")
        server.psql(sql="DROP ROLE acme_role")


def test_a_foreign_table_stays_its_owners_who_says_what_is_read_elsewhere(postgres15: Cluster) -> None:
    text = provision(grant("provisioned", "acme"), SALT)
    postgres15.create_database("provisioned")
    try:
        postgres15.psql("provisioned", text)
        made = "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE acme.rates"
        postgres15.psql("provisioned", f"{made} (a int) SERVER s; GRANT SELECT ON acme.rates TO acme_role; {text}")
        aimed = "ALTER FOREIGN TABLE acme.rates OPTIONS (ADD table_name 'secrets')"
        assert outcome(postgres15, "provisioned", "acme_role", aimed) == "42501"
    finally:
        postgres15.drop_database("provisioned")
        postgres15.psql(sql="DROP ROLE acme_role")


def test_a_password_is_in_it_as_a_verifier_only() -> None:
    text = provision(grant("shop", "acme", "top secret"), SALT)
    assert "SCRAM-SHA-256$" in text
    assert "top secret" not in text
    assert "PASSWORD" not in provision(grant("shop", "acme"), SALT)


def test_public_is_left_to_be_read_where_it_is_shared() -> None:
    shared = grant("shop", "acme")
    text = provision(replace(shared, policy=replace(shared.policy, shared_schemas=("public",))), SALT)
    assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC;" in text
    assert 'GRANT SELECT ON ALL TABLES IN SCHEMA "public"' in text
    assert "REVOKE ALL ON SCHEMA public FROM PUBLIC;" in provision(shared, SALT)
