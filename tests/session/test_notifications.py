"""Notifications reach who listens, under the name it listens to, when it is idle, and nobody else."""

from __future__ import annotations

import pytest

from proxy.errors import TooManyConnections
from proxy.session.actions import HearAll, Subscribe
from proxy.session.conversation import Phase, Waiting
from proxy.session.events import CancelRequested, Drain, FrontendLost, Heard, Notified, Subscribed
from proxy.session.notifications import LIMIT
from proxy.session.session import ClientSession
from proxy.sql.plan import Effects, Planned
from proxy.tenancy.derived import SEED, own_channel, seed
from proxy.wire.backend import NotificationResponse
from tests.kit.builders import forward, grant
from tests.session.conftest import Door, Talk, complete, failed, kinds, query
from tests.session.test_extended import SYNC, bind, execute, parse
from tests.session.test_prepared import prepare, run

OWN = own_channel("jobs", seed("acme", "postgres"))
WORK = Notified(OWN, "work", 1234)
NEWS = forward(b"SELECT pg_notify('jobs', '')", Effects(notifies=True))
TOLD = NotificationResponse(1234, "jobs", "work").encode()


def answer(session: ClientSession, door: Door) -> None:
    """The listening connection does what it was asked."""
    for one in door.asked(Subscribe):
        session.handle(Subscribed(one.ticket, one.channel, one.name))
    for one in door.asked(HearAll):
        session.handle(Heard(one.ticket))


def ask(talk: Talk, session: ClientSession, door: Door, text: str, reply: bytes = b"") -> bytes:
    """A simple query, whatever it waits for."""
    session.data(query(text))
    answer(session, door)
    if reply:
        session.backend_data(reply)
    answer(session, door)
    return door.take()


@pytest.fixture
def listening(session: ClientSession, door: Door) -> ClientSession:
    session.data(query("LISTEN jobs"))
    assert door.take() == b""
    answer(session, door)
    assert door.take() == complete("LISTEN")
    assert grant().keys[SEED] == seed("acme", "postgres")
    return session


def test_no_server_connection_of_the_sessions_listens(listening: ClientSession, door: Door) -> None:
    assert (listening.lease, door.free[0].written, door.channels) == (None, b"", ("jobs",))
    assert (listening.subscribed, listening.counters.listening) == ({OWN: "jobs"}, 1)


def test_an_idle_session_is_told_at_once_under_its_own_name_of_the_channel(
    listening: ClientSession, door: Door
) -> None:
    listening.handle(WORK)
    assert door.take() == TOLD


def test_a_transaction_is_told_at_its_end_before_it_is_ready(talk: Talk, listening: ClientSession, door: Door) -> None:
    ask(talk, listening, door, "BEGIN", complete("BEGIN", "T"))
    listening.handle(WORK)
    assert ask(talk, listening, door, "SELECT 1", complete("SELECT 1", "T")) == complete("SELECT 1", "T")
    assert (
        ask(talk, listening, door, "COMMIT", complete("COMMIT")) == complete("COMMIT")[:-6] + TOLD + complete("")[-6:]
    )


def test_ready_for_query_waits_for_what_was_committed_before_it(
    talk: Talk, listening: ClientSession, door: Door
) -> None:
    assert kinds(talk(query("NOTIFY jobs") + query("SELECT 2"), complete("NOTIFY"))) == "CZ"
    assert kinds(talk(b"", complete("SELECT 1"))) == "C"  # what is pipelined is waited for once
    listening.data(query("SELECT 3"))
    listening.handle(Notified(OWN, "mine", listening.process_id))
    assert door.take() == b""
    answer(listening, door)
    assert kinds(door.take()) == "AZ"
    listening.backend_data(complete("SELECT 1"))
    answer(listening, door)
    assert kinds(door.take()) == "CZ"


def test_a_listen_counts_from_its_commit_on(talk: Talk, session: ClientSession, door: Door) -> None:
    ask(talk, session, door, "BEGIN", complete("BEGIN", "T"))
    session.data(query("LISTEN jobs"))
    answer(session, door)
    assert not door.channels
    session.backend_data(b"I\0\0\0\4" + complete("", "T")[-6:])
    session.handle(Notified(OWN, "mine", session.process_id))
    written = door.released, session.lease
    session.data(query("COMMIT"))  # waits until everything before it was told, and dropped
    assert (door.released, session.lease) == written
    session.handle(WORK)
    answer(session, door)
    session.handle(Notified(OWN, "later", 1234))
    session.backend_data(complete("COMMIT"))
    answer(session, door)
    told = door.take()
    assert kinds(told) == "CZCAAZ"
    assert b"mine" in told
    assert b"work" not in told
    assert door.channels == ("jobs",)


@pytest.mark.parametrize(
    ("texts", "heard"),
    [
        (["BEGIN", "LISTEN jobs", "ROLLBACK"], False),
        (["BEGIN", "SAVEPOINT a", "LISTEN jobs", "ROLLBACK TO a", "COMMIT"], False),
        (["BEGIN", "LISTEN jobs", "SAVEPOINT a", "UNLISTEN *", "ROLLBACK TO a", "COMMIT"], True),
        (["LISTEN jobs", "BEGIN", "UNLISTEN *", "ROLLBACK"], True),
        (["LISTEN jobs", "BEGIN", "UNLISTEN *", "COMMIT"], False),
        (["LISTEN jobs", "UNLISTEN jobs"], False),
        (["LISTEN jobs", "DISCARD ALL"], False),
    ],
)
def test_what_is_rolled_back_was_never_said(
    talk: Talk, session: ClientSession, door: Door, texts: list[str], heard: bool
) -> None:
    inside = False
    for text in texts:
        inside = {"BEGIN": True, "COMMIT": False, "ROLLBACK": False}.get(text, inside)
        status = "T" if inside else "I"
        answered = text.split()[0] in {"LISTEN", "UNLISTEN", "DISCARD"}
        reply = b"I\0\0\0\4" + complete("", status)[-6:] if answered else complete(text.split(" TO ")[0], status)
        ask(talk, session, door, text, reply if session.lease or not answered else b"")
    door.take()
    session.handle(WORK)
    assert door.take() == (TOLD if heard else b"")
    assert (OWN in session.subscribed, OWN in door.given_up) == (heard, not heard)


def test_an_error_in_the_same_string_takes_the_listen_with_it(talk: Talk, session: ClientSession, door: Door) -> None:
    told = ask(talk, session, door, "LISTEN jobs; SELECT 1/0", failed("22012", "I"))
    assert kinds(told) == "CEZ"
    session.handle(WORK)
    assert door.take() == b""
    assert (session.subscribed, door.given_up, session.counters.listening) == ({}, (OWN,), 0)


def test_listen_in_the_extended_protocol_waits_in_its_place(talk: Talk, session: ClientSession, door: Door) -> None:
    session.data(parse("LISTEN jobs") + bind() + execute() + SYNC)
    assert kinds(door.take()) == "12"
    answer(session, door)
    assert kinds(door.take()) == "CZ"
    session.handle(WORK)
    assert door.take() == TOLD


def test_who_cannot_listen_is_told_why(session: ClientSession, door: Door) -> None:
    for sent, told in ((query("LISTEN jobs"), "EZ"), (parse("LISTEN jobs") + bind() + execute() + SYNC, "12EZ")):
        session.data(sent)
        (asked,) = door.asked(Subscribe)
        session.handle(Subscribed(asked.ticket, asked.channel, asked.name, TooManyConnections("none is left")))
        assert kinds(door.take()) == told
    assert session.subscribed == {}


def test_a_cancel_ends_the_waiting_and_a_late_subscription_is_given_up(session: ClientSession, door: Door) -> None:
    session.data(query("LISTEN jobs"))
    session.handle(CancelRequested())
    assert b"57014" in door.take()
    answer(session, door)
    assert (session.subscribed, door.given_up) == ({}, (OWN,))


def test_a_client_that_does_not_read_keeps_nobody_waiting_and_ends_when_too_much_waits(
    listening: ClientSession, door: Door
) -> None:
    door.writable = False
    listening.handle(WORK)
    assert door.take() == b""
    door.writable = True
    listening.finish()
    assert door.take() == TOLD
    door.writable = False
    for _ in range(LIMIT // 7000):
        listening.handle(Notified(OWN, "x" * 7000, 1))
    assert listening.phase is Phase.READY
    listening.handle(Notified(OWN, "x" * 7000, 1))
    assert b"57P01" in door.take()
    assert (listening.phase, door.given_up) == (Phase.CLOSED, (OWN,))


@pytest.mark.parametrize("end", [FrontendLost(), Drain()])
def test_the_end_of_a_session_ends_its_listening(
    listening: ClientSession, door: Door, end: FrontendLost | Drain
) -> None:
    listening.handle(end)
    assert (listening.phase, door.given_up, listening.counters.listening) == (Phase.CLOSED, (OWN,), 0)


def test_a_drain_lets_a_session_hear_what_it_waits_for(talk: Talk, listening: ClientSession, door: Door) -> None:
    assert kinds(talk(query("SELECT 1"), complete("SELECT 1"))) == "C"
    listening.handle(Drain())
    assert listening.phase is Phase.READY
    answer(listening, door)
    assert kinds(door.take()) == "ZE"


def test_a_notification_on_a_connection_of_the_pools_ends_it(talk: Talk, session: ClientSession, door: Door) -> None:
    assert b"work" not in talk(query("SELECT 1"), TOLD + complete("SELECT 1"))
    assert session.phase is Phase.CLOSED
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_unlisten_is_answered_where_nothing_was_listened_to(talk: Talk, session: ClientSession) -> None:
    assert kinds(talk(query("UNLISTEN *"), b"")) == "CZ"
    assert session.lease is None


def test_who_notifies_is_noted_before_the_server_hears_of_it(session: ClientSession, door: Door) -> None:
    session.data(query("NOTIFY jobs"))
    assert door.notified == [7]


@pytest.mark.parametrize(
    "sent",
    [
        query("NOTIFY jobs"),
        query("SELECT 1; NOTIFY jobs"),
        parse("NOTIFY jobs") + bind() + execute() + SYNC,
        query("PREPARE a; EXECUTE a"),
    ],
)
def test_what_another_session_notified_over_the_connection_is_told_first(
    session: ClientSession, door: Door, sent: bytes
) -> None:
    door.foreign.add(7)
    door.planned[b"PREPARE a; EXECUTE a"] = Planned((prepare("a", NEWS), run("a")))
    (server,) = door.free
    session.data(sent)
    assert (session.waiting, door.notified, session.lease is not None) == (Waiting.TOLD, [], True)
    assert server.written[:1] != b"Q"
    assert execute() not in server.written
    answer(session, door)
    assert (session.waiting, set(door.notified)) == (Waiting.NOTHING, {7})
    assert server.written[:1] == b"Q" or execute() in server.written


def test_an_execute_of_what_was_prepared_notifies_as_well(talk: Talk, session: ClientSession, door: Door) -> None:
    door.planned |= {b"PREPARE a": Planned((prepare("a", NEWS),)), b"EXECUTE a": Planned((run("a"),))}
    talk(query("PREPARE a"), complete("PREPARE"))
    door.foreign.add(7)
    session.data(query("EXECUTE a"))
    assert (session.waiting, door.notified) == (Waiting.TOLD, [])


def test_nobody_waits_before_what_notifies_nobody(session: ClientSession, door: Door) -> None:
    door.foreign.add(7)
    session.data(query("SELECT 1; SELECT 2"))
    assert (session.waiting, door.asked(HearAll), door.notified) == (Waiting.NOTHING, [], [])
