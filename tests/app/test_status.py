"""What a process tells of itself: the same figures as the metrics, and a line for each session that is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.fleet.control import Pause, Statistics
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample


@pytest.fixture(scope="module")
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def test_a_process_tells_its_tenants_and_their_connections(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client, proxy.connect("globex_app"):
        client.simple("SELECT count(*) FROM orders")
        (found,) = proxy.ask(Statistics()).result["processes"]
        assert (found["worker"], found["state"], found["generation"], found["clients"]) == (0, "serving", 1, 2)
        assert found["server_connections_limit"] == 100
        by_name = {one["tenant"]: one for one in found["tenants"]}
        assert by_name.keys() == {"acme", "globex"}
        acme = by_name["acme"]
        assert (acme["clients"], acme["held"]) == (1, 0)
        assert min(acme["sessions"], acme["statements"]) >= 1
        assert acme["server_connections"]["leased"] == 0
        (alone,) = proxy.ask(Statistics("acme")).result["processes"]
        assert [one["tenant"] for one in alone["tenants"]] == ["acme"]


def test_who_listens_for_its_tenant_keeps_no_pause_and_who_runs_a_statement_is_active(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as listener, proxy.connect("acme_app") as busy:
        listener.simple("LISTEN news")
        assert proxy.ask(Pause("acme", hold=0.0)).problems == ()
        busy.send("Q", b"SELECT pg_sleep(600)\0")
        assert eventually(lambda: holders(proxy), 20)
        assert [(one["state"], one["login"]) for one in holders(proxy)] == [("active", "acme_app")]


def holders(proxy: Proxy) -> list[dict[str, object]]:
    found: list[dict[str, object]] = (proxy.ask(Pause("acme", timeout=0.05, hold=0.0)).result or {}).get("holders", [])
    return found
