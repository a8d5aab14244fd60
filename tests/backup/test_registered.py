"""Who was registered where it was to go still is when the move is given up, and whatever references that holds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from proxy.backup.moving import Stayed, abort
from proxy.backup.registered import put_back
from tests.backup.crossing import SCHEMA, Crossing, NoDoors, crossing, mirrored
from tests.kit.postgres import Cluster

TENANTS = "CREATE TABLE tenants (name text, tenant_id int PRIMARY KEY, size int GENERATED ALWAYS AS (1) STORED);"
CONTRACTS = "CREATE TABLE contracts (id int PRIMARY KEY, tenant int REFERENCES tenants);"
THERE = r"""
INSERT INTO tenants VALUES (E'\tGlobex\\ \u00e5 there', 2), ('Acme', 1); INSERT INTO contracts VALUES (7, 2), (8, 1);
"""
SEEN = "SELECT name, tenant_id, size FROM tenants ORDER BY 2; SELECT id, tenant FROM contracts ORDER BY 1"


@pytest.fixture
def registry(postgres15: Cluster) -> Iterator[Crossing]:
    with crossing(postgres15, SCHEMA + TENANTS + CONTRACTS + THERE) as across:
        across.sql(TENANTS + "INSERT INTO tenants VALUES ('globex', 2)")
        yield across


def refuse() -> None:
    raise Stayed(["the proxy at the corner says no"])


def test_what_registered_it_is_there_again_when_the_move_is_given_up(registry: Crossing) -> None:
    before = registry.sql(SEEN, True)
    for _ in range(2):  # and can be begun again
        with pytest.raises(Stayed):
            registry.moved(NoDoors(switching=refuse))
        assert registry.sql("SELECT name FROM tenants WHERE tenant_id = 2", True) == "globex"
        asyncio.run(abort(registry.ends, NoDoors()))
        assert registry.sql(SEEN, True) == before
    assert registry.rows(True) == []
    checked = "DROP CONSTRAINT contracts_tenant_fkey, ADD FOREIGN KEY (tenant) REFERENCES tenants"
    registry.sql(f"ALTER TABLE contracts {checked}", True)
    registry.moved(NoDoors())
    assert registry.sql("SELECT name FROM tenants WHERE tenant_id = 2", True) == "globex"


async def test_a_former_journal_and_a_place_where_nothing_was_have_nothing_to_put_back(registry: Crossing) -> None:
    async with mirrored(registry) as mirror:
        kept = [one.target for one in mirror.passages]
        for before in ("", "0" * 64, "{}", json.dumps({kept[0].relation.oid: [["tenant_id"], ""]})):
            await put_back(mirror.target, kept, before)
    assert registry.rows(True) == []
