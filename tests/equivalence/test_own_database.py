"""On a tenant's own database every mistake and every story of a session's answers as without the proxy, by both
protocols, on both majors. The corpora are test_equality.py's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.compare import observe
from tests.equivalence.test_errors import MISTAKES
from tests.equivalence.test_sessions import CURSORS, PREPARED, SETTINGS, STRINGS, TABLES
from tests.equivalence.test_transaction_pooling import FEATURES, say
from tests.kit.owned import ROLES, owned, owned_rules
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient


@pytest.fixture(scope="module")
def private(server: Cluster) -> Iterator[str]:
    with owned(server, 1, served=False) as database:
        yield database


@pytest.fixture(scope="module")
def proxy(server: Cluster) -> Iterator[Proxy]:
    with owned(server, 1) as copy, running_proxy(server.port, rules=owned_rules(server.port, {1: copy})) as proxy:
        yield proxy


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
def test_every_story_is_told_as_without_the_proxy(server: Cluster, private: str, proxy: Proxy, protocol: str) -> None:
    wrong = {}
    for name, story in STORIES.items():
        told = []
        for client in (
            RawClient("127.0.0.1", server.port, ROLES[1], private),
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
