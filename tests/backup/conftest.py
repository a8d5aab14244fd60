"""What the tests of moves have in common: a tenant at one server, and a place for it at another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backup.crossing import Crossing, crossing
from tests.kit.postgres import Cluster


@pytest.fixture
def across(postgres15: Cluster) -> Iterator[Crossing]:
    with crossing(postgres15) as made:
        yield made
