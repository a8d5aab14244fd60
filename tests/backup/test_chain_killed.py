"""Archives of only what changed: one that is killed while it is made is none, and a chain is put back whole or not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from proxy.backup.chain import Chain
from proxy.backup.refusal import Damaged
from tests.backup.bench import Bench, benched, drawn, partials, prove_restores, some
from tests.backup.links import chain
from tests.backup.points import CHAINED, CHANGED, WHOLE
from tests.backup.shelf import checksums
from tests.backup.test_restoring import CHANGES
from tests.kit.killing import SEED, Driver
from tests.kit.postgres import Cluster

MOMENTS = 20  # of each, in a long run; one in a quick one
# What there was between one archive and the next: rows that come, go and change, some of them again.
TURNS = (
    """
UPDATE orders SET note = 'first' WHERE tenant_id = 2 AND id < 6;
DELETE FROM order_items WHERE tenant_id = 2 AND order_id = 1;
INSERT INTO customers (tenant_id, id, name) VALUES (2, 501, 'came'), (2, 502, 'goes');
INSERT INTO events SELECT * FROM events WHERE tenant_id = 2 AND id = 3;
""",
    """
UPDATE orders SET note = 'second' WHERE tenant_id = 2 AND id < 3;
DELETE FROM customers WHERE tenant_id = 2 AND id = 502;
DELETE FROM metrics WHERE tenant_id = 2;
UPDATE notes SET body = 'second' WHERE tenant = 'globex' AND id = 1;
""",
)


@pytest.fixture
def bench(postgres18: Cluster, warm: Driver, tmp_path: Path) -> Iterator[Bench]:
    with benched(postgres18, warm, tmp_path, "row") as one:
        yield one


def linked(bench: Bench) -> str:
    """Three archives, each but the first since the one before it; the last one's name."""
    path = str(bench.folder / "link0")
    assert bench.backup("", path) == 0, bench.driver.told
    for number, turn in enumerate(TURNS, 1):
        bench.cluster.psql(bench.database, turn)
        before, path = path, str(bench.folder / f"link{number}")
        assert bench.backup("", path, "--since", before) == 0, bench.driver.told
    return path


def refused_or_same(path: Path, whole: Chain) -> bool:
    """Whether it is accepted with what it builds on, and then rightly."""
    try:
        found = chain(path)
    except Damaged:
        return False
    rows = [(one.title, sum(member.rows for member in one.members)) for one in found.manifest.relations]
    assert rows == [(one.title, sum(member.rows for member in one.members)) for one in whole.manifest.relations]
    return True


def prove_links(bench: Bench, points: Sequence[str], since: str) -> Counter[str]:
    """At each point it dies, and leaves no link, or a whole one; and it can be made again under the same name."""
    tally: Counter[str] = Counter()
    bench.cluster.psql(bench.database, CHANGES)
    assert bench.backup("", str(bench.folder / "next"), "--since", since) == 0, bench.driver.told
    whole = chain(bench.folder / "next")
    for number, point in enumerate(points):
        path = bench.folder / f"next{number}"
        status = bench.backup(point, str(path), "--since", since)
        assert status == -9 or (point.startswith("calls:") and status == 0), (point, bench.driver.told)
        assert bench.clean(), point
        there = path.exists()
        assert not there or refused_or_same(path, whole), point
        assert there <= (point in WHOLE or point.startswith("calls:")), point
        for one in partials(bench):
            refused_or_same(one, whole)
        tally["it ended before" if status == 0 else "a whole archive" if there else "no archive"] += 1
        assert bench.backup("", str(path), "--since", since) == int(there), (point, bench.driver.told)
        assert not partials(bench), point
        assert refused_or_same(path, whole), point
        assert len(chain(Path(since)).links) == len(TURNS) + 1, point  # what it builds on is as it was
        path.unlink()
    return tally


def test_a_link_that_is_killed_is_no_archive_and_harms_none_that_it_builds_on(bench: Bench) -> None:
    """At every point, in a quick run too."""
    assert dict(prove_links(bench, CHANGED, linked(bench))) == {"no archive": len(CHANGED)}


def test_a_chain_whose_restore_is_killed_has_done_nothing_or_all(bench: Bench, effort: int) -> None:
    path = linked(bench)
    prove_restores(bench, path, some(CHAINED, effort, 5), *states(bench), "--mode", "replace")


def states(bench: Bench) -> tuple[Callable[[], object], Callable[[], object]]:
    """The state of all tenants, and what changes it."""
    return (
        lambda: checksums(bench.cluster, bench.database),
        lambda: bench.cluster.psql(bench.database, CHANGES),
    )


def test_a_chain_is_killed_at_any_moment(bench: Bench, effort: int) -> None:
    draw = random.Random(SEED)
    moments = MOMENTS if effort > 1 else 1
    path = linked(bench)
    bench.cluster.psql(bench.database, CHANGES)
    assert bench.restore("calls:0", path, "--mode", "replace") == 0, bench.driver.told
    points = drawn(bench.driver.told, draw, moments)
    restores = prove_restores(bench, path, points, *states(bench), "--mode", "replace")
    assert bench.backup("calls:0", str(bench.folder / "counted"), "--since", path) == 0, bench.driver.told
    links = prove_links(bench, drawn(bench.driver.told, draw, moments), path)
    print(f"seed {SEED}, {moments} moments of restores of a chain: {dict(restores)}; {moments} of links: {dict(links)}")
