"""Metrics of several processes as one: what is counted is added up and never falls."""

from __future__ import annotations

import asyncio
import math

import orjson
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from proxy.admin.merge import Family, Merged, Workers, families


def process(statements: dict[str, int], clients: int = 0, generation: int = 1, seconds: float = 0.01) -> list[Family]:
    """What a process says; as it comes over a socket."""
    registry = CollectorRegistry()
    counter = Counter("partywall_statements", "Statements", ["tenant"], registry=registry)
    for tenant, count in statements.items():
        counter.labels(tenant).inc(count)
    Gauge("partywall_client_connections", "Clients", registry=registry).set(clients)
    Gauge("partywall_rules_generation", "Rules", registry=registry).set(generation)
    Histogram("partywall_statement_seconds", "Time", registry=registry, buckets=(0.1, 1)).observe(seconds)
    found: list[Family] = orjson.loads(orjson.dumps(asyncio.run(families(registry))))
    return found


def page(merged: Merged) -> dict[str, float]:
    """The exposition of the sum, by name and labels."""
    registry = CollectorRegistry()
    registry.register(merged)
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def test_what_is_counted_is_added_up_and_what_is_the_same_everywhere_is_not() -> None:
    merged = Merged()
    merged.told(0, process({"acme": 3}, 2, 7, 0.01))
    merged.told(1, process({"acme": 4, "globex": 1}, 5, 6, 0.5))
    found = page(merged)
    assert found['partywall_statements_total{tenant="acme"}'] == 7
    assert found['partywall_statements_total{tenant="globex"}'] == 1
    assert found["partywall_client_connections"] == 7
    assert found["partywall_rules_generation"] == 7
    assert found['partywall_statement_seconds_bucket{le="0.1"}'] == 1
    assert found['partywall_statement_seconds_bucket{le="+Inf"}'] == 2
    assert found["partywall_statement_seconds_sum"] == 0.51
    assert not [name for name in found if "_created" in name]


def test_the_process_whose_journal_is_furthest_behind_is_what_the_sum_tells() -> None:
    merged = Merged()
    for number, seconds in enumerate((0.4, 90.0, 0.2)):
        registry = CollectorRegistry()
        Gauge("partywall_usage_behind_seconds", "Age", registry=registry).set(seconds)
        merged.told(number, asyncio.run(families(registry)))
    assert page(merged)["partywall_usage_behind_seconds"] == 90.0


def test_one_process_that_cannot_reach_its_store_is_seen_among_all() -> None:
    merged = Merged()
    for number, (up, age) in enumerate([(1, 0.1), (0, 7.5), (1, 0.2)]):
        registry = CollectorRegistry()
        Gauge("partywall_counter_store_up", "Up", registry=registry).set(up)
        Gauge("partywall_counter_store_age_seconds", "Age", registry=registry).set(age)
        merged.told(number, asyncio.run(families(registry)))
    assert page(merged) == {"partywall_counter_store_up": 0, "partywall_counter_store_age_seconds": 7.5}


def test_a_process_that_ended_leaves_what_it_counted_and_takes_what_it_held() -> None:
    merged = Merged()
    merged.told(0, process({"acme": 3}, 2))
    merged.told(1, process({"globex": 4}, 5))
    merged.ended(1)
    found = page(merged)
    assert found['partywall_statements_total{tenant="globex"}'] == 4
    assert found["partywall_client_connections"] == 2
    merged.told(1, process({"globex": 1}, 1))
    assert page(merged)['partywall_statements_total{tenant="globex"}'] == 5
    merged.ended(1)
    merged.ended(1)
    assert page(merged)['partywall_statements_total{tenant="globex"}'] == 5
    merged.ended(0)
    assert page(merged)['partywall_statements_total{tenant="acme"}'] == 3
    assert "partywall_client_connections" not in page(merged)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.booleans())))
def test_no_counter_ever_falls(steps: list[tuple[int, int, bool]]) -> None:
    merged, counts, before = Merged(), {0: 0, 1: 0, 2: 0}, 0.0
    for number, more, dies in steps:
        counts[number] += more
        merged.told(number, process({"acme": counts[number]}))
        if dies:
            merged.ended(number)
            counts[number] = 0
        now = page(merged)['partywall_statements_total{tenant="acme"}']
        assert now >= before
        before = now


def test_workers_are_counted_as_they_are_now() -> None:
    found = {one.name: [sample.value for sample in one.samples] for one in Workers(lambda: 3, lambda: 7).collect()}
    assert found == {"partywall_workers": [3], "partywall_worker_restarts": [7]}


def test_an_age_that_is_infinite_passes_the_control_door_and_stays_it() -> None:
    registry = CollectorRegistry()
    age = Gauge("partywall_backup_age_seconds", "Age", ["tenant"], registry=registry)
    age.labels("acme").set(math.inf)
    merged = Merged()
    merged.told(0, orjson.loads(orjson.dumps(asyncio.run(families(registry)))))
    (metric,) = merged.collect()
    assert [one.value for one in metric.samples] == [math.inf]
