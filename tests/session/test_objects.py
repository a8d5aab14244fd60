"""What a session has on its connection: made with the transaction, gone with it, and a reason to stay until then."""

from __future__ import annotations

from proxy.session.encode import fields_of
from proxy.session.objects import Objects
from proxy.session.session import ClientSession
from proxy.sql.plan import CursorEffect, Effects, Forward, StatementKind, Template, Temporary
from tests.kit.builders import forward
from tests.session.conftest import DISCARDED, Door, Talk, complete, failed, kinds, query
from tests.session.test_prepared import plan

HELD = "DECLARE h CURSOR WITH HOLD FOR SELECT 1"


def cursor(text: str, name: str, *, hold: bool = False, fenced: bool = False) -> Forward:
    effects = Effects(declares=CursorEffect(name, hold))
    return Forward(StatementKind.CURSOR, Template((text.encode(),)), effects, fenced=fenced)


def teach(door: Door) -> None:
    plan(door, HELD, cursor(HELD, "h", hold=True))
    plan(door, "CLOSE h", forward(b"CLOSE h", Effects(closes="h")))
    plan(door, "CLOSE ALL", forward(b"CLOSE ALL", Effects(closes="")))


def test_only_cursors_with_hold_are_held_and_closing_ends_that() -> None:
    objects = Objects()
    for name, hold in (("a", True), ("b", False), ("c", True)):
        objects.note(Effects(declares=CursorEffect(name, hold)))
    assert objects.held == {"a", "c"}
    objects.note(Effects(closes="a"))
    assert objects.reasons == {"cursor": True, "temp_table": False}
    objects.note(Effects(closes=""))
    assert objects.reasons == {"cursor": False, "temp_table": False}


def test_what_was_closed_does_not_come_back_and_what_was_made_does_not_stay() -> None:
    objects = Objects()
    objects.note(Effects(declares=CursorEffect("a", True)))
    before = objects.snapshot()
    objects.note(Effects(closes="a"))
    objects.note(Effects(declares=CursorEffect("b", True)))
    objects.restore(before)
    assert objects.held == frozenset()


def test_a_held_cursor_keeps_the_connection_until_it_is_closed(talk: Talk, door: Door) -> None:
    teach(door)
    talk(query(HELD), complete("DECLARE CURSOR"))
    talk(query("SELECT 1"), complete("SELECT 1"))
    assert door.released == []
    talk(query("CLOSE h"), complete("CLOSE CURSOR"))
    assert len(door.released) == 1


def test_a_cursor_of_a_transaction_that_failed_keeps_nothing(talk: Talk, session: ClientSession, door: Door) -> None:
    teach(door)
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query(HELD), complete("DECLARE CURSOR", "T"))
    talk(query("SELECT 1 / 0"), failed("22012"))
    talk(query("ROLLBACK"), complete("ROLLBACK"))
    assert len(door.released) == 1
    assert session.counters.pinned.get("cursor", 0) == 0


def test_a_savepoint_takes_its_cursors_with_it(talk: Talk, door: Door) -> None:
    teach(door)
    for text, tag in (("BEGIN", "BEGIN"), ("SAVEPOINT s", "SAVEPOINT"), (HELD, "DECLARE CURSOR")):
        talk(query(text), complete(tag, "T"))
    talk(query("ROLLBACK TO s"), complete("ROLLBACK", "T"))
    talk(query("COMMIT"), complete("COMMIT"))
    assert len(door.released) == 1


def test_where_current_of_a_cursor_behind_a_boundary_is_refused_in_its_transaction_only(talk: Talk, door: Door) -> None:
    update = "UPDATE t SET a = 1 WHERE CURRENT OF c"
    plan(door, update, forward(update.encode(), Effects(writes=True, positioned="c"), StatementKind.UPDATE))
    for name, fenced in (("DECLARE c 1", True), ("DECLARE c 2", False)):
        plan(door, name, cursor(name, "c", fenced=fenced))
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("DECLARE c 1"), complete("DECLARE CURSOR", "T"))
    told = talk(query(update), failed("42601"))
    assert fields_of(told[5:])["C"] == "0A000"
    talk(query("ROLLBACK"), complete("ROLLBACK"))
    talk(query("BEGIN"), complete("BEGIN", "T"))
    assert kinds(talk(query(update), failed("34000"))) == "EZ"
    talk(query("ROLLBACK"), complete("ROLLBACK"))
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("DECLARE c 2"), complete("DECLARE CURSOR", "T"))
    assert kinds(talk(query(update), complete("UPDATE 1", "T"))) == "CZ"


def test_in_one_string_with_its_cursor_too(talk: Talk, door: Door) -> None:
    update = forward(b"UPDATE", Effects(writes=True, positioned="c"), StatementKind.UPDATE)
    plan(door, "fenced", cursor("DECLARE c", "c", fenced=True), update)
    plan(door, "plain", cursor("DECLARE c", "c", fenced=True), cursor("DECLARE c", "c"), update)
    assert fields_of(talk(query("fenced"), b"")[5:])["C"] == "0A000"
    talk(query("plain"), failed("25P01", "I"))
    assert door.free[0].written == query("DECLARE c;\nDECLARE c;\nUPDATE")


def names(door: Door) -> list[str]:
    """The tables that the planner was told of."""
    return [one.name for one in door.known]


TABLE = Temporary("t", None)
CREATE = "CREATE TEMP TABLE t AS SELECT 1"


def test_a_table_is_there_until_it_is_dropped_or_its_creation_is_undone() -> None:
    objects = Objects()
    objects.note(Effects(creates=TABLE))
    before = objects.snapshot()
    objects.note(Effects(creates=Temporary("u", None)))
    objects.note(Effects(drops=("t",)))
    assert [one.name for one in objects.known] == ["u"]
    objects.restore(before)
    assert objects.known == (TABLE,)
    objects.note(Effects(drops=("",)))
    assert not objects.known


def test_a_table_that_ends_with_its_transaction_is_gone_after_it() -> None:
    objects = Objects()
    objects.note(Effects(creates=Temporary("t", None, drops=True)))
    objects.note(Effects(creates=Temporary("u", None)))
    objects.commit()
    assert [one.name for one in objects.known] == ["u"]


def test_a_table_that_is_being_made_is_known_to_what_comes_behind_it() -> None:
    objects = Objects()
    objects.send(TABLE)
    assert objects.known == (TABLE,)
    assert not objects.reasons["temp_table"]
    objects.note(Effects(creates=TABLE))
    assert objects.known == (TABLE,)
    assert objects.sent == {}


def test_the_planner_is_told_of_each_table_and_the_connection_stays_for_it(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    plan(door, CREATE, forward(CREATE.encode(), Effects(creates=TABLE), StatementKind.DDL))
    plan(door, "DROP", forward(b"DROP", Effects(drops=("t",)), StatementKind.DDL))
    session.data(query(CREATE))
    assert names(door) == ["t"]
    talk(b"", complete("SELECT 1"))
    assert names(door) == ["t"]
    assert door.released == []
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("DROP"), complete("DROP TABLE", "T"))
    assert names(door) == []
    talk(query("ROLLBACK"), complete("ROLLBACK"))
    assert names(door) == ["t"]
    assert door.released == []
    talk(query("DROP"), complete("DROP TABLE"))
    assert names(door) == []
    assert len(door.released) == 1


def test_a_table_that_could_not_be_made_is_not_known(talk: Talk, door: Door) -> None:
    plan(door, CREATE, forward(CREATE.encode(), Effects(creates=TABLE), StatementKind.DDL))
    talk(query(CREATE), failed("42P07", "I"))
    assert names(door) == []
    assert len(door.released) == 1


def test_discard_all_and_the_end_take_tables_away(talk: Talk, door: Door) -> None:
    plan(door, CREATE, forward(CREATE.encode(), Effects(creates=TABLE), StatementKind.DDL))
    talk(query(CREATE), complete("SELECT 1"))
    talk(query("DISCARD ALL"), DISCARDED)
    assert names(door) == []
    assert len(door.released) == 1
