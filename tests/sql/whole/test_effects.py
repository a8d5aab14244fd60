"""What each kind of statement does to its session is noted, or the connection stays with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.sql.plan import (
    ADVISORY_LOCK,
    SETSEED,
    UNTRACKED,
    Answer,
    AnswerKind,
    CursorEffect,
    Effects,
    Execution,
    Forward,
    Plan,
    SettingEffect,
    StatementKind,
    TransactionVerb,
)

Plans = Callable[..., tuple[Plan, ...]]


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("SELECT a FROM t", Effects()),
        ("SELECT a FROM t FOR UPDATE", Effects()),
        ("INSERT INTO t VALUES (1)", Effects(writes=True, grows=True, draws=True)),
        ("UPDATE t SET a = 1", Effects(writes=True, grows=True)),
        ("WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x", Effects(writes=True)),
        ("EXPLAIN SELECT 1", Effects()),
        ("BEGIN", Effects(transaction=TransactionVerb.BEGIN)),
        ("SAVEPOINT a", Effects(transaction=TransactionVerb.SAVEPOINT, savepoint="a")),
        ("COMMIT AND CHAIN", Effects(transaction=TransactionVerb.COMMIT, chain=True)),
        ("PREPARE TRANSACTION 'a'", Effects(writes=True)),
        ("LISTEN a", Effects(pins="listen")),
        ("NOTIFY a", Effects(notifies=True)),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Effects(declares=CursorEffect("c", True))),
        ("FETCH 1 FROM c", Effects()),
        ("CLOSE c", Effects(closes="c")),
        ("CREATE TABLE a (b int)", Effects(pins=UNTRACKED, writes=True)),
        ("CREATE TEMP TABLE a AS SELECT 1", Effects(pins=UNTRACKED, writes=True, grows=True)),
        ("SELECT 1 INTO TEMP a", Effects(pins=UNTRACKED, writes=True, grows=True)),
        ("SELECT 1 INTO TEMP a UNION SELECT 2", Effects(pins=UNTRACKED, writes=True, grows=True)),
        ("EXPLAIN ANALYZE CREATE TEMP TABLE a AS SELECT 1", Effects(pins=UNTRACKED, writes=True, grows=True)),
        (
            "EXPLAIN ANALYZE CREATE TEMP TABLE a AS EXECUTE p",
            Effects(executes=Execution("p"), pins=UNTRACKED, writes=True),
        ),
        ("DO 'BEGIN END'", Effects(pins=UNTRACKED, writes=True)),
        (
            "DECLARE c CURSOR FOR SELECT setseed(0)",
            Effects(declares=CursorEffect("c", False), pins=SETSEED),
        ),
        (
            "SELECT setseed(0), set_config('work_mem', '9MB', false)",
            Effects(settings=(SettingEffect("work_mem", "'9MB'"),), pins=UNTRACKED),
        ),
        ("CREATE TABLE a AS SELECT setseed(0)", Effects(pins=UNTRACKED, writes=True, grows=True)),
        ("EXECUTE p(setseed(0))", Effects(executes=Execution("p"), pins=SETSEED)),
        ("EXECUTE p(pg_advisory_lock(1))", Effects(executes=Execution("p"), pins=ADVISORY_LOCK)),
        ("CALL p()", Effects(pins=UNTRACKED, writes=True)),
        ("SHOW ALL", Effects()),
        ("DISCARD TEMP", Effects(drops=("",))),
        ("EXECUTE p(1)", Effects(executes=Execution("p"))),
        ("CREATE TABLE a AS EXECUTE p", Effects(executes=Execution("p"), pins=UNTRACKED, writes=True)),
    ],
)
def test_effects_of_statements(plans: Plans, text: str, effects: Effects) -> None:
    (plan,) = plans(text)
    assert isinstance(plan, Forward)
    assert plan.effects == effects


@pytest.mark.parametrize(
    ("text", "answer"),
    [("DISCARD ALL", AnswerKind.DISCARD_ALL), ("DEALLOCATE p", AnswerKind.DEALLOCATE),
     ("DEALLOCATE ALL", AnswerKind.DEALLOCATE_ALL), ("UNLISTEN *", AnswerKind.UNLISTEN)],
)  # fmt: skip
def test_what_is_the_sessions_is_answered_by_it(plans: Plans, text: str, answer: AnswerKind) -> None:
    (plan,) = plans(text)
    assert isinstance(plan, Answer)
    assert plan.answer is answer
    assert (plan.sent is not None) is (answer in {AnswerKind.UNLISTEN, AnswerKind.DISCARD_ALL})


def test_what_a_prepared_statement_does_is_known_when_it_is_executed(plans: Plans) -> None:
    (plan,) = plans("PREPARE p(int) AS INSERT INTO t VALUES ($1)")
    assert isinstance(plan, Forward)
    assert plan.effects.prepares is not None
    assert plan.effects.prepares.types == (23,)
    assert plan.effects.prepares.plan.kind is StatementKind.INSERT
    assert plan.effects.prepares.plan.effects == Effects(writes=True, grows=True, draws=True)
