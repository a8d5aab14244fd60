"""The table of statements is total: each node of the grammar is handled, or refused by name, and never both."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from proxy.errors import Refusal
from proxy.sql.classify import HANDLERS, QUERIES, classify
from proxy.sql.forbidden import FORBIDDEN
from proxy.sql.parse import Statement, parse

TABLE = json.loads(files("proxy.sql.data").joinpath("pg_query_fields.json").read_text(encoding="utf-8"))
STATEMENTS = sorted(name for name in TABLE["messages"]["Node"] if name.endswith("Stmt"))


def test_the_grammar_has_as_many_statements_as_the_specification_counts() -> None:
    assert len(STATEMENTS) == 117


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_is_handled_or_forbidden_and_not_both(name: str) -> None:
    assert (name in {*HANDLERS, *QUERIES}) != (name in FORBIDDEN)


def test_nothing_else_is_decided() -> None:
    assert {*HANDLERS, *QUERIES} | set(FORBIDDEN) == set(STATEMENTS)


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_what_is_forbidden_is_42501_and_says_the_way_out(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        classify(Statement({name: {}}, 0, 0))
    assert caught.value.sqlstate == "42501"
    assert caught.value.hint


def test_a_statement_of_a_newer_grammar_is_refused_as_unknown() -> None:
    with pytest.raises(Refusal) as caught:
        classify(Statement({"NewerStmt": {}}, 0, 0))
    assert caught.value.sqlstate == "0A000"


@pytest.mark.parametrize(
    "text",
    [
        "DO 'BEGIN END'", "CALL p()", "CREATE VIEW v AS SELECT 1", "CREATE TEMP VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE RULE r AS ON INSERT TO a DO NOTHING",
        "ALTER TABLE a ADD b int", "ALTER ROLE app SET search_path = evil", "ALTER SYSTEM SET work_mem = '1GB'",
        "GRANT SELECT ON a TO PUBLIC", "REASSIGN OWNED BY a TO b", "COMMENT ON TABLE a IS 'x'", "VACUUM", "ANALYZE a",
        "REINDEX TABLE a", "CLUSTER a", "REFRESH MATERIALIZED VIEW a", "CREATE SEQUENCE s", "CREATE TEMP SEQUENCE s",
        "CREATE EXTENSION hstore", "CREATE SCHEMA s", "CREATE DOMAIN d AS int", "DROP ROLE a", "DROP DATABASE a",
        "CREATE DATABASE a", "LOAD 'x'", "CHECKPOINT", "SECURITY LABEL ON TABLE a IS 'x'",
    ],
)  # fmt: skip
def test_statements_as_a_client_writes_them(text: str) -> None:
    (statement,) = parse(text.encode(), size_limit=10_000, server_major=18)
    with pytest.raises(Refusal) as caught:
        classify(statement)
    assert caught.value.sqlstate == "42501"
