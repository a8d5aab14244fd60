"""setseed() steers the session's random() as on a private database, whatever others do in between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.test_transaction_pooling import pinned
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

DRAWS = [
    "SELECT setseed(0.42)",
    "SELECT random()",
    "SELECT random(), random()",
    "SELECT random(), 1 / 0",
    "SELECT random()",
    "SELECT setseed(-1), setseed('0.5'), setseed(1)",
    "SELECT random()",
    "SELECT setseed(NULL)",
    "SELECT random()",
    "SELECT setseed(2)",
    "SELECT random()",
    "BEGIN",
    "SELECT setseed(0.1), 1 / 0",
    "ROLLBACK",
    "SELECT random()",
    "DISCARD ALL",
    "SELECT random()",
    "SELECT setseed(true)",
    "SELECT setseed()",
    "SELECT setseed(0.1, 0.2)",
    "SELECT proname FROM pg_proc WHERE proname = 'setseed'",
]


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_the_same_seed_gives_the_same_numbers(shared_server: Cluster, proxy: Proxy, protocol: str) -> None:
    def say(client: RawClient, text: str) -> tuple[list[tuple[str, str]], list[tuple[bytes | None, ...]]]:
        found = client.simple(text) if protocol == "simple" else client.extended(text)
        return [(one["C"], one["M"]) for one in found.errors], found.rows

    with (
        RawClient("127.0.0.1", shared_server.port, "app", "private1") as private,
        proxy.connect("acme_app") as client,
        proxy.connect("acme_app") as second,
        proxy.connect("globex_app") as other,
    ):
        for text in DRAWS:
            assert say(client, text) == say(private, text), text
            assert second.simple("SELECT random()").errors == other.simple("SELECT random()").errors == []
        assert eventually(lambda: pinned(proxy) == {"setseed": 1}, 20.0)
    assert eventually(lambda: pinned(proxy) == {}, 20.0)
