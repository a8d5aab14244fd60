"""The world of a tenant with a schema of its own, on each server in turn."""

from __future__ import annotations

import pytest

from tests.kit.postgres import Cluster
from tests.kit.schemas import Beside, beside_of


@pytest.fixture
def beside(server: Cluster) -> Beside:
    return beside_of(server)


@pytest.fixture
def reading(server: Cluster) -> Beside:
    """The same for a login that may only read."""
    return beside_of(server, read_only=True)
