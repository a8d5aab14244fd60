"""An idle client costs little: the promise of docs/operating.md, on a smaller crowd."""

from __future__ import annotations

from benchmarks.idle import measure


def test_an_idle_client_costs_at_most_thirty_kilobytes() -> None:
    assert 0 < measure(600, tls=False) <= 30 * 1024
