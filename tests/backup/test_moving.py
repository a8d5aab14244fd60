"""One place takes the tenant's writes, or none does; what fails leaves the source in charge, and can be taken again."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import psycopg
import pytest

from proxy.backup import ends, journal, moving
from proxy.backup.ends import ONE, both
from proxy.backup.moving import Stayed, Unclear, abort, move, open_there, standing, tried
from proxy.backup.refusal import Refused
from tests.backup.crossing import TABLES, WRITES, Crossing, NoDoors
from tests.kit.books import eventually

TRACES = """SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'partywall_move%')
 + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'move\\_%')"""


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


def refuse() -> None:
    raise Stayed(["the proxy at the corner says no"])


def begun(across: Crossing) -> None:
    """All is copied, and the tenant works at the source."""
    with pytest.raises(Refused, match="at the corner"):
        across.moved(NoDoors(switching=refuse))


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
    again = NoDoors()
    with pytest.raises(Refused, match="has moved to"):
        across.moved(again)
    assert again.told == ["went on"]
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


def busy(across: Crossing, there: bool) -> str:
    """The command's backend."""
    mine = "application_name = 'partywall move' AND datname = current_database()"
    return across.sql(f"SELECT pid FROM pg_stat_activity WHERE {mine}", there)


@pytest.mark.parametrize("there", [False, True])
def test_a_server_that_answers_nothing_in_the_pause_is_not_waited_for(
    across: Crossing, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """Neither what was asked nor a ROLLBACK after it: at the source when all is to be followed, or at the target when
    that is to be opened. Nobody can tell what such a server does when it wakes."""
    monkeypatch.setattr(moving, "CUT", 0.2)
    monkeypatch.setattr(moving, "GONE", moving.GONE.replace("10000", "200"))
    frozen: list[int] = []

    def freeze() -> None:
        monkeypatch.setattr(journal, "TURNING", 0.3)
        monkeypatch.setattr(ends, "CLOSING", 0.2)
        frozen.append(int(busy(across, there)))
        os.kill(frozen[0], signal.SIGSTOP)

    doors = NoDoors(switching=freeze) if there else NoDoors(during=freeze)
    try:
        with pytest.raises(Unclear, match="may be open" if there else "another command is moving globex"):
            across.moved(doors, 30 if there else 0.4)
    finally:
        os.kill(frozen[0], signal.SIGCONT)
    monkeypatch.undo()
    assert doors.told[-1] == "resumed"
    assert eventually(lambda: busy(across, there) == "", 30)
    across.moved(NoDoors())
    assert across.rows(True) == across.rows(False)


def test_rules_that_cannot_be_switched_leave_the_source_in_charge(across: Crossing) -> None:
    begun(across)
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
    assert (doors.told, phase(across)) == (["back", "went on"], None)
    assert (across.rows(False), across.rows(True)) == (before, [])
    assert (takes(across, False), across.sql(TRACES), across.sql(TRACES, True)) == (True, "0", "0")
    asyncio.run(abort(across.ends, doors))
    across.moved(NoDoors())
    assert across.rows(True) == before


async def test_two_commands_do_not_move_one_tenant(across: Crossing) -> None:
    async with both(across.ends):
        with pytest.raises(Refused, match="another command is moving globex"):
            await move(across.ends, NoDoors(), "0badcafe", 1)


def test_once_the_target_is_open_nothing_leads_back(across: Crossing) -> None:
    """A command that was killed between its last two words."""
    with pytest.raises(Unclear):
        across.moved(NoDoors(switching=silence))
    at = asyncio.run(standing(across.ends))
    assert at is not None
    assert not asyncio.run(open_there(across.ends, at))
    across.sql("UPDATE partywall.arrivals SET phase = 'open'", True)
    assert asyncio.run(open_there(across.ends, at))
    with pytest.raises(Refused, match="has moved"):
        asyncio.run(abort(across.ends, NoDoors()))
    across.sql("INSERT INTO bills (tenant_id, sum) VALUES (2, 1234)", True)
    doors = NoDoors(["switched"], switching=refuse)
    across.moved(doors)
    assert (doors.told, phase(across)) == (["switched", "went on"], "moved")
    assert (takes(across, False), takes(across, True), across.sql(TRACES, True)) == (False, True, "0")
    assert across.sql("SELECT count(*) FROM bills WHERE sum = 1234", True) == "1"


def test_rules_of_which_nobody_knows_what_they_say_leave_the_fence(across: Crossing) -> None:
    def changed() -> None:
        raise Refused(["the file was changed"])

    with pytest.raises(Refused, match="the file was changed"):
        across.moved(NoDoors(switching=changed))
    assert (phase(across), takes(across, False), takes(across, True)) == ("switching", False, False)


def test_nobody_goes_on_with_a_move_that_is_being_given_up(across: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(across)
    original, calls = moving.unlogged, []

    async def failing(connection: object, at: object, *end: object) -> None:
        calls.append(at)
        if len(calls) == 2:  # those of the source
            across.sql("DROP TRIGGER partywall_move_00c0ffee_insert ON bills")
            raise OSError("away")
        await original(connection, at, *end)  # type: ignore[arg-type]  # as it came

    with monkeypatch.context() as patched:
        patched.setattr(moving, "unlogged", failing)
        with pytest.raises(OSError, match="away"):
            asyncio.run(abort(across.ends, NoDoors()))
    assert (phase(across), takes(across, False)) == ("aborting", True)
    with pytest.raises(Refused, match="is being given up: --abort ends that"):
        across.moved(NoDoors())
    asyncio.run(abort(across.ends, NoDoors()))
    assert (phase(across), takes(across, False), across.rows(True)) == (None, True, [])
    assert (across.sql(TRACES), across.sql(TRACES, True)) == ("0", "0")


def test_a_trigger_that_somebody_took_away_is_missed(across: Crossing) -> None:
    begun(across)
    across.sql("DROP TRIGGER partywall_move_00c0ffee_insert ON bills")
    across.sql("INSERT INTO bills (tenant_id, sum) VALUES (2, 77)")
    with pytest.raises(Refused, match=r"bills has \d+ rows here and \d+ at the target"):
        across.moved(NoDoors())
    asyncio.run(abort(across.ends, NoDoors()))
    doors = NoDoors(during=lambda: across.sql("ALTER TABLE bills DISABLE TRIGGER partywall_move_00c0ffee_insert"))
    with pytest.raises(Refused, match="the triggers on them were changed"):
        across.moved(doors)
    assert (phase(across), takes(across, False), takes(across, True)) == ("copying", True, False)


def test_what_was_logged_is_the_same_tables_when_they_come_in_another_order(across: Crossing) -> None:
    begun(across)
    across.sql(WRITES)
    order = [one.title for one in asyncio.run(tried(across.ends))]
    across.sql("INSERT INTO bills (tenant_id, sum) VALUES (2, 5)")
    across.sql("ALTER TABLE bills ADD FOREIGN KEY (tenant_id, id) REFERENCES parts (tenant_id, id) NOT VALID")
    assert [one.title for one in asyncio.run(tried(across.ends))] != order
    across.sql("DELETE FROM marks WHERE tenant_id = 2")
    across.moved(NoDoors())
    assert across.rows(True) == across.rows(False)


def test_tables_that_change_meanwhile_are_not_moved(across: Crossing) -> None:
    late = "CREATE TABLE late (tenant_id int NOT NULL, id int PRIMARY KEY)"
    doors = NoDoors(during=lambda: (across.sql(late), across.sql(late, True)))
    with pytest.raises(Refused, match="were changed since the move began"):
        across.moved(doors)
    assert (phase(across), takes(across, False), takes(across, True)) == ("copying", True, False)
    across.sql("INSERT INTO late VALUES (2, 1)")
    with pytest.raises(Refused, match="were changed since the move began: --abort"):
        across.moved(NoDoors())
    across.sql("DROP TABLE marks", True)  # it can be given up all the same
    asyncio.run(abort(across.ends, NoDoors()))
    assert across.sql("SELECT count(*) FROM bills WHERE tenant_id = 2", True) == "0"
    assert (takes(across, False), across.sql(TRACES), across.sql(TRACES, True)) == (True, "0", "0")


def test_a_move_goes_on_to_where_it_went_and_nowhere_else(across: Crossing) -> None:
    begun(across)
    other = replace(across.ends.there, server=replace(across.ends.there.server, host="localhost"))
    with pytest.raises(Refused, match="begun elsewhere or with another --to"):
        asyncio.run(move(replace(across.ends, there=other), NoDoors(), "00c0ffee", 30))
    with pytest.raises(Refused, match="begun elsewhere or with another --to"):
        asyncio.run(abort(replace(across.ends, there=other), NoDoors()))
    with pytest.raises(Refused, match="begun elsewhere or with another --to"):
        asyncio.run(move(across.ends, NoDoors(), "0badcafe", 30))
    assert phase(across) == "copying"


def test_numbers_of_sequences_that_are_nobodys_go_on_too(across: Crossing) -> None:
    for there in (False, True):
        across.sql("CREATE SEQUENCE loose; ALTER TABLE bills ALTER id SET DEFAULT nextval('loose')", there)
    across.sql("SELECT setval('loose', 500)")
    across.moved(NoDoors())
    assert int(across.sql("SELECT nextval('loose')", True)) > 500


def test_the_fence_is_left_to_another_command_that_came_between(across: Crossing) -> None:
    """Who gives way has ended its own connection, and with it the lock that kept others away."""
    with psycopg.connect(across.cluster.dsn(database=across.names[0]), autocommit=True) as other:

        def taken() -> None:
            across.sql(
                "SELECT pg_terminate_backend(l.pid, 10000) FROM pg_locks l WHERE l.locktype = 'advisory'"
                " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            other.execute(ONE.replace("$1", "%s"), [across.ends.lock])
            refuse()

        with pytest.raises(Refused, match="another command is moving globex: see --status"):
            across.moved(NoDoors(switching=taken))
        assert (phase(across), takes(across, False)) == ("switching", False)
