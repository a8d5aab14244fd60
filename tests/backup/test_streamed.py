"""Rows that are hashed here have the sums, the places and the hashes that the server would give them."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backup import archived
from proxy.backup.comparing import BUCKETS, Live, Row, Sums
from proxy.backup.rowhash import found_by
from proxy.backup.selection import selected
from proxy.backup.snapshot import taken
from proxy.backup.streamed import Streamed
from proxy.catalog.model import Column
from tests.backup.shelf import book_of, operators
from tests.kit.postgres import Cluster
from tests.kit.rules import own_rules
from tests.kit.sample import load_sample, pristine

HALF = frozenset(range(0, BUCKETS, 2))


def test_rows_are_hashed_here_as_the_server_does(postgres18: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archived, "RUN", 7)

    async def both(side: Live | Streamed) -> tuple[Sums, list[Row]]:
        return await side.sums(b"salt"), [Row(one.place, one.hash) async for one in side.rows(HALF)]

    async def run(database: str) -> int:
        grant = book_of(own_rules(postgres18.port, database)).grants["acme", "shared", False]
        place, rows = operators(postgres18, database), 0
        async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
            for kept in snapshot.kept:
                backwards = tuple(reversed(kept.columns))
                lists: list[tuple[Column, ...]] = [backwards, kept.columns[:1], ()]
                for columns in lists:
                    of = (snapshot.connection, kept, grant, columns, found_by(kept.relation, columns))
                    sums, some = await both(Streamed(*of, snapshot.catalog))
                    assert (sums, some) == await both(Live(*of)), kept.full
                    rows += len(some)
        return rows

    with pristine(load_sample(postgres18), "private1") as database:
        assert asyncio.run(run(database)) > 100
