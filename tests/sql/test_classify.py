"""The table over statement kinds is total: what is not in it is refused, each refusal says the way out."""

from __future__ import annotations

import pytest

from proxy.errors import Refusal
from proxy.sql.classified import Classified
from proxy.sql.classify import classify, kind_of
from proxy.sql.parse import Statement, parse
from proxy.sql.plan import AnswerKind, StatementKind, TransactionVerb


def one(sql: str) -> Statement:
    (statement,) = parse(sql.encode(), size_limit=10_000, server_major=18)
    return statement


def of(sql: str) -> Classified:
    return classify(one(sql))


def refusal(sql: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        of(sql)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "kind", "writes"),
    [
        ("SELECT 1", StatementKind.SELECT, False),
        ("SELECT 1 FROM a FOR UPDATE", StatementKind.SELECT, True),
        ("WITH x AS (DELETE FROM a RETURNING 1) SELECT FROM x", StatementKind.SELECT, True),
        ("VALUES (1)", StatementKind.SELECT, False),
        ("INSERT INTO a VALUES (1)", StatementKind.INSERT, True),
        ("UPDATE a SET b = 1", StatementKind.UPDATE, True),
        ("DELETE FROM a", StatementKind.DELETE, True),
    ],
)
def test_a_statement_that_writes_says_so(sql: str, kind: StatementKind, writes: bool) -> None:
    found = of(sql)
    assert (found.kind, found.effects.writes) == (kind, writes)
    assert kind_of(one(sql)) is kind


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        ("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", TransactionVerb.BEGIN),
        ("START TRANSACTION", TransactionVerb.BEGIN),
        ("END", TransactionVerb.COMMIT),
        ("ABORT", TransactionVerb.ROLLBACK),
        ("SAVEPOINT s", TransactionVerb.SAVEPOINT),
        ("ROLLBACK TO s", TransactionVerb.ROLLBACK_TO),
        ("RELEASE s", TransactionVerb.RELEASE),
    ],
)
def test_transaction_verbs_are_noted(sql: str, verb: TransactionVerb) -> None:
    assert of(sql).effects.transaction is verb


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("RESET ALL", AnswerKind.RESET_ALL), ("DISCARD ALL", AnswerKind.DISCARD_ALL),
        ("DEALLOCATE ALL", AnswerKind.DEALLOCATE_ALL), ("DEALLOCATE x", AnswerKind.DEALLOCATE),
        ("SELECT pg_advisory_unlock_all()", AnswerKind.ADVISORY_UNLOCK_ALL),
    ],
)  # fmt: skip
def test_what_pools_send_at_release_is_answered(sql: str, answer: AnswerKind) -> None:
    found = of(sql).answer
    assert found is not None
    assert found.answer is answer


def test_a_setting_is_remembered_as_it_would_be_written() -> None:
    (effect,) = of("SET LOCAL work_mem = '8MB'").effects.settings
    assert (effect.name, effect.value, effect.local) == ("work_mem", "'8MB'", True)
    (effect,) = of("RESET work_mem").effects.settings
    assert (effect.name, effect.value) == ("work_mem", None)
    (effect,) = of("SELECT set_config('TimeZone', 'UTC', false)").effects.settings
    assert effect.name == "timezone"


def test_a_setting_of_the_applications_own_taints_the_connection() -> None:
    assert of("SET app.visitor = 'x'").effects.taints
    assert of("SELECT set_config('app.user', 'x', true)").effects.taints
    assert not of("SET work_mem = '8MB'").effects.taints


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("SET ROLE postgres", "42501"), ("SET SESSION AUTHORIZATION x", "42501"), ("SET row_security = off", "42501"),
        ("RESET ROLE", "42501"), ("SET search_path = evil", "42501"), ("RESET search_path", "42501"),
        ("SET work_mem FROM CURRENT", "0A000"), ("SET TRANSACTION SNAPSHOT 'a'", "42501"),
        ("PREPARE TRANSACTION 'x'", "42501"), ("COMMIT PREPARED 'x'", "42501"),
        ("SHOW data_directory", "42501"), ("SELECT 1 INTO x", "42501"),
        ("COPY (SELECT 1 INTO x) TO STDOUT", "0A000"),
        ("CREATE TABLE a (b int)", "42501"), ("CREATE ROLE a", "42501"),
        ("DO 'BEGIN END'", "42501"), ("VACUUM", "42501"),
    ],
)  # fmt: skip
def test_what_a_tenant_may_not_do_is_refused(sql: str, sqlstate: str) -> None:
    assert refusal(sql).sqlstate == sqlstate


@pytest.mark.parametrize(
    ("sql", "grows"),
    [
        ("INSERT INTO t VALUES (1)", True), ("UPDATE t SET a = 1", True), ("COPY t FROM STDIN", True),
        ("MERGE INTO t USING u ON true WHEN MATCHED THEN DO NOTHING", True), ("DELETE FROM t", False),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM x", True), ("TRUNCATE t", False),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING a) DELETE FROM u", True), ("COPY t TO STDOUT", False),
        ("WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x", False), ("SELECT a FROM t FOR UPDATE", False),
        ("COPY (UPDATE t SET a = 1 RETURNING a) TO STDOUT", True), ("EXPLAIN ANALYZE UPDATE t SET a = 1", True),
        ("EXPLAIN DELETE FROM t", False), ("CREATE TEMP TABLE a AS SELECT 1", False),
    ],
)  # fmt: skip
def test_a_statement_that_adds_rows_or_makes_them_larger_says_so(sql: str, grows: bool) -> None:
    assert of(sql).effects.grows is grows
