"""What no store shares is divided by the number of workers; what is shared or each database's is not."""

from __future__ import annotations

from proxy.app.share import shared
from proxy.settings import load_settings


def test_rates_and_memory_are_divided_and_connections_are_not() -> None:
    settings = load_settings(None, {"memory_limit": 9, "connection_rate": 30.0})
    one = shared(settings, 3)
    assert (one.memory_limit, one.connection_rate) == (3, 10.0)
    assert one.address_connection_rate * 3 == settings.address_connection_rate
    assert one.max_client_connections == settings.max_client_connections
    assert one.max_server_connections == settings.max_server_connections
    assert one.plan_cache_bytes == settings.plan_cache_bytes


def test_without_a_limit_on_memory_the_machines_is_divided() -> None:
    limit = shared(load_settings(None, {}), 2).memory_limit
    assert limit is not None
    assert limit > 1
