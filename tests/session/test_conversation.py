"""A lease ends exactly once, and whole only when nothing is owed on it."""

from __future__ import annotations

import pytest

from proxy.errors import InternalError, Refusal
from proxy.session.actions import CloseFrontend, LeaseBackend
from proxy.session.conversation import Conversation, Phase, Waiting
from proxy.session.due import QUERY, Due
from proxy.session.events import Drain, FrontendLost
from proxy.session.session import ClientSession
from tests.session.conftest import DISCARDED, Door, Talk, complete, kinds, query


def leased(session: ClientSession) -> None:
    assert session.ensure_lease()


def test_without_a_connection_there_is_no_state(session: ClientSession) -> None:
    with pytest.raises(InternalError):
        session.backend()


def test_who_finds_no_connection_waits_for_one_by_ticket(session: ClientSession, door: Door) -> None:
    door.free.clear()
    assert not session.ensure_lease()
    assert session.waiting is Waiting.LEASE
    assert door.asked(LeaseBackend) == [LeaseBackend(session.ticket)]


def _due(session: Conversation) -> None:
    session.due.append(Due(QUERY))


def _open(session: Conversation) -> None:
    session.open = True


def _skipping(session: Conversation) -> None:
    session.skipping = True


def _unsent(session: Conversation) -> None:
    session.up.append(b"Q")


def _tainted(session: Conversation) -> None:
    session.backend().taint("test")


def _in_block(session: Conversation) -> None:
    session.backend().status = ord("T")


def _half_a_header(session: Conversation) -> None:
    session.stream.feed(b"N\0")


def _half_a_row(session: Conversation) -> None:
    session.stream.feed(b"D\0\0\0\x09\0")


@pytest.mark.parametrize("owe", [_due, _open, _skipping, _unsent, _tainted, _in_block, _half_a_header, _half_a_row])
def test_a_connection_on_which_anything_is_owed_is_never_given_back_whole(
    session: ClientSession, door: Door, owe: object
) -> None:
    leased(session)
    assert callable(owe)
    owe(session)
    session.release()
    session.release()
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_a_free_connection_goes_back_whole_once(session: ClientSession, door: Door) -> None:
    leased(session)
    session.finish()
    session.finish()
    assert [destroyed for _, destroyed, _ in door.released] == [False]


def test_a_held_connection_stays_while_a_cancel_is_under_way(session: ClientSession, door: Door) -> None:
    leased(session)
    session.held = 1
    session.finish()
    assert door.released == []


def test_a_fatal_error_is_said_once_and_not_inside_a_message(session: ClientSession, door: Door) -> None:
    session.fatal(Refusal("one", sqlstate="57P01"))
    session.fatal(Refusal("two", sqlstate="57P01"))
    session.flush()
    assert kinds(door.take()) == "E"
    assert len(door.asked(CloseFrontend)) == 1
    assert session.phase is Phase.CLOSED


def test_in_the_middle_of_a_relayed_message_nothing_is_said(session: ClientSession, door: Door) -> None:
    leased(session)
    _half_a_row(session)
    session.fatal(Refusal("one", sqlstate="57P01"))
    session.flush()
    assert door.take() == b""


def test_own_words_wait_for_the_replies_before_them(session: ClientSession, door: Door) -> None:
    leased(session)
    session.supply(b"now")
    session.due.append(Due(QUERY))
    session.supply(b"later")
    session.flush()
    assert door.take() == b"now"
    assert [one.reply for one in session.due] == [b"", b"later"]


def test_a_pinned_connection_stays_between_transactions_until_the_reason_is_gone(talk: Talk, door: Door) -> None:
    (one,) = door.free
    talk(query("CREATE TEMP TABLE t ()"), complete("CREATE TABLE"))
    for _ in range(2):  # by the short way as well
        talk(query("SELECT 1"), complete("SELECT 1"))
    assert door.released == []
    talk(query("DROP TABLE t"), complete("DROP TABLE"))
    assert door.released == [(one, False, False)]
    assert one.state.undo() == b"DISCARD ALL"


def test_what_pinned_is_cleaned_off_the_connection_when_the_session_ends(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    (one,) = door.free
    talk(query("CREATE TEMP TABLE t ()"), complete("CREATE TABLE"))
    assert session.counters.pinned["test"] == 1
    session.handle(FrontendLost())
    assert door.released == [(one, False, False)]
    assert one.state.undo() == b"DISCARD ALL"
    assert session.counters.pinned["test"] == 0


def test_discard_all_is_answered_when_the_pinned_connection_is_clean(talk: Talk, door: Door) -> None:
    (one,) = door.free
    talk(query("CREATE TEMP TABLE t ()"), complete("CREATE TABLE"))
    assert talk(query("DISCARD ALL"), b"") == b""
    assert door.released == []
    assert talk(b"", DISCARDED) == complete("DISCARD ALL")
    assert door.released == [(one, False, False)]
    assert one.state.undo() is None


def test_a_pinned_session_ends_with_the_proxy_once_it_is_idle(talk: Talk, session: ClientSession, door: Door) -> None:
    talk(query("CREATE TEMP TABLE t ()"), complete("CREATE TABLE"))
    talk(query("BEGIN"), complete("BEGIN", "T"))
    session.handle(Drain())
    assert door.take() == b""
    told = talk(query("COMMIT"), complete("COMMIT"))
    assert kinds(told) == "CZE"
    assert b"57P01" in told
    assert session.phase is Phase.CLOSED
    assert [destroyed for _, destroyed, _ in door.released] == [False]
