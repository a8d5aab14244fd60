"""The measure of the noisy neighbour measures: both tenants are there at once, and its page says what it found."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.noise import CLIENTS
from benchmarks.noisy_neighbour import (
    ALONE,
    BOTH,
    DIRECT,
    FREE,
    NOISE,
    Results,
    Sample,
    measure,
    one_queue,
    open_ways,
    plot,
    table,
)

KINDS = ("flood", "large", "logins")


def test_the_steady_tenant_is_timed_while_the_noisy_one_works() -> None:
    with ExitStack() as stack:
        cluster, ways = open_ways(stack, 20, 1000, 1)
        (way,) = ways
        assert way.name == "Partywall"
        alone = measure(cluster, way, ALONE, 1, 1, KINDS)
        both = measure(cluster, way, BOTH, 4, 2, KINDS)
    assert alone.noise is None
    assert both.noise is not None
    assert all(both.noise[kind] for kind in KINDS), both.noise
    for one in (alone, both):
        assert 0 < one.p50 <= one.p99


def test_the_page_has_medians_and_ratios() -> None:
    noise = Counter(dict.fromkeys(CLIENTS, 10.0))
    results: Results = {}
    for name, slower in (("Partywall", 2.0), (DIRECT, 1.6), (FREE, 20.0)):
        results[name, ALONE] = [Sample(0.5, p99) for p99 in (1.0, 100.0, 0.5)]
        results[name, NOISE] = [Sample(noise=noise)] * 3
        results[name, BOTH] = [Sample(0.5, slower, Counter(dict.fromkeys(CLIENTS, 5.0)))] * 3
    lines = table(list(dict.fromkeys(name for name, _ in results)), results)
    assert lines[2] == "| Partywall | 0.50 | 1.00 | 0.50 | 2.00 | 2.00 | 50%; 50% without quotas |"
    assert lines[3] == f"| {DIRECT} | 0.50 | 1.00 | 0.50 | 1.60 | 1.60 | 50% |"
    assert lines[4] == f"| {FREE} | 0.50 | 1.00 | 0.50 | 20.00 | 20.00 | 50% |"
    assert lines[6] == "The noise adds 1.00 ms to the p99 through Partywall, and 0.60 ms without a proxy."
    assert lines[-1] == f"| {FREE} " + "| 10 / 5 " * len(CLIENTS) + "|"
    assert "The noise adds" not in "".join(table([FREE], results))
    drawn = ET.fromstring(plot(["Partywall", FREE], results))
    words = "".join(drawn.itertext())
    assert all(word in words for word in ("Partywall", FREE, "20.00"))


def test_autogroups_are_off_for_as_long_as_it_measures_and_are_left_where_nobody_may_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = tmp_path / "switch"
    switch.write_text("1\n")
    monkeypatch.setattr("benchmarks.noisy_neighbour.AUTOGROUP", switch)
    with one_queue():
        assert switch.read_text() == "0"
    assert switch.read_text() == "1\n"
    for other in (tmp_path, tmp_path / "none"):
        monkeypatch.setattr("benchmarks.noisy_neighbour.AUTOGROUP", other)
        with one_queue():
            assert list(tmp_path.iterdir()) == [switch]
