"""Metrics: per tenant, by kind and verdict, and no label that a client could choose."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample


@pytest.fixture
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def test_statements_are_counted_by_tenant_kind_and_verdict(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as acme, proxy.connect("globex_app") as globex:
        for _ in range(3):
            acme.simple("SELECT id FROM orders")
        acme.simple("SELECT pg_read_file('x')")
        globex.simple("SELECT 1")
    found = values(proxy, "partywall_statements_total", "tenant", "kind", "verdict")
    assert found["acme", "select", "forward"] == 3
    assert found["acme", "select", "reject"] == 1
    assert found["globex", "select", "forward"] == 1


def values(proxy: Proxy, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """What one metric says, by the values of these labels."""
    found = {}
    for said, value in re.findall(rf"^{name}\{{([^}}]*)\}} (\S+)$", proxy.metrics(), re.MULTILINE):
        labelled = dict(re.findall(r'(\w+)="([^"]*)"', said))
        found[tuple(labelled[one] for one in labels)] = float(value)
    return found


def test_each_tenant_has_its_connections_latencies_bytes_plans_and_pool(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as acme, proxy.connect("acme_app"), proxy.connect("globex_app") as globex:
        for number in range(3):
            acme.simple(f"SELECT id FROM orders WHERE id = {number}")
        acme.simple("SELECT id -- by its exact text\n FROM orders")
        acme.simple("SELECT id -- by its exact text\n FROM orders")
        globex.simple("BEGIN")
        globex.simple("SELECT id FROM orders WHERE id = 5")
        assert values(proxy, "partywall_client_connections", "tenant") == {("acme",): 2, ("globex",): 1}
        pools = values(proxy, "partywall_pool_connections", "tenant", "state")
        assert (pools["acme", "idle"], pools["acme", "leased"]) == (1, 0)
        assert (pools["globex", "idle"], pools["globex", "leased"]) == (0, 1)
    plans = values(proxy, "partywall_plan_cache_lookups_total", "tenant", "result")
    assert (plans["acme", "l1"], plans["acme", "l2"], plans["acme", "miss"]) == (1, 2, 2)
    assert plans["globex", "l2"] == 1  # planned for acme, with a hole for the key
    buckets = values(proxy, "partywall_statement_seconds_bucket", "tenant", "le")
    assert buckets["acme", "+Inf"] == 5
    assert values(proxy, "partywall_statement_seconds_count", "tenant")["globex",] == 2
    for name in ("partywall_client_received_bytes_total", "partywall_client_sent_bytes_total"):
        moved = values(proxy, name, "tenant")
        assert moved["acme",] > moved["globex",] > 50


def test_rows_are_counted_whatever_way_they_go(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as acme:
        acme.simple("SELECT g FROM generate_series(1, 5) g")
        acme.simple("SELECT g FROM generate_series(1, 3) g; SELECT g FROM generate_series(1, 2) g")
        acme.simple("SELECT g FROM generate_series(1, 20000) g")
        acme.simple("COPY (SELECT g FROM generate_series(1, 4) g) TO STDOUT")
    assert values(proxy, "partywall_client_rows_total", "tenant") == {("acme",): 20014}


def test_no_label_is_a_clients_choice(proxy: Proxy) -> None:
    with proxy.connect("acme_app", application_name="chosen_by_me") as client:
        client.simple("SELECT id AS chosen_by_me FROM orders")
    with proxy.connect("acme_app") as client:
        client.simple("SELECT * FROM chosen_by_me")
    text = proxy.metrics()
    assert "chosen_by_me" not in text
    ours = "\n".join(line for line in text.splitlines() if line.startswith("partywall_"))
    assert ours
    names = set(re.findall(r'[{,](\w+)="', ours))
    known = {"tenant", "reason", "kind", "verdict", "le", "state", "database", "result", "version", "outcome", "server"}
    assert names <= known, names
