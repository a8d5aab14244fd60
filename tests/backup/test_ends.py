"""Two ends are two databases, and those of the rules; what cannot move is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.backup.ends import MOVING, ONE, both, check_ways
from proxy.backup.moving import Stayed, abort, move, tried
from proxy.backup.refusal import Refused
from proxy.backup.snapshot import opened
from tests.backup.crossing import Crossing, NoDoors
from tests.backup.modes import MODES, grant_of
from tests.backup.shelf import operators
from tests.kit.postgres import Cluster


def stay() -> None:
    raise Stayed(["it could not be said"])


def test_only_what_moves_is_moved(across: Crossing) -> None:
    here, there = across.ends.here, across.ends.there
    check_ways(here, there)
    with pytest.raises(Refused, match=r"globex is at .* already"):
        check_ways(here, here)
    check_ways(here, replace(here, policy=replace(here.policy, isolation="schema", schema="globex")))
    with pytest.raises(Refused, match="have the same tables, and nothing moves: edit the rules"):
        check_ways(here, replace(here, policy=replace(here.policy, isolation="rls")))
    with pytest.raises(Refused, match="its other place must be another database"):
        check_ways(here, replace(here, policy=replace(here.policy, isolation="database")))
    check_ways(here, replace(there, policy=replace(there.policy, isolation="database")))
    assert here.home.endswith(f"/{across.names[0]}")


def test_one_database_of_the_rules_is_not_two_of_the_operators(across: Crossing) -> None:
    ends = across.ends
    there = replace(ends.here, policy=replace(ends.here.policy, isolation="schema", schema="globex"))
    with pytest.raises(Refused, match="in one database, and --server and --to-server lead to two"):
        asyncio.run(tried(replace(ends, there=there)))


def test_one_database_by_two_names_is_no_target_and_loses_nothing(across: Crossing) -> None:
    """Nothing in the names says so, and what a move made at the source looks like what it makes at a target."""
    ends, before = across.ends, across.rows(False)
    renamed = replace(ends.here, server=replace(ends.here.server, host="localhost"))
    check_ways(ends.here, renamed)
    same = replace(ends, target=(renamed.server, ends.source[1]), there=renamed)
    same = replace(same, target=(replace(ends.source[0], host="localhost"), ends.source[1]))
    for one in (same, replace(ends, target=ends.source)):  # the rules have it, or --to-server does
        for begun in (False, True):
            if begun:
                with pytest.raises(Refused, match="could not be said"):
                    across.moved(NoDoors(switching=stay))
            for command in (move(one, NoDoors(), "00c0ffee", 30), abort(one, NoDoors())):
                with pytest.raises(Refused, match="one and the same database, by two names"):
                    asyncio.run(command)
        asyncio.run(abort(ends, NoDoors()))
    assert across.rows(False) == before


def test_the_operator_goes_where_the_rules_send_the_tenants_clients(across: Crossing) -> None:
    ends, elsewhere = across.ends, operators(across.cluster, "postgres")
    with pytest.raises(Refused, match=r"--server leads to another database than .*/shelf\d+, where the rules have"):
        asyncio.run(tried(replace(ends, source=elsewhere)))
    for one in (tried(replace(ends, target=elsewhere)), abort(replace(ends, target=elsewhere), NoDoors())):
        with pytest.raises(Refused, match="--to-server leads to another database than"):
            asyncio.run(one)
    away = replace(ends.there, server=replace(ends.there.server, role="shelf_nobody"))
    with pytest.raises(Refused, match=r"the target is not known to be .*, as the rules have it: .*shelf_nobody"):
        asyncio.run(tried(replace(ends, there=away)))


async def test_the_lock_is_held_at_both_places_and_what_is_said_is_on_the_disk(across: Crossing) -> None:
    across.sql(f"ALTER DATABASE {across.names[0]} SET synchronous_commit = off")
    target = await opened(across.ends.target, MOVING)
    try:
        await target.fetchval(ONE, across.ends.lock)
        with pytest.raises(Refused, match="another command is moving globex"):
            await tried(across.ends)
    finally:
        await target.close()
    async with both(across.ends) as (source, _):
        assert await source.fetchval("SHOW synchronous_commit") == "on"


def test_a_place_is_called_by_what_is_the_tenants_own_there(postgres15: Cluster) -> None:
    found = {mode: grant_of(postgres15, "store1", mode).home.partition("/")[2] for mode in MODES}
    assert found == {
        "row": "store1", "wall": "store1, row+rls", "rls": "store1, rls",
        "schema": "store1, schema globex", "database": "store1, database",
    }  # fmt: skip
