"""legit.sql on a tenant's own database: every block answers as it does without the proxy, by both protocols, on both
majors.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.equivalence.corpus import read_blocks
from tests.equivalence.run import run
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rules import own_rules
from tests.kit.sample import pristine

BLOCKS = read_blocks(Path(__file__).parents[1] / "data" / "legit.sql")


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with (
        pristine(shared_server, "private1") as copy,
        running_proxy(shared_server.port, rules=own_rules(shared_server.port, copy)) as proxy,
    ):
        yield proxy


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_every_block_answers_as_it_does_without_the_proxy(shared_server: Cluster, proxy: Proxy, protocol: str) -> None:
    private = partial(RawClient, "127.0.0.1", shared_server.port, "app", "private1")
    outcomes = run(BLOCKS, private, partial(proxy.connect, "acme_app"), protocol)
    wrong = {one.block.id: (one.expected, one.seen) for one in outcomes if one.verdict != "equal"}
    assert wrong == {}
