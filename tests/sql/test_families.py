"""The table of families is total, and what names anything of the database is proved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import FeatureNotSupported, Refusal
from proxy.sql import planner as planner_module
from proxy.sql.classify import HANDLERS, QUERIES, classify
from proxy.sql.families import FAMILIES, Scene, as_it_is, drafted
from proxy.sql.plan import Forward, PlanContext, Reject
from proxy.sql.planner import Planner
from proxy.sql.world import World
from tests.sql.worlds import one_statement

ANSWERED = {"DeallocateStmt", "ListenStmt", "NotifyStmt", "UnlistenStmt"}  # by the proxy, or made by channels.py
PROVED = [
    "SELECT id FROM orders", "INSERT INTO notes (id) VALUES (1)", "UPDATE orders SET note = 'x'", "DELETE FROM orders",
    "TRUNCATE notes", "COPY orders TO STDOUT", "COPY (SELECT id FROM orders) TO STDOUT", "COPY orders FROM STDIN",
    "DECLARE c CURSOR FOR SELECT id FROM orders", "PREPARE p AS SELECT id FROM orders", "EXECUTE p (1)",
    "CREATE TEMP TABLE t AS SELECT id FROM orders", "SELECT id INTO TEMP t FROM orders",
    "CREATE TEMP TABLE t (a int)", "LOCK TABLE orders", "SHOW ALL", "SELECT 1",
]  # fmt: skip
UNPROVED = ["BEGIN", "SET work_mem = '1MB'", "SHOW work_mem", "FETCH c", "CLOSE c", "SET CONSTRAINTS ALL DEFERRED"]


def test_every_statement_that_is_sent_has_a_family() -> None:
    assert set(FAMILIES) == {*HANDLERS, *QUERIES} - ANSWERED


def test_what_is_in_no_family_is_not_sent(world: World) -> None:
    classified = replace(classify(one_statement(world, "SELECT 1")), tree={"NewerStmt": {}})
    with pytest.raises(KeyError):
        drafted(classified, Scene(world, None))


@pytest.mark.parametrize("sql", PROVED)
def test_no_text_is_sent_that_verify_does_not_accept(world: World, monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    def refuse(*_: object) -> None:
        raise FeatureNotSupported("not proved")

    context = PlanContext(world.policy, world.catalog.version)
    accepted = Planner(world.catalog, 1 << 20).plan(sql.encode(), context).plans
    assert all(isinstance(one, Forward) for one in accepted), accepted
    monkeypatch.setattr(planner_module, "verify_fillings", refuse)
    (plan,) = Planner(world.catalog, 1 << 20).plan(sql.encode(), context).plans
    assert isinstance(plan, Reject)
    assert plan.message == "not proved"


@pytest.mark.parametrize("sql", UNPROVED)
def test_only_what_names_nothing_of_a_tenants_goes_unproved(world: World, sql: str) -> None:
    assert drafted(classify(one_statement(world, sql)), Scene(world, None)).proved is False


def test_as_it_is_leaves_the_tree(world: World) -> None:
    classified = classify(one_statement(world, "BEGIN"))
    assert drafted(classified, Scene(world, None)).tree is classified.tree
    assert FAMILIES["TransactionStmt"] is as_it_is


@pytest.mark.parametrize(
    "sql",
    [
        "DECLARE c CURSOR FOR SELECT set_config('work_mem', '1MB', false)",
        "COPY (UPDATE orders SET note = 'x' WHERE CURRENT OF c RETURNING id) TO STDOUT",
    ],
)
def test_a_query_within_another_statement_sets_nothing_and_is_on_no_row(world: World, sql: str) -> None:
    with pytest.raises(Refusal):
        drafted(classify(one_statement(world, sql)), Scene(world, None))
