"""What was left behind goes when nobody needs it, and of nobody else anything goes."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backup import journal, leaving, moving
from proxy.backup.leaving import clean
from proxy.backup.moving import standing
from proxy.backup.refusal import Refused
from tests.backup.crossing import SCHEMA, NoDoors, crossing
from tests.backup.modes import OWN_ROLE, ROWS, between, moved, spots
from tests.kit.postgres import Cluster

TAGS = "CREATE EXTENSION citext; CREATE TABLE tags (tenant_id int NOT NULL, name citext PRIMARY KEY);"


def test_it_goes_once_the_tenant_has_gone_and_nobody_references_it(postgres15: Cluster) -> None:
    with crossing(postgres15, SCHEMA + TAGS) as across:
        doors = NoDoors()
        across.sql(TAGS + "INSERT INTO tags VALUES (2, 'ABC'), (1, 'x')")
        with pytest.raises(Refused, match="it is not there"):
            asyncio.run(clean(across.ends, doors))
        rows, others = across.rows(False), across.rows(False, 1)
        across.moved(doors)
        with pytest.raises(Refused, match="it is not there"):
            asyncio.run(clean(across.ends, NoDoors()))
        across.sql(
            "CREATE TABLE pins (bill int REFERENCES bills);"
            " INSERT INTO pins SELECT min(id) FROM bills WHERE tenant_id = 2"
        )
        with pytest.raises(Refused, match="a row of pins that is not the tenant's references its"):
            asyncio.run(clean(across.ends, doors))
        assert across.rows(False) == rows
        across.sql("DROP TABLE pins")
        across.sql("CREATE TABLE uses (tag citext REFERENCES tags); INSERT INTO uses VALUES ('abc'), ('X')")
        with pytest.raises(Refused, match="a row of uses that is not the tenant's references its"):
            asyncio.run(clean(across.ends, doors))
        assert across.rows(False) == rows
        across.sql("DROP TABLE uses")
        assert asyncio.run(clean(across.ends, doors)) == len(rows) + 1
        assert (across.rows(False), across.rows(False, 1), across.rows(True)) == ([], others, rows)
        assert asyncio.run(standing(across.ends)) is None
        assert across.sql("SELECT count(*) FROM partywall.changes") == "0"
        assert across.sql("SELECT count(*) FROM partywall.arrivals", True) == "0"


def test_who_has_arrived_is_not_locked_out_by_what_the_move_had_not_taken_away_yet(
    postgres15: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed after its last word, and nobody went on with it: the guard at the target is there."""

    async def failing(_connection: object, _at: object, _end: str) -> None:
        raise OSError("away")

    with crossing(postgres15) as across:
        doors = NoDoors()
        with monkeypatch.context() as patched:
            patched.setattr(moving, "unlogged", failing)
            with pytest.raises(OSError, match="away"):
                across.moved(doors)
        asyncio.run(clean(across.ends, doors))
        assert doors.told[-1] == "went on"
        across.sql("INSERT INTO bills (tenant_id, sum) VALUES (2, 1)", True)


def test_the_journal_at_the_source_is_the_last_to_go_and_then_it_is_done(
    postgres15: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = journal.ended, []

    async def failing(connection: object, at: object) -> None:
        calls.append(at)
        if len(calls) == 2:
            raise OSError("away")
        await original(connection, at)  # type: ignore[arg-type]  # as it came

    with crossing(postgres15) as across:
        doors = NoDoors()
        across.moved(doors)
        with monkeypatch.context() as patched:
            patched.setattr(journal, "ended", failing)
            with pytest.raises(OSError, match="away"):
                asyncio.run(clean(across.ends, doors))
        assert across.sql("SELECT count(*) FROM partywall.moves", True) == "0"
        found = asyncio.run(standing(across.ends))
        assert found is not None
        assert found.phase == "moved"
        assert [asyncio.run(clean(across.ends, doors)) for _ in range(2)] == [0, 0]
        assert asyncio.run(standing(across.ends)) is None


def test_the_fence_goes_last(postgres15: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    original = moving.unlogged

    async def failing(connection: object, at: object, end: str = "") -> None:
        turns.append(at)
        if len(turns) == 2:  # those of the source
            raise OSError("away")
        await original(connection, at, end)  # type: ignore[arg-type]  # as it came

    turns: list[object] = []
    with crossing(postgres15) as across:
        doors = NoDoors()
        across.moved(doors)
        with monkeypatch.context() as patched:
            patched.setattr(leaving, "unlogged", failing)
            with pytest.raises(OSError, match="away"):
                asyncio.run(clean(across.ends, doors))
        assert across.rows(False) == []
        with pytest.raises(Exception, match="is being moved"):
            across.sql("INSERT INTO bills (tenant_id, sum) VALUES (2, 1)")
        assert asyncio.run(clean(across.ends, doors)) == 0
        across.sql("INSERT INTO bills (tenant_id, sum) VALUES (2, 1)")


def test_a_journal_that_says_otherwise_keeps_everything(postgres15: Cluster) -> None:
    with crossing(postgres15) as across:
        doors = NoDoors()
        across.moved(doors)
        rows = across.rows(False)
        for change, back in (
            ("UPDATE partywall.arrivals SET elsewhere = 'x' || elsewhere", "SET elsewhere = substr(elsewhere, 2)"),
            ("UPDATE partywall.arrivals SET id = 'x' || id", "SET id = substr(id, 2)"),
        ):
            across.sql(change, True)
            with pytest.raises(Refused, match=r"by the journal there, and not in a move from"):
                asyncio.run(clean(across.ends, doors))
            across.sql(f"UPDATE partywall.arrivals {back}", True)
        across.sql("UPDATE partywall.moves SET tenant = 'x'")
        with pytest.raises(Refused, match=r"by the journal there, and not in a move from"):
            asyncio.run(clean(across.ends, doors))
        across.sql("UPDATE partywall.moves SET tenant = 'globex'")
        assert across.rows(False) == rows


def test_a_table_that_was_made_after_the_move_is_not_emptied(postgres15: Cluster) -> None:
    with spots(postgres15, "schema", "schema") as (here, there):
        here.sql(ROWS.format(key=2))
        doors = NoDoors()
        moved(here, there, doors)
        here.sql("CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)", OWN_ROLE)
        here.sql("DROP TRIGGER partywall_move_00c0ffee_insert ON bills", OWN_ROLE)
        here.sql("ALTER TRIGGER partywall_move_00c0ffee_delete ON parts RENAME TO other", OWN_ROLE)
        assert asyncio.run(clean(between(here, there), doors)) > 40
        assert (here.rows(), here.traces(), there.traces(), here.sql("SELECT id FROM late")) == ([], 0, 0, "1")


def test_what_another_tenant_wrote_is_not_run_to_see_whether_it_references_something(postgres15: Cluster) -> None:
    with spots(postgres15, "row", "row") as (here, there):
        here.sql(ROWS.format(key=2))
        doors = NoDoors()
        moved(here, there, doors)
        here.sql("CREATE SCHEMA acme AUTHORIZATION moved_acme; GRANT REFERENCES ON bills TO moved_acme")
        here.sql("CREATE TABLE acme.pins (bill int REFERENCES bills)", "moved_acme")
        with pytest.raises(Refused, match=r"acme\.pins references .*bills., and is not the tenant's"):
            asyncio.run(clean(between(here, there), doors))
        here.sql("ALTER TABLE bills OWNER TO moved_acme")
        assert asyncio.run(clean(between(here, there), doors)) > 40
