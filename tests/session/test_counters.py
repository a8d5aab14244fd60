"""Counters: every statement is in one bucket, and a snapshot does not change any more."""

from __future__ import annotations

from proxy.session.counters import BUCKETS, Counters


def test_a_latency_falls_into_the_first_bucket_that_holds_it() -> None:
    counters = Counters()
    for seconds in (0.0, BUCKETS[0], BUCKETS[0] * 1.01, BUCKETS[-1], BUCKETS[-1] + 1):
        counters.observe(seconds)
    statistics = counters.statistics()
    assert statistics.buckets[0] == 2
    assert statistics.buckets[1] == 1
    assert statistics.buckets[-2:] == (1, 1)
    assert sum(statistics.buckets) == 5


def test_statements_are_counted_by_kind_and_verdict() -> None:
    counters = Counters()
    counters.forwarded["select"] = 2
    counters.rejected["select"] = 1
    counters.answered["discard"] = 3
    taken = counters.statistics()
    counters.forwarded["select"] = 9
    assert taken.statements == {("select", "forward"): 2, ("select", "reject"): 1, ("discard", "answer"): 3}


def test_pinned_sessions_are_told_by_reason() -> None:
    counters = Counters()
    counters.pinned["cursor"] = 1
    taken = counters.statistics()
    counters.pinned["cursor"] = 0
    assert taken.pinned == {"cursor": 1}
