"""A reload takes the rules whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample


@pytest.fixture
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def metric(proxy: Proxy, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", proxy.metrics(), re.MULTILINE)
    assert found is not None
    return float(found.group(1))


def test_bad_rules_are_refused_whole_and_the_old_ones_stay(proxy: Proxy) -> None:
    generation = metric(proxy, "partywall_rules_generation")
    bad = proxy.directory / "rules" / "bad.yaml"
    bad.write_text("tenant: mallory\nkey: 1\ncolour: red\n")
    proxy.reload()
    assert eventually(lambda: "rules refused" in proxy.log, 20)
    assert metric(proxy, "partywall_rules_generation") == generation
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
    bad.unlink()
    proxy.reload()
    assert eventually(lambda: metric(proxy, "partywall_rules_generation") == generation + 1, 20)


def test_an_open_session_keeps_nothing_that_new_rules_took_away(proxy: Proxy) -> None:
    sample = proxy.directory / "rules" / "sample.yaml"
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM products").errors == []
        sample.write_text(
            sample.read_text().replace("products:        {shared: read}", "products:        {hidden: true}")
        )
        generation = metric(proxy, "partywall_rules_generation")
        proxy.reload()
        assert eventually(lambda: metric(proxy, "partywall_rules_generation") > generation, 20)
        (error,) = client.simple("SELECT count(*) FROM products").errors
        assert error["C"] == "42P01"
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]


def test_of_a_tenant_that_the_rules_name_no_more_no_figure_is_left(proxy: Proxy) -> None:
    sample = proxy.directory / "rules" / "sample.yaml"
    with proxy.connect("globex_app") as client:
        assert client.simple("SELECT count(*) FROM orders").errors == []
        assert 'partywall_client_connections{tenant="globex"} 1.0' in proxy.metrics()
        documents = sample.read_text().split("\n---\n")
        sample.write_text("\n---\n".join(one for one in documents if "tenant: globex" not in one))
        proxy.reload_whole()
        assert eventually(lambda: 'tenant="globex"' not in proxy.metrics(), 20)
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
    sample.write_text("\n---\n".join(documents))
    proxy.reload_whole()
    with proxy.connect("globex_app") as client:
        assert client.simple("SELECT count(*) FROM orders").errors == []
    assert 'partywall_sessions_total{tenant="globex"} 1.0' in proxy.metrics()
