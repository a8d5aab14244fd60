"""Two walls: the attackers' corpus as a tenant of row mode with policies underneath and a rewriter that is broken on
purpose (with a whole one: test_rls_attacks). Policies alone let nothing through; a broken rewriter alone does, or these
tests would show nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from tests.escapes.corpus import read_attacks
from tests.escapes.faults import FAULTS, broken
from tests.escapes.run import Result, judge
from tests.escapes.test_attacks import ACCEPTED_DIFFERENCES
from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rls import load_walled, rls_rules
from tests.kit.sample import pristine

ATTACKS = read_attacks(Path(__file__).parents[1] / "data" / "attacks.yaml")
ENOUGH = 10
# What row-level security itself tells of hidden rows, by whether it fails (isolation.md 2.3); the guards close it.
CASE = "SELECT count(*) FROM orders WHERE CASE WHEN secret = '{}' THEN (SELECT id FROM products) END IS NULL"


@pytest.fixture
def walled(server: Cluster) -> Iterator[str]:
    with pristine(load_walled(server), "walled") as database:
        yield database


@pytest.fixture
def private(server: Cluster) -> Iterator[str]:
    with pristine(load_walled(server), "private1") as database:
        yield database


def attacked(server: Cluster, proxy: Proxy, private: str) -> Iterator[Result]:
    direct = partial(RawClient, "127.0.0.1", server.port, "app", private)
    return (judge(attack, direct, partial(proxy.connect, "acme_app")) for attack in ATTACKS)


def leaks(results: Iterable[Result]) -> dict[str, object]:
    return {one.attack.id: (one.attack.statements, one.leaks) for one in results if one.leaks}


def different(results: Iterable[Result]) -> dict[str, object]:
    return {
        one.attack.id: (one.attack.statements, one.expected, one.seen)
        for one in results
        if one.bug or (one.verdict == "different" and one.attack.id not in ACCEPTED_DIFFERENCES)
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_with_a_broken_rewriter_policies_show_own_rows_and_nothing_else(
    server: Cluster, walled: str, private: str, tmp_path: Path, fault: str
) -> None:
    """Where predicates are missing the answers are still the private database's; with another tenant's key nothing is
    both walls'.
    """
    with (
        broken(fault, tmp_path),
        running_proxy(server.port, walled, rules=rls_rules(server.port, walled, "row+rls")) as proxy,
    ):
        results = list(attacked(server, proxy, private))
    assert leaks(results) == {}
    if fault != "another's key":
        assert different(results) == {}


@pytest.mark.parametrize("fault", ["always true", "another's key"])
def test_with_a_broken_rewriter_what_is_committed_changes_no_row_of_another_tenant(
    server: Cluster, walled: str, tmp_path: Path, fault: str
) -> None:
    before = foreign_checksums(server, walled, 1)
    with (
        broken(fault, tmp_path),
        running_proxy(server.port, walled, rules=rls_rules(server.port, walled, "row+rls")) as proxy,
    ):
        for attack in ATTACKS:
            judged = judge(attack, partial(proxy.connect, "acme_ro"), partial(proxy.connect, "acme_app"), "COMMIT")
            assert not judged.leaks, judged
    assert foreign_checksums(server, walled, 1) == before


@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_rewriter_leaks_where_it_is_the_only_wall(
    server: Cluster, private: str, tmp_path: Path, fault: str
) -> None:
    with pristine(server) as database, broken(fault, tmp_path), running_proxy(server.port, database) as proxy:
        leaking = (one for one in attacked(server, proxy, private) if one.leaks)
        assert len(list(islice(leaking, ENOUGH))) == ENOUGH


def test_what_policies_alone_tell_of_hidden_rows_the_guards_close(server: Cluster, walled: str, tmp_path: Path) -> None:
    rules = rls_rules(server.port, walled, "row+rls")
    hidden, none = CASE.format("globex-secret-3"), CASE.format("globex-secret-none")
    with running_proxy(server.port, walled, rules=rules) as proxy, proxy.connect("acme_app") as client:
        assert client.simple(hidden).rows == client.simple(none).rows == [(b"21",)]
    with (
        broken("nothing guarded", tmp_path),
        running_proxy(server.port, walled, rules=rules) as proxy,
        proxy.connect("acme_app") as client,
    ):
        assert client.simple(none).rows == [(b"21",)]
        assert [one["C"] for one in client.simple(hidden).errors] == ["21000"]
