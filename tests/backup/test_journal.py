"""The journal says how far a move is, and a phase changes once nobody writes by the old one any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from proxy.backup import journal
from proxy.backup.ends import MOVING
from proxy.backup.journal import ARRIVING, COPYING, FENCED, MOVED, OPEN, SWITCHING, Move
from proxy.backup.refusal import Refused
from proxy.backup.snapshot import opened
from tests.backup.shelf import operators
from tests.kit.postgres import Cluster

MOVE = Move("0a", "globex", "shop", COPYING, "there:5432/shop")


@pytest.fixture
def database(postgres15: Cluster) -> Iterator[str]:
    postgres15.create_database("journal")
    yield "journal"
    postgres15.drop_database("journal")


async def test_a_move_is_found_turned_and_ended(postgres15: Cluster, database: str) -> None:
    connection = await opened(operators(postgres15, database), MOVING)
    try:
        assert await journal.found(connection, "globex", "shop") is None
        await journal.made(connection)
        await journal.made(connection)
        await journal.begun(connection, MOVE)
        assert await journal.found(connection, "globex", "shop") == MOVE
        assert await journal.found(connection, "acme", "shop") is None
        await journal.turned(connection, MOVE, FENCED, (COPYING,))
        with pytest.raises(Refused, match="does not say what it did"):
            await journal.turned(connection, MOVE, MOVED, (SWITCHING,))
        found = await journal.found(connection, "globex", "shop")
        assert found is not None
        assert found.phase == FENCED
        arrival = replace(MOVE, phase=ARRIVING)  # both ends may be in one database
        await journal.begun(connection, arrival)
        await journal.turned(connection, arrival, OPEN, (ARRIVING,))
        assert await journal.arriving(connection, "globex", "shop") == replace(MOVE, phase=OPEN)
        assert await journal.found(connection, "globex", "shop") == replace(MOVE, phase=FENCED)
        await journal.ended(connection, arrival)
        assert await journal.arriving(connection, "globex", "shop") is None
        await journal.ended(connection, MOVE)
        assert await journal.found(connection, "globex", "shop") is None
    finally:
        await connection.close()


async def test_an_arrival_in_the_former_form_is_refused(postgres15: Cluster, database: str) -> None:
    connection = await opened(operators(postgres15, database), MOVING)
    try:
        await journal.made(connection)
        await journal.begun(connection, MOVE)
        assert await journal.arriving(connection, "globex", "shop") is None
        for phase in (ARRIVING, OPEN):
            await connection.execute("UPDATE partywall.moves SET phase = $1", phase)
            with pytest.raises(
                Refused, match=rf"0a brought globex here in a former form \({phase} in partywall.moves\)"
            ):
                await journal.arriving(connection, "globex", "shop")
    finally:
        await connection.close()


async def test_a_phase_waits_for_who_holds_the_row(postgres15: Cluster, database: str) -> None:
    connection = await opened(operators(postgres15, database), MOVING | {"lock_timeout": "100ms"})
    try:
        await journal.made(connection)
        await journal.begun(connection, MOVE)
        with psycopg.connect(postgres15.dsn(database=database)) as writer:
            writer.execute("SELECT 1 FROM partywall.moves FOR SHARE")
            with pytest.raises(Exception, match="lock timeout"):
                await journal.turned(connection, MOVE, FENCED, (COPYING,))
        await journal.turned(connection, MOVE, FENCED, (COPYING,))
    finally:
        await connection.close()


async def test_a_journal_that_somebody_else_made_is_not_touched(postgres15: Cluster, database: str) -> None:
    connection = await opened(operators(postgres15, database), MOVING)
    try:
        await connection.execute(
            "DO $$ BEGIN CREATE ROLE journal_owner; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
            "CREATE SCHEMA partywall AUTHORIZATION journal_owner"
        )
        with pytest.raises(Refused, match="the schema partywall was not made by a superuser for moves"):
            await journal.made(connection)
        await connection.execute("ALTER SCHEMA partywall OWNER TO CURRENT_USER")
        await journal.made(connection)
        await connection.execute("ALTER TABLE partywall.changes OWNER TO journal_owner")
        with pytest.raises(Refused, match=r"partywall\.changes was not made by a superuser for moves"):
            await journal.found(connection, "globex", "shop")
        await connection.execute("DROP TABLE partywall.changes, partywall.moves")
        await connection.execute("CREATE VIEW partywall.moves AS SELECT 1 / 0 AS id")
        with pytest.raises(Refused, match=r"partywall\.moves was not made"):
            await journal.found(connection, "globex", "shop")
    finally:
        await connection.close()
