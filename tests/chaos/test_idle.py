"""A storm of connects is let in whole, and an idle client costs little, as docs/operating.md promises."""

from __future__ import annotations

from benchmarks.idle import measure


def test_a_thousand_connects_at_once_are_served_and_each_costs_at_most_thirty_kilobytes() -> None:
    assert 0 < measure(1000, tls=False, at_once=1000) <= 30 * 1024
