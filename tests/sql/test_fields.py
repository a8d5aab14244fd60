"""A clause that a newer grammar adds is refused until somebody has thought about it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.classify import HANDLERS, QUERIES, classify
from proxy.sql.fields import FIELDS, check_fields
from proxy.sql.nodes import Nodes
from proxy.sql.parse import Statement, parse

Node = dict[str, Any]
STATEMENTS = [
    "WITH RECURSIVE a AS MATERIALIZED (SELECT 1) SEARCH DEPTH FIRST BY x SET y, b(n) AS (SELECT 1) CYCLE n SET c "
    "USING d SELECT DISTINCT a.*, (SELECT 1) FROM a JOIN b USING (n), LATERAL (SELECT 1) x, f() WITH ORDINALITY, "
    "t TABLESAMPLE SYSTEM (100) REPEATABLE (1) WHERE EXISTS (SELECT 1) GROUP BY 1 HAVING true ORDER BY 1 LIMIT 1 "
    "OFFSET 1 FOR UPDATE OF a NOWAIT",
    "SELECT 1 UNION ALL VALUES (2)",
    "INSERT INTO t AS u (a) OVERRIDING SYSTEM VALUE VALUES (1) ON CONFLICT (a) WHERE true DO UPDATE SET a = 1 "
    "WHERE true RETURNING *",
    "UPDATE t SET (a, b) = (1, 2), c[1] = 2 FROM u WHERE CURRENT OF c",
    "DELETE FROM ONLY t USING u WHERE true RETURNING 1",
    "MERGE INTO t USING u ON true WHEN MATCHED AND true THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN INSERT (a) "
    "VALUES (1)",
    "BEGIN ISOLATION LEVEL SERIALIZABLE", "SET LOCAL work_mem = 1", "SHOW work_mem", "DISCARD ALL", "DEALLOCATE p",
    "CLOSE c", "UNLISTEN c", "SET CONSTRAINTS a DEFERRED", "TRUNCATE t", "EXPLAIN (COSTS OFF) SELECT 1",
    "COPY t (a) FROM STDIN (FORMAT csv) WHERE true", "DECLARE c SCROLL CURSOR FOR SELECT 1", "FETCH 2 FROM c",
    "PREPARE p (int) AS SELECT 1", "EXECUTE p (1)", "LISTEN c", "NOTIFY c, 'x'", "LOCK t IN SHARE MODE NOWAIT",
    "CREATE TEMP TABLE t AS SELECT 1", "CREATE TEMP TABLE t (a int) ON COMMIT DROP",
    "DROP TABLE IF EXISTS t CASCADE", "CREATE UNIQUE INDEX IF NOT EXISTS i ON t USING btree (a) WHERE true",
]  # fmt: skip


def trees() -> Iterator[Node]:
    for text in STATEMENTS:
        (statement,) = parse(text.encode(), size_limit=10_000, server_major=18)
        yield statement.tree


def bodies(value: Any, name: str = "") -> Iterator[tuple[str, Node]]:
    """Every node that has its name with it."""
    if isinstance(value, list):
        for one in value:
            yield from bodies(one)
    elif isinstance(value, dict):
        if name:
            yield name, value
        for key, body in value.items():
            yield from bodies(body, key if key[0].isupper() else "")


def test_what_the_grammar_knows_today_is_known() -> None:
    for tree in trees():
        check_fields(Nodes(tree))


def test_every_statement_that_is_decided_is_in_the_table() -> None:
    assert {*HANDLERS, *QUERIES} <= set(FIELDS)
    assert {name for tree in trees() for name in tree} >= {*HANDLERS, *QUERIES}


def test_an_unknown_field_of_any_of_them_is_refused() -> None:
    found = set()
    for tree in trees():
        for at, (name, _) in enumerate(bodies(tree)):
            if name not in FIELDS:
                continue
            mutant = copy.deepcopy(tree)
            list(bodies(mutant))[at][1]["newClause"] = {"A_Const": {"ival": {"ival": 1}}}
            with pytest.raises(FeatureNotSupported) as caught:
                classify(Statement(mutant, 0, 0))
            assert caught.value.sqlstate == "0A000"
            found.add(name)
    bare = {"WithClause", "OnConflictClause", "InferClause", "CTESearchClause", "CTECycleClause", "ReturningClause"}
    assert found >= set(FIELDS) - bare


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("WITH a AS (SELECT 1) SELECT 1", ("SelectStmt", "withClause")),
        ("SELECT 1 UNION SELECT 2", ("SelectStmt", "larg")),
        ("INSERT INTO t VALUES (1)", ("InsertStmt", "relation")),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", ("InsertStmt", "onConflictClause")),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING", ("InsertStmt", "onConflictClause", "infer")),
        ("DELETE FROM t RETURNING 1", ("DeleteStmt", "returningClause")),
    ],
)
def test_so_is_one_of_a_clause_that_has_no_name_with_it(text: str, path: tuple[str, ...]) -> None:
    (statement,) = parse(text.encode(), size_limit=1000, server_major=18)
    body = statement.tree
    for one in path:
        body = body[one]
    body["newClause"] = True
    with pytest.raises(FeatureNotSupported):
        classify(statement)


def test_old_and_new_in_returning_wait_for_their_turn() -> None:
    (statement,) = parse(b"DELETE FROM t RETURNING WITH (OLD AS o) o.a", size_limit=1000, server_major=18)
    with pytest.raises(FeatureNotSupported):
        classify(statement)
