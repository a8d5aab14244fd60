"""A bad network on both sides of the proxy: pieces of any size and delays change nothing of what a client is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.kit.books import Books
from tests.kit.chaos import Chaos, chaos_before
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import Exchange, RawClient
from tests.kit.sample import load_sample, pristine


@dataclass(frozen=True)
class Road:
    """A proxy with a troubled network before and behind it. `clear`: the way to it without."""

    clear: Proxy
    troubled: Proxy
    before: Chaos
    behind: Chaos


@pytest.fixture(scope="module")
def road(postgres15: Cluster) -> Iterator[Road]:
    cluster = load_sample(postgres15)
    with (
        pristine(cluster) as database,
        chaos_before(cluster.port) as behind,
        running_proxy(behind.port, database) as proxy,
        chaos_before(proxy.port) as before,
    ):
        yield Road(proxy, replace(proxy, port=before.port), before, behind)
        Books(proxy, cluster.dsn(database=database)).settled("a bad network")


def talk(client: RawClient) -> list[Exchange]:
    """A bit of everything; what does not depend on the network."""
    told = [client.simple("SELECT id, qty FROM orders ORDER BY id; SELECT nothing"), client.simple("BEGIN")]
    told.append(client.extended("SELECT id FROM customers WHERE id > $1 ORDER BY id", [b"1"]))
    told += [client.extended("SELECT 1 / 0"), client.simple("ROLLBACK")]
    told.append(client.simple("COPY (SELECT id FROM orders ORDER BY id) TO STDOUT"))
    told.append(client.simple("SELECT repeat('x', 100)"))
    return told


@pytest.mark.parametrize("piece", [1, 2, 7])
def test_pieces_of_any_size_mean_the_same_on_both_sides(road: Road, piece: int) -> None:
    with road.clear.connect("acme_app") as client:
        expected = [one.raw for one in talk(client)]
    road.before.trouble(piece)
    road.behind.trouble(piece)
    with road.troubled.connect("acme_app") as client:
        assert [one.raw for one in talk(client)] == expected
    road.before.trouble()
    road.behind.trouble()


def test_a_slow_network_is_slow_and_nothing_else(road: Road) -> None:
    with road.clear.connect("acme_app") as client:
        expected = [one.raw for one in talk(client)]
    road.before.trouble(delay=0.01)
    road.behind.trouble(delay=0.01)
    with road.troubled.connect("acme_app") as client:
        assert [one.raw for one in talk(client)] == expected
    road.before.trouble()
    road.behind.trouble()
