"""A proxy in front of each major, for real clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy


@pytest.fixture(scope="session")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    """The whole proxy over the sample set."""
    with running_proxy(shared_server.port) as proxy:
        yield proxy
