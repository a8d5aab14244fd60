"""Metrics: per tenant, by kind and verdict, and no label that a client could choose."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample


@pytest.fixture
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def page(proxy: Proxy) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_statements_are_counted_by_tenant_kind_and_verdict(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as acme, proxy.connect("globex_app") as globex:
        for _ in range(3):
            acme.simple("SELECT id FROM orders")
        acme.simple("SELECT pg_read_file('x')")
        globex.simple("SELECT 1")
    found = {}
    for labels, value in re.findall(r"^partywall_statements_total\{([^}]*)\} (\S+)$", page(proxy), re.MULTILINE):
        labelled = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[labelled["tenant"], labelled["kind"], labelled["verdict"]] = float(value)
    assert found["acme", "select", "forward"] == 3
    assert found["acme", "select", "reject"] == 1
    assert found["globex", "select", "forward"] == 1


def test_no_label_is_a_clients_choice(proxy: Proxy) -> None:
    with proxy.connect("acme_app", application_name="chosen_by_me") as client:
        client.simple("SELECT id AS chosen_by_me FROM orders")
    with proxy.connect("acme_app") as client:
        client.simple("SELECT * FROM chosen_by_me")
    text = page(proxy)
    assert "chosen_by_me" not in text
    ours = "\n".join(line for line in text.splitlines() if line.startswith("partywall_"))
    assert ours
    names = set(re.findall(r'[{,](\w+)="', ours))
    assert names <= {"tenant", "reason", "kind", "verdict", "le", "state", "database", "result", "version"}, names
