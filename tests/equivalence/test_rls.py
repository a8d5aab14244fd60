"""Behind policies at the server, with predicates in the text and without: every block of legit.sql answers as on a
private database, by both protocols, on both majors, but for those that are named here with their reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.equivalence.corpus import read_blocks
from tests.equivalence.run import run, table
from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rls import WALLED, load_walled, rls_rules

BLOCKS = read_blocks(Path(__file__).parents[1] / "data" / "legit.sql")
LOGINS = ("acme_app", "globex_app", "initech_app")
REFUSED = {
    "L213": "a key without the tenant column",
    "L214": "the same, by ON CONFLICT",
    "L345": "a function that the rules do not list",
    "L346": "a procedure",
}
WITHHELD = "its DETAIL, which a server with policies keeps to itself"
DIFFERENT = {
    "L175": "a materialized view holds rows that no policy filters: it is absent",
    "L248": WITHHELD,
    "L249": WITHHELD,
    "L250": WITHHELD,
    "L251": WITHHELD,
}


@pytest.fixture(scope="module", params=["rls", "row+rls"])
def proxy(shared_server: Cluster, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    load_walled(shared_server)
    with running_proxy(shared_server.port, WALLED, rules=rls_rules(shared_server.port, mode=request.param)) as proxy:
        yield proxy


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("tenant", [1, 2, 3])
def test_every_block_answers_as_the_private_database_or_is_named_here(
    shared_server: Cluster, proxy: Proxy, tenant: int, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = foreign_checksums(shared_server, WALLED, tenant)
    private = partial(RawClient, "127.0.0.1", shared_server.port, "app", f"private{tenant}")
    proxied = partial(proxy.connect, LOGINS[tenant - 1])
    outcomes = run(BLOCKS, private, proxied, protocol)
    with capsys.disabled():
        print(f"\nPostgreSQL {shared_server.major}, tenant {tenant}, {protocol} protocol\n{table(outcomes)}")
    wrong = {one.block.id: (one.expected, one.seen) for one in outcomes if one.verdict == "different"}
    assert {name: pair for name, pair in wrong.items() if name not in DIFFERENT} == {}
    assert wrong.keys() == DIFFERENT.keys()
    assert {one.block.id for one in outcomes if one.verdict == "refused"} == REFUSED.keys()
    assert foreign_checksums(shared_server, WALLED, tenant) == before
