"""What the tests of moves and of killed commands have in common: a tenant at one server, and a place for it at another;
a process that is warm.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backup.crossing import Crossing, crossing
from tests.kit.killing import Driver, driver
from tests.kit.postgres import Cluster


@pytest.fixture
def across(postgres15: Cluster) -> Iterator[Crossing]:
    with crossing(postgres15) as made:
        yield made


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("killing") / "told") as one:
        yield one
