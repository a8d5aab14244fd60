"""A connection to the sample set as the role that serves tenants, and one as superuser that changes things."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from proxy.catalog.connect import connect
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import Cluster

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection


@pytest.fixture
async def connection(shared_server: Cluster) -> AsyncIterator[CatalogConnection]:
    opened = await connect(Server("127.0.0.1", shared_server.port, "shared", "app"), Credentials(tls="disable"))
    yield opened
    await opened.close()


@pytest.fixture
async def changing(shared_server: Cluster, pristine_shared: str) -> AsyncIterator[CatalogConnection]:
    """As the role app, to a copy that the test may change."""
    server = Server("127.0.0.1", shared_server.port, pristine_shared, "app")
    opened = await connect(server, Credentials(tls="disable"))
    yield opened
    await opened.close()
