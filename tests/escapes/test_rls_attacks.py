"""The attackers' corpus behind policies at the server, with predicates in the text and without: no entry shows or
changes a byte of another tenant, and none finds a bug.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from tests.escapes.run import judge
from tests.escapes.test_attacks import ACCEPTED_DIFFERENCES, ATTACKS, HARMLESS
from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rls import WALLED, load_walled, rls_rules
from tests.kit.sample import pristine

WITHHELD = "the server withholds DETAIL from a role that has policies"
STORED = "a materialized view holds rows that no policy filters: it is absent"
BEHIND: dict[str, str] = {}


@pytest.fixture(scope="module", params=["rls", "row+rls"])
def proxy(shared_server: Cluster, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with pristine(load_walled(shared_server), WALLED) as database:
        rules = rls_rules(shared_server.port, database, request.param)
        with running_proxy(shared_server.port, database, rules=rules) as proxy:
            yield proxy


def test_no_attack_shows_or_changes_a_foreign_byte_or_finds_a_bug(
    shared_server: Cluster, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    before = foreign_checksums(shared_server, proxy.database, 1)
    with pristine(shared_server, "private1") as database:
        private = partial(RawClient, "127.0.0.1", shared_server.port, "app", database)
        results = [judge(attack, private, partial(proxy.connect, "acme_app")) for attack in ATTACKS]
    counted = Counter((one.attack.action, one.verdict) for one in results)
    with capsys.disabled():
        print(f"\nPostgreSQL {shared_server.major}: {sorted(counted.items())}")
    assert {one.attack.id: one.leaks for one in results if one.leaks} == {}
    assert {one.attack.id: one.seen for one in results if one.bug} == {}
    different = {
        one.attack.id: (one.attack.statements, one.expected, one.seen) for one in results if one.verdict == "different"
    }
    known = ACCEPTED_DIFFERENCES | BEHIND
    assert {name: what for name, what in different.items() if name not in known} == {}
    accepted = {
        one.attack.id: one.attack.statements for one in results if one.attack.action == "reject" and not one.sqlstates
    }
    assert accepted.keys() <= HARMLESS.keys(), accepted
    assert foreign_checksums(shared_server, proxy.database, 1) == before
