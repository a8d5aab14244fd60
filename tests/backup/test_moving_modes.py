"""A tenant goes from every isolation mode into every other, with what is written meanwhile, and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import asyncpg
import pytest

from proxy.backup.leaving import clean
from proxy.backup.moving import Stayed, abort, standing, tried
from proxy.backup.refusal import Refused
from tests.backup.crossing import NoDoors
from tests.backup.modes import MODES, OWN_ROLE, ROWS, WRITES, Spot, between, furnished, moved, spots
from tests.kit.postgres import Cluster, PostgresError

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# Each step is another pair; the first five begin from every mode and end in every mode.
TOUR = (
    *("row", "schema", "database", "wall", "rls", "row"),
    *("database", "row", "rls", "schema", "row", "wall", "schema", "rls"),
    *("database", "schema", "wall", "database", "rls", "wall", "row"),
)
FIRST = 5


def test_the_tour_has_every_pair_once() -> None:
    pairs = list(pairwise(TOUR))
    assert sorted(pairs) == sorted((one, other) for one in MODES for other in MODES if one != other)


def stepped(here: Spot, there: Spot, turn: int) -> None:
    """A move with what is written in it, and the cleaning."""
    homes: list[tuple[bool, bool]] = []
    doors = NoDoors(during=lambda: here.sql(WRITES.format(at=100 + 2 * turn)))
    doors.switching = lambda: homes.append((here.takes(), there.takes()))
    assert len(asyncio.run(tried(between(here, there)))) == 3
    done = moved(here, there, doors)
    rows = here.rows()
    assert (homes, done.followed > 8, len(rows) > 40) == ([(False, False)], True, True)
    assert (there.rows(), here.takes(), there.takes()) == (rows, False, True)
    last = int(here.sql("SELECT last_value FROM bills_id_seq"))
    assert int(there.sql("SELECT nextval('bills_id_seq')")) > last > 2 * turn
    assert asyncio.run(clean(between(here, there), doors)) == len(rows)
    assert (here.rows(), here.traces(), there.traces(), there.rows()) == ([], 0, 0, rows)


def test_it_goes_into_every_mode_and_from_it_with_what_is_written_meanwhile(postgres15: Cluster, effort: int) -> None:
    with spots(postgres15, *MODES) as made:
        places = dict(zip(MODES, made, strict=True))
        others = {one: places[one].rows(1) for one in ("row", "rls", "wall")}
        places["row"].sql(ROWS.format(key=2))
        for turn, (here, there) in enumerate(pairwise(TOUR[: 1 + FIRST * effort])):
            stepped(places[here], places[there], turn)
        assert others == {one: places[one].rows(1) for one in others}


@pytest.fixture(params=[("row", "schema"), ("schema", "row")], ids="-".join)
def together(request: pytest.FixtureRequest, postgres15: Cluster) -> Iterator[tuple[Spot, Spot]]:
    """Two places of the tenant in one database."""
    with spots(postgres15, request.param[0]) as (here,):
        there = furnished(postgres15, here.database, request.param[1])
        here.sql(ROWS.format(key=2))
        yield here, there


def test_in_one_database_it_goes_back_and_forth(together: tuple[Spot, Spot]) -> None:
    here, there = together
    shared = here if here.mode == "row" else there
    before, neighbours = here.rows(), shared.rows(1)

    def refuse() -> None:
        raise Stayed(["the proxy at the corner says no"])

    with pytest.raises(Refused, match="at the corner"):
        moved(here, there, NoDoors(switching=refuse))
    assert (here.takes(), there.takes(), here.rows(), there.rows()) == (True, False, before, before)
    asyncio.run(abort(between(here, there), NoDoors()))
    assert (here.rows(), there.rows(), here.traces()) == (before, [], 0)
    homes: list[tuple[bool, bool]] = []
    doors = NoDoors(during=lambda: here.sql(WRITES.format(at=100)))
    doors.switching = lambda: homes.append((here.takes(), there.takes()))
    moved(here, there, doors)
    rows = here.rows()
    assert (homes, there.rows() == rows, len(rows) > len(before)) == ([(False, False)], True, True)
    assert (here.takes(), there.takes()) == (False, True)
    with pytest.raises(Refused, match=r"is on its way to .* by the journal, in a move that was begun elsewhere"):
        moved(there, here, NoDoors())
    assert asyncio.run(clean(between(here, there), doors)) == len(rows)
    assert (here.rows(), there.rows(), here.traces(), asyncio.run(standing(between(here, there)))) == (
        [],
        rows,
        0,
        None,
    )
    moved(there, here, NoDoors())
    assert here.rows() == rows
    assert shared.rows(1) == neighbours


def test_what_is_another_tenants_does_not_come_among_shared_tables(postgres15: Cluster) -> None:
    with spots(postgres15, "schema", "row") as (here, there):
        here.sql(ROWS.format(key=2))
        here.sql("INSERT INTO bills (id, tenant_id, sum) VALUES (7, 1, 7)")
        neighbours = there.rows(1)
        with pytest.raises(Refused, match="bills has a row here with another key than globex's"):
            moved(here, there, NoDoors())
        asyncio.run(abort(between(here, there), NoDoors()))
        here.sql("DELETE FROM bills WHERE tenant_id = 1")
        late = NoDoors(during=lambda: here.sql("UPDATE parts SET tenant_id = 1 WHERE id = 5"))
        with pytest.raises(Refused, match=r"(parts|marks) has a row here with another key than globex's"):
            moved(here, there, late)
        assert (here.takes(), there.takes(), there.rows(1)) == (True, False, neighbours)
        here.sql("UPDATE parts SET tenant_id = 2 WHERE tenant_id = 1; DELETE FROM marks WHERE tenant_id = 1")
        moved(here, there, NoDoors())
        assert (there.rows(), there.rows(1)) == (here.rows(), neighbours)


def test_a_sequence_that_everybody_draws_from_is_not_run_out_by_one_tenant(postgres15: Cluster) -> None:
    with spots(postgres15, "schema", "row") as (here, there):
        here.sql("SELECT setval('bills_id_seq', 2147483647)", OWN_ROLE)
        with pytest.raises(Refused, match="everybody would lose more than 1000000 numbers"):
            asyncio.run(tried(between(here, there)))
        here.sql("SELECT setval('bills_id_seq', 4000)", OWN_ROLE)
        late = NoDoors(during=lambda: here.sql("SELECT setval('bills_id_seq', 2147483647)", OWN_ROLE))
        with pytest.raises(Refused, match="everybody would lose more than 1000000 numbers"):
            moved(here, there, late)
        assert (here.takes(), there.sql("SELECT nextval('bills_id_seq')")) == (True, "4001")


def test_what_a_tenant_does_to_its_tables_and_triggers_in_a_move_is_seen(postgres15: Cluster) -> None:
    def refuse() -> None:
        raise Stayed(["at the corner"])

    with spots(postgres15, "schema", "schema") as (here, there):
        here.sql(ROWS.format(key=2))
        for one in (here, there):
            one.sql("CREATE TABLE years (at int, said text) PARTITION BY RANGE (at)", OWN_ROLE)
            for at in (1, 2):
                one.sql(f"CREATE TABLE year{at} PARTITION OF years FOR VALUES FROM ({at}) TO ({at + 1})", OWN_ROLE)
        here.sql("INSERT INTO years VALUES (1, 'a'), (2, 'b')", OWN_ROLE)
        trigger = "partywall_move_00c0ffee_insert"
        for done, undone, why in (
            (f"DROP TRIGGER {trigger} ON bills", "", "the triggers on them were changed"),
            ("ALTER TABLE bills DISABLE TRIGGER USER", "ALTER TABLE bills ENABLE TRIGGER USER", "were changed since"),
            (
                "ALTER TABLE bills RENAME TO dues",
                "ALTER TABLE dues RENAME TO bills",
                '"dues" is no table of the tenant',
            ),
            ("ALTER TABLE bills ALTER sum TYPE numeric USING -sum", "", "were changed since"),
            ("TRUNCATE year1", "", "were changed since"),
            ("ALTER TABLE year2 DISABLE TRIGGER USER", "ALTER TABLE year2 ENABLE TRIGGER USER", "were changed since"),
            ("CREATE TABLE late (id int PRIMARY KEY)", "", '"late" is no table of the tenant'),
        ):
            with pytest.raises(Refused, match=why):
                moved(here, there, NoDoors(during=partial(here.sql, done, OWN_ROLE)))
            assert (here.takes(), there.takes()) == (True, False), done
            if undone:
                here.sql(undone, OWN_ROLE)
            asyncio.run(abort(between(here, there), NoDoors()))
            assert (here.traces(), there.traces(), there.rows()) == (0, 0, []), done


def test_tables_are_held_while_their_statistics_are_made(postgres15: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """To analyze a table evaluates its indexes: as its owner, but in the operator's session."""
    original, tried_at = asyncpg.Connection.execute, []

    async def execute(connection: CatalogConnection, query: str, *arguments: object) -> object:
        if query == 'ANALYZE "globex"."parts"':
            tried_at.append(query)
            with pytest.raises(PostgresError, match="lock timeout"):
                there.sql("SET lock_timeout = '50ms'; CREATE INDEX late ON parts (evil(label))", OWN_ROLE)
        return await original(connection, query, *arguments)

    with spots(postgres15, "row", "schema") as (here, there):
        here.sql(ROWS.format(key=2))
        there.sql("CREATE FUNCTION evil(text) RETURNS text IMMUTABLE LANGUAGE sql RETURN $1", OWN_ROLE)
        monkeypatch.setattr(asyncpg.Connection, "execute", execute)
        moved(here, there, NoDoors())
        assert len(tried_at) == 1
