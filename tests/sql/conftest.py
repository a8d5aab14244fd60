"""A tenant's world over the sample set on a real server."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from proxy.sql.world import World
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample
from tests.sql.worlds import sample_catalog, sample_policy


@pytest.fixture(scope="session")
def sample_port(postgres15: Cluster) -> int:
    """The port of a PostgreSQL 15 with the sample set."""
    return urlsplit(load_sample(postgres15).dsn()).port or 0


@pytest.fixture(scope="session")
def world(sample_port: int) -> World:
    """The sample set as a tenant sees it."""
    return World(sample_policy(), sample_catalog(sample_port))
