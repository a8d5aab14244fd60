"""The page of metrics is what the client library makes of them, and no piece of it holds up the loop for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.admin.exposition import exposition
from proxy.admin.metrics import TOGETHER, Sources, registry
from proxy.pool.ledger import Ledger
from proxy.pool.statistics import Counters as PoolCounters
from proxy.pool.statistics import snapshot
from proxy.session.traffic import Traffic


class InPieces(Collector):
    """A family in several pieces, with another between them."""

    def collect(self) -> Iterator[Metric]:
        for tenants in (("acme", "globex"), ("initech",)):
            for name in ("one", "other"):
                family = CounterMetricFamily(name, f"Of {name}", labels=["tenant"])
                for tenant in tenants:
                    family.add_metric([tenant], len(tenant))
                yield family


async def test_the_pieces_of_a_family_stand_together_under_one_header() -> None:
    pieces = CollectorRegistry()
    pieces.register(InPieces())
    assert (await exposition(pieces)).decode().splitlines() == [
        "# HELP one_total Of one",
        "# TYPE one_total counter",
        'one_total{tenant="acme"} 4.0',
        'one_total{tenant="globex"} 6.0',
        'one_total{tenant="initech"} 7.0',
        "# HELP other_total Of other",
        "# TYPE other_total counter",
        'other_total{tenant="acme"} 4.0',
        'other_total{tenant="globex"} 6.0',
        'other_total{tenant="initech"} 7.0',
    ]


async def test_what_comes_whole_is_as_the_library_writes_it() -> None:
    whole = CollectorRegistry()
    Counter("statements", "With \\ and\na line", ["tenant"], registry=whole).labels('a"b').inc()
    Histogram("seconds", "Time", registry=whole).observe(0.2)
    assert await exposition(whole) == generate_latest(whole)


async def test_the_loop_has_its_turn_after_so_many_tenants() -> None:
    traffic = Traffic()
    asked: list[str] = []

    def each() -> Iterator[tuple[str, object]]:
        for tenant, one in traffic.each():
            asked.append(tenant)
            yield tenant, one

    for number in range(4 * TOGETHER):
        traffic.of(f"tenant{number}", "app").rows = number
    ledger: Ledger[object, object] = Ledger(10, lambda: 0.0)
    figures = registry(
        Sources(
            traffic=each,  # type: ignore[arg-type]  # the same, looked at
            pools=lambda: snapshot(ledger, PoolCounters()),
            databases=dict,
            generation=lambda: 1,
            reload_failed=lambda: False,
        )
    )
    page = asyncio.ensure_future(exposition(figures))
    turns = [0]
    while not page.done():
        await asyncio.sleep(0)
        turns.append(len(asked))
    assert max(after - before for before, after in pairwise(turns)) <= TOGETHER
    text = page.result().decode()
    assert text.count("# TYPE partywall_client_rows_total counter") == 1
    assert f'partywall_client_rows_total{{tenant="tenant{4 * TOGETHER - 1}"}} {4 * TOGETHER - 1}.0' in text
