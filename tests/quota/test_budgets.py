"""Budgets outlive sessions and reloads; a name that no rules have any more is forgotten, with all that it had used."""

from __future__ import annotations

from typing import Any

from proxy.quota.budget import Budget
from proxy.quota.budgets import Budgets, QuotaStatistics
from proxy.quota.rationing import LocalRationing
from proxy.tenancy.policy import READ, Limits
from tests.quota.test_budget import Used, none


def of(
    budgets: Budgets, login: str = "app", own: Limits | None = None, used: Used | None = None, **limits: Any
) -> Budget:
    found = budgets.of("acme", login, Limits(**limits), own, used or Used(), 0.0)
    assert found is not None
    return found


def test_other_limits_hold_for_all_sessions_of_a_tenant_and_keep_what_was_used() -> None:
    budgets = Budgets()
    first, second = of(budgets, "a", statements_per_second=10.0), of(budgets, "b", statements_per_second=10.0)
    assert all(first.admit(READ, 0.0) for _ in range(8))
    assert of(budgets, "b", statements_per_second=100.0) is second
    assert [first.admit(READ, 0.0) for _ in range(3)] == [True, True, False]
    assert all(first.admit(READ, 0.5) for _ in range(50))  # the new rate
    assert of(budgets, "a", statements_per_second=1.0) is first
    assert second.admit(READ, 0.5) is False


def test_a_debt_survives_a_reload_and_the_sessions_that_made_it() -> None:
    budgets, used = Budgets(), Used()
    one = of(budgets, used=used, rows_per_minute=60)
    assert one.admit(READ, 0.0)
    used.rows = 600
    assert not one.admit(READ, 0.0)
    budgets.forget(["acme"], lambda tenant, login: True)
    again = of(budgets, used=used, rows_per_minute=120)
    assert not again.admit(READ, 200.0)
    assert again.admit(READ, 271.0)


def test_a_limit_that_a_tenant_gets_later_counts_from_then_on() -> None:
    budgets, used = Budgets(), Used(rows=10_000)
    assert budgets.of("acme", "app", Limits(), None, used, 0.0) is None
    used.rows = 20_000
    assert of(budgets, used=used, rows_per_minute=60).admit(READ, 0.0)


def test_nothing_is_kept_of_who_has_no_limits() -> None:
    budgets = Budgets()
    assert budgets.of("acme", "app", Limits(), None, Used(), 0.0) is None
    assert budgets.of("acme", "app", Limits(), none(statement_timeout=1.0), Used(), 0.0) is None
    assert budgets._tenants == {}
    assert of(budgets, "app", none(rows_per_minute=5)).own.of("rows_per_minute") is not None


def test_who_is_gone_from_the_rules_is_forgotten() -> None:
    ration = LocalRationing()
    budgets = Budgets(ration)
    assert of(budgets, "a", none(statements_per_second=1.0), statements_per_second=1.0).admit(READ, 0.0)
    of(budgets, "b", none(statements_per_second=1.0), statements_per_second=1.0)
    budgets.forget(["acme"], lambda tenant, login: login == "b")
    assert ("acme", "a", "statements_per_second", "") not in ration._buckets
    assert ("acme", "b", "statements_per_second", "") in ration._buckets
    budgets.forget(["globex"], lambda tenant, login: True)
    assert ration._buckets == {}
    assert budgets.statistics(0.0) == ()
    assert of(budgets, statements_per_second=1.0).admit(READ, 0.0)


def test_a_login_that_is_another_tenants_has_none_of_what_it_was() -> None:
    budgets = Budgets()
    assert of(budgets, "app", none(statements_per_second=1.0)).admit(READ, 0.0)
    other = budgets.of("globex", "app", Limits(), none(statements_per_second=1.0), Used(), 0.0)
    assert other is not None
    assert other.admit(READ, 0.0)


def test_statistics_tell_the_share_that_is_used_and_how_often_a_limit_was_hit() -> None:
    budgets, used = Budgets(), Used()
    one = of(budgets, "a", none(concurrent_statements=4), used, rows_per_minute=100, statements_per_second=2.0)
    two = of(budgets, "b", none(concurrent_statements=4), rows_per_minute=100, statements_per_second=2.0)
    assert one.admit(READ, 0.0)
    assert two.admit(READ, 0.0)
    refused = two.judge([READ], 0.0).meter
    assert refused is not None
    refused.refusals += 1  # as who refuses does
    used.rows = 150
    assert set(budgets.statistics(0.0)) == {
        QuotaStatistics("acme", "statements_per_second", 1.0, 1, 0),
        QuotaStatistics("acme", "rows_per_minute", 1.5, 0, 0),
        QuotaStatistics("acme", "login.concurrent_statements", 0.25, 0, 0),
    }
