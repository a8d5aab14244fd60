"""On a database of its own a tenant may do everything but what reaches the server or other databases."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from proxy.errors import Refusal
from proxy.sql.parse import parse
from proxy.sql.whole.reach import ALLOWED, REFUSED, check_reach

TABLE = json.loads(files("proxy.sql.data").joinpath("pg_query_fields.json").read_text(encoding="utf-8"))
STATEMENTS = {name for name in TABLE["messages"]["Node"] if name.endswith("Stmt")}


def check(text: str) -> None:
    (statement,) = parse(text.encode(), size_limit=10_000, server_major=18)
    check_reach(statement.tree, "shop_acme")


def test_every_statement_of_the_grammar_is_allowed_or_refused_and_not_both() -> None:
    assert set(REFUSED) | ALLOWED == STATEMENTS
    assert not set(REFUSED) & ALLOWED


def test_a_statement_of_a_newer_grammar_is_refused_as_unknown() -> None:
    with pytest.raises(Refusal) as caught:
        check_reach({"NewerStmt": {}}, "shop_acme")
    assert caught.value.sqlstate == "0A000"


@pytest.mark.parametrize(
    "text",
    [
        "ALTER SYSTEM SET work_mem = '1GB'",
        "CREATE DATABASE other",
        "DROP DATABASE other",
        "ALTER DATABASE other RENAME TO o",
        "ALTER DATABASE other SET work_mem = '1GB'",
        "ALTER DATABASE shop_acme CONNECTION LIMIT 1",
        "ALTER DATABASE shop_acme OWNER TO x",
        "GRANT CONNECT ON DATABASE other TO PUBLIC",
        "COMMENT ON ROLE app IS 'x'",
        "CREATE ROLE r",
        "ALTER ROLE app PASSWORD 'x'",
        "ALTER ROLE app SET work_mem = '1GB'",
        "DROP ROLE r",
        "GRANT a TO b",
        "ALTER ROLE a RENAME TO b",
        "CREATE TABLESPACE t LOCATION '/tmp'",
        "DROP TABLESPACE t",
        "GRANT CREATE ON TABLESPACE t TO PUBLIC",
        "COPY t TO '/tmp/x'",
        "COPY t FROM PROGRAM 'id'",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "LOAD 'x'",
        "CHECKPOINT",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION file_fdw",
        "CREATE LANGUAGE plpython3u",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
        "CREATE SERVER s FOREIGN DATA WRAPPER f",
        "CREATE USER MAPPING FOR x SERVER s",
        "IMPORT FOREIGN SCHEMA a FROM SERVER s INTO b",
        "CREATE FOREIGN TABLE t (a int) SERVER s",
        "DROP SERVER s",
        "DROP OWNED BY app",
        "REASSIGN OWNED BY a TO b",
        "SELECT pg_read_file('x')",
        "SELECT pg_catalog.pg_ls_dir('.')",
        "SELECT lo_import('x')",
        "SELECT lo_export(1, 'x')",
        "SELECT * FROM dblink('dbname=other', 'SELECT 1') AS t(a int)",
        "SELECT 1 WHERE EXISTS (SELECT pg_read_binary_file('x'))",
        "EXPLAIN ANALYZE SELECT pg_reload_conf()",
        "PREPARE p AS SELECT pg_stat_file('x')",
        "CREATE VIEW v AS SELECT pg_read_file('x')",
        "DO LANGUAGE plpython3u 'pass'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'system'",
        "SECURITY LABEL ON TABLE a IS 'x'",
    ],
)
def test_what_reaches_beyond_the_database_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        check(text)
    assert caught.value.sqlstate == "42501"
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE a (b int)",
        "ALTER TABLE a ADD c int",
        "DROP SCHEMA s CASCADE",
        "CREATE SCHEMA s CREATE TABLE a (b int)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int RETURN 1",
        "CALL p()",
        "DO 'BEGIN END'",
        "CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f()",
        "VACUUM",
        "REINDEX TABLE a",
        "ANALYZE",
        "GRANT SELECT ON a TO b",
        "GRANT USAGE ON SCHEMA s TO b",
        "CREATE EXTENSION IF NOT EXISTS hstore",
        "COPY a FROM STDIN",
        "COPY (SELECT 1) TO STDOUT",
        "ALTER DATABASE shop_acme SET work_mem = '1MB'",
        "LISTEN a",
        "LOCK a",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "SELECT pg_advisory_lock(1), pg_terminate_backend(1)",
        "CREATE PUBLICATION p FOR ALL TABLES",
        "COMMENT ON TABLE a IS 'x'",
        "SET ROLE x",
        "CREATE TYPE m AS ENUM ('a')",
    ],
)
def test_what_stays_in_the_database_is_let_through(text: str) -> None:
    check(text)
