"""A budget admits what its tenant's and its login's limits admit together: all of what is asked for, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.quota.budget import LOOK, Budget, Judgement
from proxy.quota.budgets import Budgets
from proxy.tenancy.policy import DDL, READ, UNCLASSED, WRITE, ClassLimits, Limits


@dataclass
class Used:
    rows: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    server: float = 0.0


def budget(own: Limits | None = None, used: Used | None = None, **limits: Any) -> Budget:
    found = Budgets().of("acme", "app", Limits(**limits), own, used or Used(), 0.0)
    assert found is not None
    return found


def code(judged: Judgement) -> str:
    return "" if judged.exceeded is None else judged.exceeded.label


def none(**limits: Any) -> Limits:
    """A login's own."""
    return Limits(connections=None, server_connections=None, **limits)


def test_who_has_no_limit_that_is_counted_has_no_budget() -> None:
    assert Budgets().of("acme", "app", Limits(), None, Used(), 0.0) is None
    assert Budgets().of("acme", "app", Limits(statement_timeout=1.0), none(), Used(), 0.0) is None


def test_the_tenants_limit_is_for_all_its_logins_together_and_a_logins_own_for_it_alone() -> None:
    budgets, limits = Budgets(), Limits(statements_per_second=10.0)
    app = budgets.of("acme", "app", limits, none(statements_per_second=3.0), Used(), 0.0)
    other = budgets.of("acme", "other", limits, None, Used(), 0.0)
    stranger = budgets.of("globex", "g", limits, None, Used(), 0.0)
    assert app is not None
    assert other is not None
    assert stranger is not None
    assert [app.admit(READ, 0.0) for _ in range(4)] == [True, True, True, False]
    assert code(app.judge([READ], 0.0)) == "login.statements_per_second"
    assert [other.admit(READ, 0.0) for _ in range(8)] == [True] * 7 + [False]
    assert code(other.judge([READ], 0.0)) == "statements_per_second"
    assert all(stranger.admit(READ, 0.0) for _ in range(10))


def test_a_class_has_its_own_limit_besides() -> None:
    one = budget(statements_per_second=5.0, classes={"write": ClassLimits(statements_per_second=2.0)})
    assert [one.admit(WRITE, 0.0) for _ in range(3)] == [True, True, False]
    assert code(one.judge([WRITE], 0.0)) == "write.statements_per_second"
    assert [one.admit(kind, 0.0) for kind in (READ, DDL, UNCLASSED, READ)] == [True, True, True, False]


def test_what_is_refused_takes_nothing() -> None:
    one = budget(
        own=none(statements_per_second=100.0, concurrent_statements=1),
        statements_per_second=100.0,
        concurrent_statements=5,
        classes={"write": ClassLimits(2, 1.0)},
    )
    assert one.admit(WRITE, 0.0)
    levels = [bucket.left(0.0) for buckets in one.buckets for bucket in buckets]
    held = [gauge.held for gauges in one.gauges for gauge in gauges]
    assert not one.admit(WRITE, 0.0)  # of the class's rate
    assert not one.admit(READ, 0.0)  # of the login's gauge
    assert code(one.judge([WRITE, READ], 0.0)) == "write.statements_per_second"
    assert code(one.judge([READ, READ], 0.0)) == "login.concurrent_statements"
    assert [bucket.left(0.0) for buckets in one.buckets for bucket in buckets] == levels
    assert [gauge.held for gauges in one.gauges for gauge in gauges] == held
    one.withdraw(WRITE, 0.0)
    assert all(gauge.held == 0 for gauges in one.gauges for gauge in gauges)
    assert all(bucket.left(0.0) == bucket.burst for buckets in one.buckets for bucket in buckets)


def test_statements_that_come_together_are_admitted_together_or_not_at_all() -> None:
    one = budget(statements_per_second=5.0, classes={"write": ClassLimits(statements_per_second=2.0)})
    assert code(one.judge([READ, WRITE, READ], 0.0)) == ""
    assert code(one.judge([READ, WRITE, READ], 0.0)) == "statements_per_second"
    assert code(one.judge([READ, WRITE], 0.0)) == ""
    told = budget(statements_per_second=5.0).judge([READ] * 6, 0.0).exceeded
    assert told is not None
    assert told.detail == "6 statements were sent together, and no more than 5 are ever admitted at once."


@pytest.mark.parametrize(
    ("limit", "field", "amount"),
    [
        ("rows_per_minute", "rows", 60), ("bytes_per_minute", "bytes_out", 6000),
        ("received_bytes_per_minute", "bytes_in", 6000), ("server_time_per_hour", "server", 36.0),
    ],
)  # fmt: skip
def test_what_was_used_is_owed_and_nothing_is_admitted_until_it_is_paid(limit: str, field: str, amount: float) -> None:
    used = Used()
    one = budget(None, used, **{limit: amount})
    period = 3600.0 if limit == "server_time_per_hour" else 60.0
    assert one.admit(READ, 0.0)
    setattr(used, field, amount * 2)
    one.at = 10.0  # it ended then
    assert not one.admit(READ, 10.0)
    assert code(one.judge([READ], 10.0)) == limit
    assert not one.admit(READ, 10.0 + period * 0.99)
    assert one.admit(READ, 10.0 + period * 1.01)


def test_what_was_used_is_noticed_at_once_where_it_is_all_and_else_soon() -> None:
    used = Used()
    one = budget(used=used, rows_per_minute=100)
    assert one.admit(READ, 0.0)
    used.rows = 99
    one.at = 0.001
    assert one.admit(READ, 0.002)
    used.rows = 100
    one.at = 0.003
    assert not one.admit(READ, 0.003)
    (meter,) = one.owed[0]
    assert meter.used(0.003) == pytest.approx(1.0, abs=1e-4)


def test_what_was_used_long_ago_is_paid_by_now() -> None:
    used = Used()
    one = budget(used=used, rows_per_minute=60)
    assert one.admit(READ, 0.0)
    used.rows = 59
    one.at = 1.0
    assert one.admit(READ, 3600.0)
    used.rows = 100
    one.at = 3600.0
    assert one.admit(READ, 3600.0 + LOOK)


def test_the_end_of_a_transaction_is_admitted_and_owed() -> None:
    one = budget(used=Used(), statements_per_second=1.0, concurrent_statements=1, rows_per_minute=1)
    assert one.admit(READ, 0.0)
    one.used.rows = 10
    judged = one.judge([UNCLASSED], 0.0, ends=True)
    assert judged == Judgement(None, (), ())
    assert one.buckets[READ][0].left(0.0) == -1.0


def test_what_was_counted_before_takes_nothing_but_its_place() -> None:
    one = budget(statements_per_second=1.0, concurrent_statements=2)
    judged = one.judge([READ], 0.0)
    again = one.judge([READ], 0.0, judged.entered, paid=True)
    assert again.entered == judged.entered
    assert one.gauges[READ][0].held == 1
    assert code(one.judge([READ], 0.0, again.entered)) == "statements_per_second"


def test_what_only_warns_is_told_and_admitted_and_not_owed_for_ever() -> None:
    used = Used()
    warns = frozenset({"statements_per_second", "concurrent_statements", "rows_per_minute"})
    one = budget(used=used, statements_per_second=1.0, concurrent_statements=1, rows_per_minute=60, warn=warns)
    assert one.admit(READ, 0.0)
    used.rows = 10_000
    assert not one.admit(READ, 0.0)
    judged = one.judge([READ], 0.0)
    assert judged.exceeded is None
    assert [told.label for told in judged.warned] == [
        "rows_per_minute", "statements_per_second", "concurrent_statements",
    ]  # fmt: skip
    assert judged.entered == ()
    assert one.judge([READ], 61.0).warned[0].label == "concurrent_statements"


def test_planning_is_owed_by_itself() -> None:
    one = budget(planning_time_per_minute=6.0)
    assert one.may_plan(0.0).exceeded is None
    one.planned(9.0, 0.0)
    assert code(one.may_plan(0.0)) == "planning_time_per_minute"
    assert one.admit(READ, 0.0)  # what needs no planning goes on
    one.planned(-6.0, 0.0)  # it took less than was reckoned
    assert one.may_plan(0.0).exceeded is None
    lenient = budget(planning_time_per_minute=6.0, warn=frozenset({"planning_time_per_minute"}))
    lenient.planned(9.0, 0.0)
    assert [told.label for told in lenient.may_plan(0.0).warned] == ["planning_time_per_minute"]


def test_a_flood_is_noticed_while_it_comes_in() -> None:
    used = Used()
    one = budget(used=used, received_bytes_per_minute=1000)
    assert one.admit(READ, 0.0)
    used.bytes_in = 999
    assert one.flooded(0.0) is None
    used.bytes_in = 1000
    told = one.flooded(0.0)
    assert told is not None
    assert told.label == "received_bytes_per_minute"


ASKED = (READ, WRITE, UNCLASSED)
PAUSES = st.one_of(st.just(0.0), st.floats(0.0, 0.1), st.floats(0.0, 100.0))


@given(
    st.lists(st.tuples(PAUSES, st.lists(st.sampled_from(ASKED), min_size=1, max_size=4), st.booleans())),
    st.floats(0.1, 50.0), st.integers(1, 20), st.floats(0.1, 20.0),
)  # fmt: skip
def test_whatever_is_asked_of_a_budget_no_window_has_more_than_each_of_its_limits(
    schedule: list[tuple[float, list[int], bool]], rate: float, burst: int, own_rate: float
) -> None:
    limits: dict[str, Any] = {"statements_per_second": rate, "statement_burst": burst}
    one = budget(
        own=none(statements_per_second=own_rate), classes={"write": ClassLimits(statements_per_second=1.0)}, **limits
    )
    now = 0.0
    admitted: list[tuple[float, int, int]] = []
    for pause, kinds, alone in schedule:
        now += pause
        if alone and one.admit(kinds[0], now):
            admitted.append((now, 1, kinds[0] == WRITE))
        elif not alone and one.judge(kinds, now).exceeded is None:
            admitted.append((now, len(kinds), kinds.count(WRITE)))
    for first in range(len(admitted)):
        total = writes = 0
        for moment, count, written in admitted[first:]:
            total, writes = total + count, writes + written
            window = moment - admitted[first][0]
            assert total <= rate * window + burst + 1e-6
            assert total <= own_rate * window + max(1.0, own_rate) + 1e-6
            assert writes <= window + 1.0 + 1e-6


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(0, 100)), max_size=60))
def test_more_is_never_used_than_the_limit_allows_and_the_statements_under_way(
    schedule: list[tuple[float, int]],
) -> None:
    """A statement is admitted while anything is left, so that what all of them use passes the limit by the last."""
    used = Used()
    one = budget(used=used, rows_per_minute=60)
    now = 0.0
    history: list[tuple[float, int]] = []
    for pause, rows in schedule:
        now += pause
        if one.admit(READ, now):
            used.rows += rows
            one.at = now
            history.append((now, rows))
    for first in range(len(history)):
        total = 0
        for moment, rows in history[first:]:
            assert total <= 60 * (moment - history[first][0]) / 60 + 60 + 1 + 1e-6  # what was used before this one
            total += rows
