"""One key is one bucket, whatever its limit; two keys are two."""

from __future__ import annotations

from proxy.quota.rationing import LocalRationing, Rationing

RATE = ("acme", "", "statements_per_second", "")


def test_what_a_key_has_used_survives_another_limit_and_is_nobody_elses() -> None:
    ration: Rationing = LocalRationing()
    bucket = ration.bucket(RATE, 1.0, 10.0)
    bucket.take(8, 0.0)
    assert ration.bucket(RATE, 5.0, 50.0) is bucket
    assert (bucket.rate, bucket.burst, bucket.left(0.0)) == (5.0, 50.0, 2.0)
    for other in (("globex", *RATE[1:]), ("acme", "app", *RATE[2:]), (*RATE[:3], "write")):
        assert ration.bucket(other, 1.0, 10.0).left(0.0) == 10.0


def test_what_is_held_survives_another_limit() -> None:
    ration = LocalRationing()
    key = ("acme", "", "concurrent_statements", "")
    gauge = ration.gauge(key, 2)
    assert gauge.enter()
    assert gauge.enter()
    assert ration.gauge(key, 1) is gauge
    gauge.leave()
    assert not gauge.enter()
    assert ration.gauge(key, 2).enter()


def test_a_key_that_is_forgotten_begins_anew() -> None:
    ration = LocalRationing()
    ration.bucket(RATE, 1.0, 1.0).take(1, 0.0)
    ration.gauge(RATE, 1).enter()
    ration.forget(RATE)
    assert (ration.bucket(RATE, 1.0, 1.0).left(0.0), ration.gauge(RATE, 1).held) == (1.0, 0)
