"""A proxy in front of each major, for real clients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy


@pytest.fixture(scope="session")
def proxies() -> Iterator[Callable[[int], Proxy]]:
    """One for each server by its port, however often the tests turn from one server to the other."""
    with ExitStack() as stack:
        yield functools.cache(lambda port: stack.enter_context(running_proxy(port)))


@pytest.fixture(scope="session")
def proxy(shared_server: Cluster, proxies: Callable[[int], Proxy]) -> Proxy:
    """The whole proxy over the sample set."""
    return proxies(shared_server.port)
