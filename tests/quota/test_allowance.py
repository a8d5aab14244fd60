"""What a tenant's or login's limits are measured by, and what of it survives other limits."""

from __future__ import annotations

from functools import partial
from typing import Any

from proxy.quota.allowance import CONCURRENT, LONG, ROWS, STATEMENTS, Allowance, measures
from proxy.quota.exchange import Terms
from proxy.quota.leased import PermitGauge
from proxy.quota.rationing import LocalRationing
from proxy.quota.shared import SharedRationing
from proxy.tenancy.policy import ClassLimits, Limits


def allowance(**limits: Any) -> Allowance:
    found = Allowance("acme", "", LocalRationing())
    found.apply(Limits(**limits))
    return found


def test_every_limit_that_a_meter_counts_has_one() -> None:
    limits = Limits(
        statements_per_second=0.5,
        concurrent_statements=3,
        rows_per_minute=60,
        server_time_per_hour=36.0,
        classes={"ddl": ClassLimits(1, 10.0, 2)},
    )
    assert dict(measures(limits)) == {
        "statements_per_second": (0.5, 1.0, 1.0),
        "concurrent_statements": (3, 0.0, 0.0),
        "ddl.statements_per_second": (10.0, 2, 1.0),
        "ddl.concurrent_statements": (1, 0.0, 0.0),
        "rows_per_minute": (60, 60, 60.0),
        "server_time_per_hour": (36.0, 36.0, 3600.0),
    }
    assert dict(measures(Limits())) == {}


def test_a_burst_is_one_seconds_worth_unless_it_is_said_and_never_less_than_one() -> None:
    for rate, burst, wanted in ((5.0, None, 5.0), (0.1, None, 1.0), (5.0, 2, 2)):
        ((_, measure),) = measures(Limits(statements_per_second=rate, statement_burst=burst))
        assert measure.burst == wanted


def test_what_was_used_is_kept_when_a_limit_changes_and_what_was_counted_also_when_it_goes() -> None:
    one = allowance(rows_per_minute=60, concurrent_statements=2)
    rows, count = one.of(ROWS), one.of(CONCURRENT)
    assert rows is not None
    assert count is not None
    assert count.gauge is not None
    rows.spend(100, 0.0)
    rows.refusals = 7
    assert count.gauge.enter()
    assert one.apply(Limits(rows_per_minute=600, concurrent_statements=1))
    assert (rows.used(0.0), count.used(0.0)) == (640 / 600, 1.0)
    assert not one.apply(Limits(rows_per_minute=600, concurrent_statements=1))
    one.apply(Limits())
    assert one.of(ROWS) is None
    assert (rows.refusals, rows.used(0.0), count.used(0.0)) == (7, 0.0, 0.0)
    one.apply(None)
    assert one.of(STATEMENTS) is None


def test_what_only_warns_is_owed_one_times_worth_and_no_more() -> None:
    strict, lenient = allowance(rows_per_minute=60), allowance(rows_per_minute=60, warn=frozenset({ROWS}))
    for one, owed in ((strict, -9940.0), (lenient, -60.0)):
        meter = one.of(ROWS)
        assert meter is not None
        for _ in range(100):
            meter.spend(100, 0.0)
        assert meter.bucket is not None
        assert meter.bucket.left(0.0) == owed


def test_where_statements_wait_each_is_told_when_its_part_is_there_behind_those_in_line() -> None:
    one = allowance(
        statements_per_second=10.0, statement_burst=2, rows_per_minute=60, concurrent_statements=1,
        wait=frozenset({STATEMENTS, ROWS, CONCURRENT}),
    )  # fmt: skip
    rate, rows, count = one.of(STATEMENTS), one.of(ROWS), one.of(CONCURRENT)
    assert rate is not None
    assert rate.bucket is not None
    assert rows is not None
    assert count is not None
    assert count.gauge is not None
    assert rate.bucket.take(2, 0.0) == 0.0
    assert rate.until(0.0) == 0.1
    rate.line.append(print)
    assert rate.until(0.0) == 0.2
    assert rate.until(0.0, 3) is None  # never so many at once
    rows.spend(90, 0.0)
    assert rows.until(0.0) == 30.0
    assert count.line is count.gauge.line
    assert count.until(0.0) == LONG
    one.apply(Limits(concurrent_statements=1))
    assert count.until(0.0) is None  # it is refused


def test_who_leaves_calls_the_first_in_line() -> None:
    called: list[str] = []
    for gauge in (LocalRationing().gauge(("acme", "", CONCURRENT, ""), 1), shared_gauge()):
        assert gauge.enter()
        gauge.line.extend([partial(called.append, "first"), partial(called.append, "second")])
        gauge.leave()
        assert called.pop() == "first"
        assert len(gauge.line) == 1


def shared_gauge() -> PermitGauge:
    rationing = SharedRationing("one", Terms(), lambda: 0.0, lambda: None)
    gauge = rationing.gauge(("acme", "", CONCURRENT, ""), 1)
    rationing.fence_at = 1.0
    gauge.told(1, True)
    return gauge
