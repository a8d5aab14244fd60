"""Notifications reach who listens, under the name it listens to, and nobody else."""

from __future__ import annotations

import pytest

from proxy.session.conversation import Phase
from proxy.session.notifications import UNKNOWN_PROCESS
from proxy.session.session import ClientSession
from proxy.tenancy.derived import SEED, own_channel, seed
from proxy.wire.backend import NotificationResponse
from tests.kit.builders import grant
from tests.session.conftest import Door, Talk, complete, failed, kinds, query

OWN = own_channel("jobs", seed("acme", "postgres"))


def told(process_id: int = 7, channel: str = OWN, payload: str = "work") -> bytes:
    return NotificationResponse(process_id, channel, payload).encode()


@pytest.fixture
def listening(talk: Talk, session: ClientSession) -> ClientSession:
    talk(query("LISTEN jobs"), complete("LISTEN"))
    assert grant().keys[SEED] == seed("acme", "postgres")
    return session


def test_a_notification_comes_under_the_clients_name_also_when_nothing_is_asked(
    talk: Talk, listening: ClientSession, door: Door
) -> None:
    mine = NotificationResponse(listening.process_id, "jobs", "work").encode()
    assert talk(b"", told()) == mine
    reply = complete("SELECT 1")
    assert talk(query("SELECT 1"), told() + reply[:-6] + told() + reply[-6:]) == mine + reply[:-6] + mine + reply[-6:]
    assert door.channels == ("jobs",)


def test_who_notified_is_a_session_or_nobody_and_never_a_process_of_the_server(
    talk: Talk, listening: ClientSession
) -> None:
    assert talk(b"", told(99)) == NotificationResponse(1234, "jobs", "work").encode()
    assert talk(b"", told(98)) == NotificationResponse(UNKNOWN_PROCESS, "jobs", "work").encode()


def test_a_notification_cut_anywhere_is_told_whole(listening: ClientSession, door: Door) -> None:
    mine = NotificationResponse(listening.process_id, "jobs", "work").encode()
    for cut in range(1, len(told())):
        door.take()
        listening.backend_data(told()[:cut])
        assert door.take() == b""
        listening.backend_data(told()[cut:])
        assert door.take() == mine


@pytest.mark.parametrize("channel", ["jobs", OWN[:-1], own_channel("jobs", "another's"), ""])
def test_a_notification_of_anything_else_is_not_told_and_ends_the_connection(
    talk: Talk, listening: ClientSession, door: Door, channel: str
) -> None:
    assert b"work" not in talk(b"", told(channel=channel))
    assert listening.phase is Phase.CLOSED
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_who_does_not_listen_is_told_nothing(talk: Talk, session: ClientSession, door: Door) -> None:
    assert b"work" not in talk(query("SELECT 1"), told() + complete("SELECT 1"))
    assert session.phase is Phase.CLOSED
    assert [destroyed for _, destroyed, _ in door.released] == [True]


def test_a_connection_stays_until_unlisten_holds(talk: Talk, listening: ClientSession, door: Door) -> None:
    assert not door.released
    talk(query("BEGIN"), complete("BEGIN", "T"))
    talk(query("UNLISTEN *"), complete("UNLISTEN", "T"))
    talk(query("ROLLBACK"), complete("ROLLBACK"))
    assert not door.released
    talk(query("UNLISTEN *; SELECT 1"), complete("UNLISTEN")[:-6] + failed("22012", "I"))
    assert not door.released
    talk(query("BEGIN; UNLISTEN *; ROLLBACK"), b"".join(complete(one)[:-6] for one in ("BEGIN", "UNLISTEN")) + complete(
        "ROLLBACK"
    ))  # fmt: skip
    assert not door.released
    talk(query("UNLISTEN *; LISTEN jobs"), complete("UNLISTEN")[:-6] + complete("LISTEN"))
    assert not door.released
    talk(query("UNLISTEN *"), complete("UNLISTEN"))
    assert [destroyed for _, destroyed, _ in door.released] == [False]
    assert (listening.listening, door.channels) == ({}, ())


def test_unlisten_is_answered_where_nothing_was_listened_to(talk: Talk, session: ClientSession) -> None:
    assert kinds(talk(query("UNLISTEN *"), b"")) == "CZ"
    assert session.lease is None


def test_who_notifies_is_noted_before_the_server_hears_of_it(session: ClientSession, door: Door) -> None:
    session.data(query("NOTIFY jobs"))
    assert door.notified == [7]
