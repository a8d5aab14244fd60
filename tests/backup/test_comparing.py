"""Two tables are compared by hashes that their servers make; what differs is found, with its key, and nothing else."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.comparing import (
    Kind,
    Live,
    Row,
    bucket_of,
    differences,
    halves_of,
    merged,
    rows,
    salted,
    sums,
    unequal,
)
from proxy.backup.neighbours import Around
from proxy.backup.rowhash import found_by, hashed
from proxy.backup.selection import Kept, selected
from proxy.backup.snapshot import Snapshot, taken
from proxy.catalog.model import Catalog
from proxy.tenancy.policy import Grant
from tests.backup.shelf import operators, small
from tests.kit.postgres import Cluster

TABLES = """
CREATE TABLE keyed (tenant_id int, place text, c1 text, PRIMARY KEY (tenant_id, place));
CREATE TABLE keyless (tenant_id int NOT NULL, a int);
INSERT INTO keyed SELECT t, 'p' || n, n FROM generate_series(1, 2) t, generate_series(1, 5000) n;
INSERT INTO keyless SELECT t, n / 2 FROM generate_series(1, 2) t, generate_series(1, 100) n;
GRANT ALL ON ALL TABLES IN SCHEMA public TO shelf_app;
"""
CHANGES = r"""
UPDATE keyed SET c1 = E'a\tb' WHERE (tenant_id, place) IN ((1, 'p7'), (2, 'p8'));
DELETE FROM keyed WHERE place = 'p9';
INSERT INTO keyed VALUES (1, E'new\n', NULL);
INSERT INTO keyless VALUES (1, 7), (1, 1000);
DELETE FROM keyless WHERE tenant_id = 1 AND a = 3;
"""


@pytest.fixture(scope="module")
def two(postgres15: Cluster, postgres18: Cluster) -> Iterator[tuple[tuple[Cluster, Grant], tuple[Cluster, Grant]]]:
    """The same tables on servers of two versions, and what differs on the second."""
    with small(postgres15, TABLES) as old, small(postgres18, TABLES + CHANGES) as new:
        yield (postgres15, old["acme"]), (postgres18, new["acme"])


async def _found(*sides: tuple[Cluster, Grant]) -> tuple[dict[str, set[tuple[Kind, bytes]]], Counter[str]]:
    """What differs, and how many differences there are, by table."""
    found: dict[str, set[tuple[Kind, bytes]]] = {}
    count: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        both: list[dict[str, Live]] = []
        for cluster, grant in sides:
            select = partial(_selected, grant)
            snapshot = await stack.enter_async_context(taken(operators(cluster, grant.server.database), grant, select))
            both.append({one.relation.name: _live(snapshot, one, grant) for one in snapshot.kept})
        for name, left in both[0].items():
            async for kind, row in differences(left, both[1][name]):
                found.setdefault(name, set()).add((kind, row.key))
                count[name] += 1
    return found, count


def _selected(grant: Grant, catalog: Catalog, around: Around) -> tuple[Kept, ...]:
    return selected(catalog, grant, around)


def _live(snapshot: Snapshot, kept: Kept, grant: Grant) -> Live:
    return Live(snapshot.connection, kept, grant, kept.columns, found_by(kept.relation, kept.columns))


async def test_what_differs_between_two_servers_is_found_with_its_key(
    two: tuple[tuple[Cluster, Grant], tuple[Cluster, Grant]],
) -> None:
    found, count = await _found(*two)
    assert found["keyed"] == {(Kind.CHANGED, b"1\tp7"), (Kind.LEFT, b"1\tp9"), (Kind.RIGHT, rb"1	new\n")}
    assert found["keyless"] == {(Kind.LEFT, b""), (Kind.RIGHT, b"")}
    assert count == {"keyed": 3, "keyless": 4}
    assert await _found(two[0], two[0]) == ({}, Counter())


async def test_the_server_sums_as_this_program_does(two: tuple[tuple[Cluster, Grant], tuple[Cluster, Grant]]) -> None:
    cluster, grant = two[0]
    place = operators(cluster, grant.server.database)
    async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
        for kept in snapshot.kept:
            live = _live(snapshot, kept, grant)
            expected: dict[int, tuple[int, int, int]] = {}
            some = [one async for one in rows(live, range(4096))]
            for row in some:
                count, high, low = expected.get(bucket_of(row.place), (0, 0, 0))
                more, less = halves_of(row.hash, b"salt")
                expected[bucket_of(row.place)] = (count + 1, high + more, low + less)
            assert await sums(live, b"salt") == expected
            assert [(one.place, one.hash) for one in some] == sorted((one.place, one.hash) for one in some)
            assert len(some) == (5000 if kept.relation.name == "keyed" else 100)
            assert all(hashed(one.key) == one.place for one in some if live.key)


def test_who_knows_two_rows_hashes_cannot_choose_two_others_with_the_same_sums() -> None:
    """Without a salt these two pairs have the same sums; with one that nobody foresees they have not."""
    here = [bytes([1] * 16), bytes([5] * 16)]
    there = [bytes([2] * 16), bytes([4] * 16)]
    assert sum(struct.unpack(">q", one[:8])[0] for one in here) == sum(struct.unpack(">q", one[:8])[0] for one in there)
    salts = salted(), salted()
    halves = [[halves_of(one, salt) for one in some] for some in (here, there) for salt in salts]
    assert len({(one[0] + other[0], one[1] + other[1]) for one, other in halves}) == 4


def test_buckets_differ_when_one_is_missing_or_has_another_sum() -> None:
    assert unequal({1: (1, 2, 3), 2: (1, 1, 1), 4: (0, 0, 0)}, {1: (1, 2, 3), 2: (1, 1, 2), 3: (1, 0, 0)}) == {2, 3, 4}


ROWS = st.lists(st.tuples(st.sampled_from(b"abcd"), st.sampled_from(b"xy")), unique_by=lambda one: one[0])


@given(ROWS, ROWS)
async def test_what_is_merged_is_what_sets_say(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    async def given_(some: list[tuple[int, int]]) -> AsyncGenerator[Row]:
        for place, hash_ in sorted(some):
            yield Row(bytes([place]), bytes([hash_]))

    found = {(kind, row.place[0]) async for kind, row in merged(given_(left), given_(right))}
    ours, theirs = dict(left), dict(right)
    assert found == (
        {(Kind.LEFT, one) for one in ours.keys() - theirs.keys()}
        | {(Kind.RIGHT, one) for one in theirs.keys() - ours.keys()}
        | {(Kind.CHANGED, one) for one in ours.keys() & theirs.keys() if ours[one] != theirs[one]}
    )
