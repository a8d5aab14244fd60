"""One place takes the tenant's writes, or none does; what fails leaves the source in charge, and can be taken again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from proxy.backup.moving import Unclear, abort, both, check_ways, move, name_of, standing, tried
from proxy.backup.refusal import Refused
from tests.backup.crossing import TABLES, WRITES, Crossing, NoDoors, crossing
from tests.kit.postgres import Cluster

TRACES = """SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'partywall_move%')
 + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'move\\_%')"""


@pytest.fixture
def across(postgres15: Cluster) -> Iterator[Crossing]:
    with crossing(postgres15) as made:
        yield made


def takes(across: Crossing, there: bool, tenant: int = 2) -> bool:
    """May somebody who comes past every proxy write the tenant's rows? It is undone."""
    with psycopg.connect(across.cluster.dsn(database=across.names[there])) as connection:
        try:
            connection.execute("INSERT INTO marks (tenant_id, said) VALUES (%s, '')", [tenant])
        except psycopg.errors.ReadOnlySqlTransaction:
            return False
        finally:
            connection.rollback()
    return True


def silence() -> None:
    raise Unclear(["nobody answers"])


def phase(across: Crossing) -> str | None:
    found = asyncio.run(standing(across.ends))
    return None if found is None else found.phase


def test_it_goes_with_what_is_written_until_the_last_moment_and_its_numbers_go_on(across: Crossing) -> None:
    rows = across.rows(False, 1)
    homes: list[tuple[bool, bool]] = []
    doors = NoDoors(during=lambda: across.sql(WRITES))
    doors.switching = lambda: homes.append((takes(across, False), takes(across, True)))
    assert len(asyncio.run(tried(across.ends))) == len(TABLES)
    moved = across.moved(doors)
    assert moved.copied > 20
    assert moved.followed > 10
    assert doors.told == ["ready", "ready", "paused", "switched", "resumed"]
    assert homes == [(False, False)]
    assert (takes(across, False), takes(across, True), takes(across, False, 1)) == (False, True, True)
    assert across.rows(True) == across.rows(False)
    assert across.rows(True, 1) == []
    assert len(across.rows(False, 1)) == len(rows) + 21  # what WRITES did to it, at the source
    assert int(across.sql("SELECT nextval('bills_id_seq')", True)) > 12
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        psycopg.connect(across.cluster.dsn(database=across.names[0])) as connection,
    ):
        connection.execute("TRUNCATE parts")
    assert across.sql(TRACES, True) == "0"
    with pytest.raises(Refused, match="has moved to"):
        across.moved(NoDoors())
    with pytest.raises(Refused, match="has moved"):
        asyncio.run(abort(across.ends, NoDoors()))


def test_whoever_is_writing_is_waited_for_and_then_the_pause_is_over(across: Crossing) -> None:
    """A transaction beside the proxy, which no pause holds: the tenant goes on at the source, and can go later."""
    with psycopg.connect(across.cluster.dsn(database=across.names[0])) as connection:
        doors = NoDoors(during=lambda: connection.execute("INSERT INTO bills (tenant_id, sum) VALUES (2, 99)"))
        with pytest.raises(Refused, match=r"would have waited longer than 0\.4 seconds, and goes on at the source"):
            across.moved(doors, 0.4)
        assert (phase(across), doors.told[-1]) == ("copying", "resumed")
        connection.commit()
    assert (takes(across, False), takes(across, True)) == (True, False)
    across.moved(NoDoors())
    assert across.rows(True) == across.rows(False)
    assert across.sql("SELECT count(*) FROM bills WHERE tenant_id = 2 AND sum = 99", True) == "1"


def test_rules_that_cannot_be_switched_leave_the_source_in_charge(across: Crossing) -> None:
    def refuse() -> None:
        raise Refused(["the proxy at the corner says no"])

    with pytest.raises(Refused, match="at the corner"):
        across.moved(NoDoors(switching=refuse))
    assert (phase(across), takes(across, False), takes(across, True)) == ("copying", True, False)


def test_where_a_proxy_does_not_answer_nobody_writes_before_it_goes_on(across: Crossing) -> None:
    with pytest.raises(Unclear):
        across.moved(NoDoors(switching=silence))
    assert (phase(across), takes(across, False), takes(across, True)) == ("switching", False, False)
    doors = NoDoors()
    across.moved(doors)
    assert doors.told == ["paused", "switched", "resumed"]
    assert (phase(across), takes(across, False), takes(across, True)) == ("moved", False, True)


def test_given_up_it_is_as_if_nothing_had_been_done(across: Crossing) -> None:
    before = across.rows(False)
    with pytest.raises(Unclear):
        across.moved(NoDoors(switching=silence))
    doors = NoDoors()
    asyncio.run(abort(across.ends, doors))
    assert (doors.told, phase(across)) == (["back"], None)
    assert (across.rows(False), across.rows(True)) == (before, [])
    assert (takes(across, False), across.sql(TRACES), across.sql(TRACES, True)) == (True, "0", "0")
    asyncio.run(abort(across.ends, doors))
    across.moved(NoDoors())
    assert across.rows(True) == before


async def test_two_commands_do_not_move_one_tenant(across: Crossing) -> None:
    async with both(across.ends):
        with pytest.raises(Refused, match="another command is moving globex"):
            await move(across.ends, NoDoors(), "0badcafe", 1)


def test_only_what_moves_is_moved(across: Crossing) -> None:
    here, there = across.ends.here, across.ends.there
    check_ways(here, there)
    with pytest.raises(Refused, match=r"globex is at .* already"):
        check_ways(here, here)
    with pytest.raises(Refused, match="the target is of mode schema, and only tenants of mode row move"):
        check_ways(here, replace(there, policy=replace(there.policy, isolation="schema")))
    with pytest.raises(Refused, match="the source is of mode row behind policies"):
        check_ways(replace(here, policy=replace(here.policy, second_wall=True)), there)
    assert name_of(here.server).endswith(f"/{across.names[0]}")
