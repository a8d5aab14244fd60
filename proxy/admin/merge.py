"""Metrics of several processes as one: families as plain data, and the sum of them.

Counters and histograms are added up, and so are gauges, but for those that are the same everywhere, or should be (the
greatest counts, of what is well the least), and those of one process alone. What a process had counted when it was last
asked stays in the sum for ever, so that no counter falls when it dies; its gauges go with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.admin.exposition import pieces

GREATEST = frozenset(
    {
        "partywall_backup_age_seconds", "partywall_backup_last_bytes", "partywall_backup_last_seconds",
        "partywall_counter_store_age_seconds", "partywall_counter_store_fenced",
        "partywall_rules_generation", "partywall_rules_reload_failed", "partywall_info", "partywall_catalog_version",
        "partywall_storage_bytes", "partywall_usage_behind_seconds", "python_info", "process_max_fds",
        "process_start_time_seconds",
    }
)  # fmt: skip
LEAST = frozenset({"partywall_counter_store_up"})
COUNTING = frozenset({"counter", "histogram", "summary"})

Family = list[Any]
"""Name, documentation, type, and samples: each a name, labels, and a value."""
Key = tuple[str, tuple[tuple[str, str], ...]]


async def families(registry: CollectorRegistry) -> list[Family]:
    """What a registry collects, as data for JSON; a family may come in several pieces. When counters were made is left
    out.
    """
    return [
        [
            one.name,
            one.documentation,
            one.type,
            [[s.name, s.labels, _told(s.value)] for s in one.samples if not s.name.endswith("_created")],
        ]
        async for one in pieces(registry)
    ]


def _told(value: float) -> float | str:
    """As float() reads it again: JSON has no number that is infinite."""
    return value if math.isfinite(value) else str(value)


class Merged(Collector):
    """The sum over processes, each by a number that another one may have later."""

    def __init__(self) -> None:
        self._last: dict[int, list[Family]] = {}  # what each said last
        self._gone: dict[str, _Sum] = {}  # what was counted by those that are no more, by family

    def told(self, number: int, found: list[Family]) -> None:
        """A process said this."""
        self._last[number] = found

    def ended(self, number: int) -> None:
        """A process is no more."""
        counted = [one for one in self._last.pop(number, ()) if one[2] in COUNTING]
        for family in counted:
            self._gone.setdefault(family[0], _Sum(family)).add(family[3])

    def collect(self) -> Iterator[Metric]:
        """Every family once."""
        sums = {name: one.copy() for name, one in self._gone.items()}
        for found in self._last.values():
            for family in found:
                sums.setdefault(family[0], _Sum(family)).add(family[3])
        for one in sums.values():
            metric = Metric(one.name, one.documentation, one.kind)
            for (name, labels), value in one.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric


class _Sum:
    """One family, added up."""

    def __init__(self, family: Family) -> None:
        self.name, self.documentation, self.kind = family[:3]
        self.samples: dict[Key, float] = {}
        self._add: Callable[[float, float], float] = float.__add__
        if self.name in GREATEST or self.name in LEAST:
            self._add = max if self.name in GREATEST else min

    def add(self, samples: Iterable[list[Any]]) -> None:
        for name, labels, value in samples:
            key = name, tuple(labels.items())
            self.samples[key] = self._add(self.samples[key], float(value)) if key in self.samples else float(value)

    def copy(self) -> _Sum:
        made = _Sum([self.name, self.documentation, self.kind])
        made.samples = dict(self.samples)
        return made


class Workers(Collector):
    """How many workers serve, and how many were started again."""

    def __init__(self, serving: Callable[[], int], restarts: Callable[[], int]) -> None:
        self._serving = serving
        self._restarts = restarts

    def collect(self) -> Iterator[Metric]:
        """Both."""
        yield GaugeMetricFamily("partywall_workers", "Workers that serve", value=self._serving())
        died = "Workers started again after they died"
        yield CounterMetricFamily("partywall_worker_restarts", died, value=self._restarts())
