"""On a tenant's own database every block of legit.sql, every mistake and every story of a session's answers as without
the proxy, by both protocols, on both majors.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.equivalence.compare import observe
from tests.equivalence.corpus import read_blocks
from tests.equivalence.run import run
from tests.equivalence.test_errors import MISTAKES
from tests.equivalence.test_sessions import CURSORS, PREPARED, SETTINGS, STRINGS, TABLES
from tests.equivalence.test_transaction_pooling import FEATURES, say
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


# What one statement after the other tells, by name.
STORIES = {
    **{f"prepared: {name}": story for name, story in PREPARED.items()},
    **{f"cursor: {name}": story for name, story in CURSORS.items()},
    **{f"table: {name}": story for name, story in TABLES.items()},
    **{f"setting: {name}": story for name, story in SETTINGS.items()},
    **{f"string: {name}": (story,) for name, story in STRINGS.items()},
    **{f"pooled: {one.name}": one.statements for one in FEATURES if one.name != "LOAD statement"},
    "mistakes": MISTAKES,
    "mistakes behind others": tuple(f"SELECT 'é'; ; {one}; SELECT 2" for one in MISTAKES),
    "explain": (
        "EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE id = 1",
        "EXPLAIN (COSTS off, VERBOSE) SELECT count(*) FROM orders",
    ),
    "code": (
        "DO $$ BEGIN RAISE NOTICE 'here %', 1; END $$",
        "DO $$ BEGIN PERFORM 1 / 0; END $$",
        "SELECT order_total(1)",
    ),
}


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_every_story_is_told_as_without_the_proxy(shared_server: Cluster, proxy: Proxy, protocol: str) -> None:
    wrong = {}
    for name, story in STORIES.items():
        told = []
        for client in (
            RawClient("127.0.0.1", shared_server.port, "app", "private1"),
            proxy.connect("acme_app"),
        ):
            with client:
                if name.startswith(("string", "mistakes behind")):
                    told.append([observe(client.simple(one), ordered=True) for one in story])
                else:
                    told.append([say(client, one, protocol) for one in story])
        for one, expected, seen in zip(story, *told, strict=True):
            if seen != expected:
                wrong[name, one] = (expected, seen)
    assert wrong == {}
