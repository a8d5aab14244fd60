"""A client that waits long for a server connection is told so, in step, and not when it waits no more."""

from __future__ import annotations

from proxy.session.actions import LeaseBackend
from proxy.session.delay import NOTICE
from proxy.session.encode import fields_of
from proxy.session.events import BackendLeased, CancelRequested, LeaseDelayed
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from tests.session.conftest import Door, Lease, complete, kinds, query

ROWS = message(84, b"\0\0") + message(68, b"\0\0") + complete("SELECT 1")


def asked(session: ClientSession, door: Door) -> int:
    (action,) = door.asked(LeaseBackend)
    assert isinstance(action, LeaseBackend)
    return action.ticket


def test_it_is_a_notice_that_says_nothing_of_others() -> None:
    assert NOTICE[:1] == b"N"
    assert fields_of(NOTICE[5:]) == {
        "S": "NOTICE", "V": "NOTICE", "C": "00000", "M": "the statement waits until a server connection is free",
    }  # fmt: skip


def test_the_notice_comes_before_the_reply_and_the_statement_goes_on(session: ClientSession, door: Door) -> None:
    free = door.free.pop()
    session.data(query("SELECT 1"))
    ticket = asked(session, door)
    session.handle(LeaseDelayed(ticket))
    assert door.take() == NOTICE
    session.handle(BackendLeased(ticket, Lease(free)))
    session.backend_data(ROWS)
    assert door.take() == ROWS


def test_in_a_pipeline_it_stands_behind_what_was_answered_already(session: ClientSession, door: Door) -> None:
    free = door.free.pop()
    parse = message(80, b"s1\0SELECT 1\0\0\0")
    session.data(parse + message(66, b"\0s1\0\0\0\0\0\0\0") + message(69, b"\0\0\0\0\0") + message(83, b""))
    before = door.take()
    ticket = asked(session, door)
    session.handle(LeaseDelayed(ticket))
    assert door.take() == NOTICE
    session.handle(BackendLeased(ticket, Lease(free)))
    session.backend_data(b"1\0\0\0\0042\0\0\0\4" + message(68, b"\0\0") + message(67, b"SELECT 1\0") + b"Z\0\0\0\5I")
    assert kinds(before + door.take()) == "12DCZ"


def test_who_waits_no_more_is_told_nothing(session: ClientSession, door: Door) -> None:
    free = door.free.pop()
    session.data(query("SELECT 1"))
    first = asked(session, door)
    session.handle(CancelRequested())
    door.take()
    session.handle(LeaseDelayed(first))
    assert door.take() == b""
    session.data(query("SELECT 1"))
    second = asked(session, door)
    session.handle(LeaseDelayed(first))  # of a wait that is over
    assert door.take() == b""
    session.handle(BackendLeased(second, Lease(free)))
    session.handle(LeaseDelayed(second))
    assert door.take() == b""
