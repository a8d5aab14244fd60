"""The attackers' corpus: no entry shows or changes a byte of another tenant, and none finds a bug."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.escapes.corpus import Attack, read_attacks
from tests.escapes.run import Result, judge
from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.sample import pristine

ATTACKS = read_attacks(Path(__file__).parents[1] / "data" / "attacks.yaml")

# Entries of action `rewrite` that need statements this version refuses as a class.
LATER = re.compile(
    rb"^\s*(EXPLAIN|DO|CALL"
    rb"|SELECT [^;]* INTO)\b",
    re.IGNORECASE,
)

# Answered otherwise than a private database would, without a foreign byte: each with its reason.
ACCEPTED_DIFFERENCES: dict[str, str] = {
    "A306": "SHOW ALL shows the settings on the list",
    "A380": "search_path is pinned to public, as SHOW says",
    "A378": "pg_namespace shows neither pg_toast nor the temporary schemas of sessions",
    "A482": "xmin is the transaction counter of the shared cluster",
    "A484": "xmax and tableoid are numbers of the shared cluster",
}

# Entries that ask for a refusal, and are answered without harm instead: each with its reason.
HARMLESS: dict[str, str] = {
    "A279": "a two-part name is the session's own in row mode: no tenant setting exists",
    "A312": "current_query() is the client's own text",
    "A346": "the catalog's statistics are masked",
    "A360": "pg_stat_activity shows the session itself, by the client's own text and key",
    "A400": "the same: one row, its own",
    "A372": "shows listed sequences only, and no last value",
}


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    """Before a copy of its own: what others drew from a shared sequence would be a difference."""
    with pristine(shared_server) as database, running_proxy(shared_server.port, database) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def private(shared_server: Cluster) -> Iterator[str]:
    with pristine(shared_server, "private1") as database:
        yield database


@dataclass(frozen=True, slots=True)
class Judged:
    """The whole corpus at one server, each entry rolled back, and the others' rows before and after."""

    server: Cluster
    results: list[Result]
    before: object
    after: object


@pytest.fixture(scope="module")
def judged(shared_server: Cluster, proxy: Proxy, private: str) -> Judged:
    before = foreign_checksums(shared_server, proxy.database, 1)
    direct = partial(RawClient, "127.0.0.1", shared_server.port, "app", private)
    results = [judge(attack, direct, partial(proxy.connect, "acme_app")) for attack in ATTACKS]
    return Judged(shared_server, results, before, foreign_checksums(shared_server, proxy.database, 1))


def test_no_attack_shows_a_foreign_byte_or_an_answer_of_its_own_or_a_bug(
    judged: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    counted = Counter((one.attack.action, one.verdict) for one in judged.results)
    with capsys.disabled():
        print(f"\nPostgreSQL {judged.server.major}: {sorted(counted.items())}")
    assert {one.attack.id: one.leaks for one in judged.results if one.leaks} == {}
    assert {one.attack.id: one.seen for one in judged.results if one.bug} == {}
    different = {
        one.attack.id: (one.attack.statements, one.expected, one.seen)
        for one in judged.results
        if one.verdict == "different"
    }
    assert {name: what for name, what in different.items() if name not in ACCEPTED_DIFFERENCES} == {}
    assert judged.after == judged.before


def test_attacks_that_must_be_refused_are_refused(judged: Judged) -> None:
    accepted = {
        one.attack.id: one.attack.statements
        for one in judged.results
        if one.attack.action == "reject" and not one.sqlstates
    }
    assert accepted.keys() <= HARMLESS.keys(), accepted


def test_nine_in_ten_statements_that_only_need_rewriting_are_answered_as_the_private_database_would(
    judged: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [one for one in judged.results if one.attack.action == "rewrite" and not _needs_more(one.attack)]
    unequal = {one.attack.id: one.sqlstates for one in results if one.verdict != "equal"}
    with capsys.disabled():
        print(
            f"\nPostgreSQL {judged.server.major}: {len(results) - len(unequal)} of {len(results)} equal;"
            f" refused: {unequal}"
        )
    assert len(unequal) <= len(results) // 10


def _needs_more(attack: Attack) -> bool:
    return any(LATER.match(statement) for statement in (*attack.pre, *attack.statements))


def test_committed_attacks_change_no_row_of_another_tenant(shared_server: Cluster, pristine_shared: str) -> None:
    before = foreign_checksums(shared_server, pristine_shared, 1)
    with running_proxy(shared_server.port, pristine_shared) as proxy:
        for attack in ATTACKS:
            done = judge(attack, partial(proxy.connect, "acme_ro"), partial(proxy.connect, "acme_app"), "COMMIT")
            assert not done.bug, attack
    assert foreign_checksums(shared_server, pristine_shared, 1) == before
