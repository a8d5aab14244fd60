"""One conversation: the short way and the general way are one, a lease ends once, and lateness harms nobody."""

from __future__ import annotations

import pytest

from proxy.backend.state import IDLE
from proxy.errors import Refusal, TooManyConnections
from proxy.session.actions import CloseFrontend, LeaseBackend, PlanStatement, Report, WithdrawLease
from proxy.session.conversation import Phase
from proxy.session.encode import fields_of
from proxy.session.events import (
    BackendLeased,
    BackendLost,
    CancelFinished,
    CancelRequested,
    Drain,
    FrontendLost,
    LeaseMoved,
    LeaseRefused,
    StatementPlanned,
    Terminate,
)
from proxy.session.session import ClientSession
from proxy.sql.plan import Planned, Reject, StatementKind
from proxy.wire.fields import message
from tests.kit.builders import plan_text
from tests.session.conftest import Door, Lease, Talk, complete, failed, kinds, link, query

ROWS = message(84, b"\0\0") + message(68, b"\0\0") + complete("SELECT 1")


def test_a_plain_query_goes_through_and_gives_its_connection_back(talk: Talk, door: Door) -> None:
    (one,) = door.free
    assert talk(query("SELECT 1"), ROWS) == ROWS
    assert one.written == query("SELECT 1")
    assert door.released == [(one, False, False)]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_messages_cut_anywhere_mean_the_same(session: ClientSession, door: Door, size: int) -> None:
    (one,) = door.free
    for data, feed in ((query("SELECT 1"), session.data), (ROWS, session.backend_data)):
        for start in range(0, len(data), size):
            feed(data[start : start + size])
    assert one.written == query("SELECT 1")
    assert door.take() == ROWS
    assert len(door.released) == 1


def test_a_transaction_holds_its_connection_until_it_ends(talk: Talk, door: Door) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    assert door.released == []
    talk(query("SELECT 1"), complete("SELECT 0", "T"))
    assert door.released == []
    talk(query("COMMIT"), complete("COMMIT"))
    assert len(door.released) == 1


def test_a_text_waits_for_its_plan_and_a_late_answer_is_nobodys(session: ClientSession, door: Door) -> None:
    door.cached = False
    session.data(query("SELECT 1"))
    (asked,) = door.asked(PlanStatement)
    session.handle(StatementPlanned(asked.ticket - 1, plan_text(b"SELECT 'another'")))
    assert door.free[0].written == b""
    session.handle(StatementPlanned(asked.ticket, plan_text(asked.text)))
    assert door.free == []
    session.backend_data(ROWS)
    assert door.take() == ROWS


def test_who_waits_for_a_connection_gets_it_or_is_refused_and_goes_on(session: ClientSession, door: Door) -> None:
    free = door.free.pop()
    session.data(query("SELECT 1"))
    (asked,) = door.asked(LeaseBackend)
    session.handle(LeaseRefused(asked.ticket, TooManyConnections("none")))
    assert kinds(door.take()) == "EZ"
    session.data(query("SELECT 2"))
    (asked,) = door.asked(LeaseBackend)
    session.handle(BackendLeased(asked.ticket, Lease(free)))
    assert free.written == query("SELECT 2")


def test_who_waits_while_its_tenant_moves_is_planned_anew_and_asks_for_a_connection_there(
    session: ClientSession, door: Door
) -> None:
    free = door.free.pop()
    session.data(query("SELECT 1"))
    (asked,) = door.asked(LeaseBackend)
    session.handle(LeaseMoved(asked.ticket - 1))
    assert door.asked(LeaseBackend) == []
    session.handle(LeaseMoved(asked.ticket))
    (again,) = door.asked(LeaseBackend)
    assert again.ticket > asked.ticket
    session.handle(LeaseMoved(asked.ticket))
    session.handle(BackendLeased(again.ticket, Lease(free)))
    assert free.written == query("SELECT 1")


def test_a_connection_that_comes_too_late_goes_back_unused(session: ClientSession, door: Door) -> None:
    free = door.free.pop()
    session.data(query("SELECT 1"))
    (asked,) = door.asked(LeaseBackend)
    session.handle(FrontendLost())
    assert door.asked(WithdrawLease) == [WithdrawLease(asked.ticket)]
    session.handle(BackendLeased(asked.ticket, Lease(free)))
    assert door.released == [(free, False, False)]
    assert free.written == b""


def test_a_client_lost_in_the_middle_destroys_what_it_held(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("SELECT 1"))
    session.handle(FrontendLost())
    session.handle(FrontendLost())
    assert door.released == [(one, True, True)]
    session.backend_data(ROWS)
    assert door.take() == b""


@pytest.mark.parametrize("text", ["SELECT 1", "SELECT 1; SELECT 2", "BEGIN"])
def test_what_the_server_said_when_it_ended_the_connection_is_the_last_word(
    session: ClientSession, door: Door, text: str
) -> None:
    session.data(query(text))
    fatal = message(69, b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")
    session.backend_data(fatal)
    session.handle(BackendLost("closed"))
    assert door.take() == fatal
    assert len(door.asked(CloseFrontend)) == 1
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_a_lost_server_is_a_fatal_error_once(session: ClientSession, door: Door) -> None:
    session.data(query("SELECT 1"))
    session.handle(BackendLost("reset"))
    session.handle(BackendLost("again"))
    written = door.take()
    assert kinds(written) == "E"
    assert fields_of(written[5:])["C"] == "08006"
    assert len(door.released) == 1
    assert len(door.asked(CloseFrontend)) == 1


@pytest.mark.parametrize(
    "data",
    [
        message(68, b"\0\0"), complete("SELECT 1"), b"G\0\0\0\7\0\0\0", b"W\0\0\0\7\0\0\0", b"R\0\0\0\x08\0\0\0\0",
        b"K\0\0\0\x0c\0\0\0\7four", b"\0\0\0\0\5",
    ],
)  # fmt: skip
def test_a_server_that_speaks_unasked_is_cut_and_none_of_it_relayed(talk: Talk, door: Door, data: bytes) -> None:
    told = talk(query("BEGIN"), complete("BEGIN", "T"))
    assert kinds(told) == "CZ"
    told = talk(b"", data)
    assert kinds(told) == "E"
    assert fields_of(told[5:])["C"] == "08P01"
    assert [destroyed for _, destroyed, _ in door.released] == [True]
    assert door.asked(Report)


def test_a_reply_beyond_the_last_one_is_out_of_step(talk: Talk, door: Door) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("SELECT 1"), complete("SELECT 1", "T") + complete("SELECT 1", "T"))
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_a_cancel_keeps_the_connection_until_the_cancel_has_ended(session: ClientSession, door: Door) -> None:
    session.data(query("SELECT 1"))
    session.handle(CancelRequested())
    session.backend_data(ROWS)
    assert door.released == []
    session.data(query("SELECT 2"))
    assert session.buffered
    session.handle(CancelFinished())
    session.backend_data(ROWS)
    assert len(door.released) == 1


@pytest.mark.parametrize("end", [FrontendLost(), Terminate(Refusal("no", sqlstate="57P01"))])
def test_who_leaves_while_a_cancel_is_under_way_takes_the_connection_along(
    session: ClientSession, door: Door, end: FrontendLost | Terminate
) -> None:
    """It may still come, and would hit whoever has the connection next."""
    session.data(query("SELECT 1"))
    session.handle(CancelRequested())
    session.backend_data(ROWS)
    session.handle(end)
    session.handle(CancelFinished())
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_a_cancel_of_what_waits_is_answered_here(session: ClientSession, door: Door) -> None:
    door.free.clear()
    session.data(query("SELECT 1"))
    session.handle(CancelRequested())
    written = door.take()
    assert kinds(written) == "EZ"
    assert b"C57014\0" in written
    assert session.phase is Phase.READY


def test_draining_ends_the_idle_at_once_and_others_with_their_transaction(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    session.handle(Drain())
    assert door.take() == b""
    told = talk(query("COMMIT"), complete("COMMIT"))
    assert kinds(told) == "CZE"
    assert b"C57P01\0" in told
    assert [destroyed for _, destroyed, _ in door.released] == [False]


def test_a_termination_destroys_an_open_transaction(talk: Talk, session: ClientSession, door: Door) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    session.handle(Terminate(Refusal("enough", sqlstate="25P04")))
    assert b"C25P04\0" in door.take()
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_a_failed_statement_fails_its_transaction_only(talk: Talk, door: Door) -> None:
    assert kinds(talk(query("SELECT 1/0"), failed("22012", "I"))) == "EZ"
    talk(query("BEGIN"), complete("BEGIN", "T"))
    assert kinds(talk(query("SELECT 1/0"), failed("22012", "E"))) == "EZ"
    talk(query("ROLLBACK"), complete("ROLLBACK"))
    assert [destroyed for _, destroyed, _ in door.released] == [False, False]


def test_several_texts_in_one_read_are_answered_in_order(session: ClientSession, door: Door) -> None:
    (one,) = door.free
    session.data(query("SELECT 1") + query("SELECT 2") + query("UNLISTEN *"))
    session.backend_data(ROWS)
    session.backend_data(ROWS)
    assert one.written == query("SELECT 1") + query("SELECT 2") + query("")  # the last keeps the answer in its place
    assert kinds(door.take()) == "TDCZTDCZC"
    session.backend_data(b"I\0\0\0\4Z\0\0\0\5I")
    assert kinds(door.take()) == "Z"
    assert one.state.status == IDLE


def test_half_a_message_behind_the_last_reply_keeps_the_connection_from_others(talk: Talk, door: Door) -> None:
    """A notice of the server's may come in two reads, the first of them with a reply."""
    notice = message(78, b"SNOTICE\0VNOTICE\0C00000\0Mhello\0\0")
    for cut in (1, 5, 12):
        door.free[:] = [link()]
        door.released.clear()
        talk(query("SELECT 1"), ROWS + notice[:cut])
        assert [destroyed for _, destroyed, _ in door.released] in ([], [True])


def test_rows_and_bytes_are_counted_the_short_way_and_the_general(session: ClientSession, door: Door) -> None:
    rows, told = session.rows, session.sent
    for cut in (len(ROWS), 3, 13, 20):  # whole is the short way
        session.data(query("SELECT 1"))
        session.backend_data(ROWS[:cut])
        if cut < len(ROWS):
            session.backend_data(ROWS[cut:])
    assert session.rows - rows == session.counters.rows == 4
    assert session.sent - told == len(door.take()) == 4 * len(ROWS)


def test_rows_are_not_counted_twice_inside_a_transaction(talk: Talk, session: ClientSession) -> None:
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("SELECT 1"), ROWS[:-1] + b"T")
    talk(query("SELECT 1"), ROWS[:-1] + b"T")
    assert session.rows == session.counters.rows == 2


def test_a_plan_that_was_made_by_rules_of_before_is_made_again(
    session: ClientSession, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it was made a reload took a right away: it must not count as a plan of the rules in force."""
    door.cached = False
    session.data(query("UPDATE t SET a = 1"))
    (first,) = door.asked(PlanStatement)
    reload = iter([session.plans.clear])
    monkeypatch.setattr(door, "follow", lambda: [forget() for forget in reload])
    session.handle(StatementPlanned(first.ticket, plan_text(b"UPDATE t SET a = 1")))
    again = door.asked(PlanStatement)[-1]
    assert again.ticket != first.ticket
    session.handle(StatementPlanned(again.ticket, Planned((Reject(StatementKind.UPDATE, "25006", "reads only"),))))
    assert b"25006" in door.take()
