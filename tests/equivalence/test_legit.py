"""legit.sql: what a tenant sees through the proxy is what it would see on a private database, by both protocols, on
both majors.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.equivalence.corpus import read_blocks
from tests.equivalence.run import run, table
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

BLOCKS = read_blocks(Path(__file__).parents[1] / "data" / "legit.sql")
LOGINS = ("acme_app", "globex_app", "initech_app")

# Refused in this version, never answered wrongly: a key without the tenant column (L213, L214),
# and what the rules do not list: a function (L345), a procedure (L346).
REFUSED = frozenset({
    "L213", "L214", "L345", "L346",
})  # fmt: skip


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("tenant", [1, 2, 3])
def test_every_legitimate_block_answers_as_the_private_database_or_is_refused_by_id(
    shared_server: Cluster, proxy: Proxy, tenant: int, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    private = partial(RawClient, "127.0.0.1", shared_server.port, "app", f"private{tenant}")
    proxied = partial(proxy.connect, LOGINS[tenant - 1])
    outcomes = run(BLOCKS, private, proxied, protocol)
    with capsys.disabled():
        print(f"\nPostgreSQL {shared_server.major}, tenant {tenant}, {protocol} protocol\n{table(outcomes)}")
    wrong = {one.block.id: (one.expected, one.seen) for one in outcomes if one.verdict == "different"}
    assert wrong == {}
    assert {one.block.id for one in outcomes if one.verdict == "refused"} == REFUSED
