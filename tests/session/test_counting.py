"""What a session counts of its server's time and its own waiting, by a clock that the test moves."""

from __future__ import annotations

import pytest

from proxy.errors import Refusal
from proxy.session.actions import LeaseBackend
from proxy.session.events import BackendLeased, CancelRequested, Event, FrontendLost, LeaseRefused
from proxy.session.session import ClientSession
from tests.session.conftest import Door, Lease, complete, link, log_in, query
from tests.session.test_extended import SYNC, bind, execute, parse
from tests.session.test_short import General

FLUSH = b"H\0\0\0\4"
DONE = complete("SELECT 1")


class Clock:
    """Seconds; `now` is the test's to move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[ClientSession, General])
def session(door: Door, clock: Clock, request: pytest.FixtureRequest) -> ClientSession:
    """Logged in and idle; with the short way and without it."""
    session = ClientSession(door, process_id=42, secret_key=b"key!", clock=clock)
    log_in(session, door)
    session.__class__ = request.param
    door.actions.clear()
    return session


def test_the_servers_time_is_from_what_is_sent_to_its_ready(session: ClientSession, clock: Clock) -> None:
    for _ in range(3):
        session.data(query("SELECT 1"))
        clock.now += 2
        session.backend_data(DONE)
        clock.now += 50  # the client thinks
    assert session.counters.server == 6


def test_a_reply_in_pieces_is_one_time(session: ClientSession, clock: Clock) -> None:
    session.data(query("SELECT 1"))
    for byte in DONE:
        clock.now += 1
        session.backend_data(bytes([byte]))
    assert session.counters.server == len(DONE)


def test_what_is_sent_while_the_server_is_busy_is_not_counted_twice(session: ClientSession, clock: Clock) -> None:
    session.data(query("SELECT 1"))
    clock.now += 1
    session.data(query("SELECT 2"))
    clock.now += 1
    session.backend_data(DONE)
    clock.now += 1
    session.backend_data(DONE)
    assert session.counters.server == 3


def test_idle_time_in_a_transaction_is_not_the_servers(session: ClientSession, clock: Clock) -> None:
    for text, tag, status in (("BEGIN", "BEGIN", "T"), ("SELECT 1", "SELECT 1", "T"), ("COMMIT", "COMMIT", "I")):
        session.data(query(text))
        clock.now += 1
        session.backend_data(complete(tag, status))
        clock.now += 100
    assert session.counters.server == 3


def test_between_flush_and_sync_nothing_runs(session: ClientSession, clock: Clock) -> None:
    session.data(parse("SELECT 1") + bind() + execute() + FLUSH)
    clock.now += 1
    session.backend_data(b"1\0\0\0\0042\0\0\0\4" + DONE[:-6])
    clock.now += 100
    session.data(SYNC)
    clock.now += 1
    session.backend_data(DONE[-6:])
    assert session.counters.server == 2


def test_what_a_client_leaves_running_is_its_time_too(session: ClientSession, clock: Clock) -> None:
    session.data(query("SELECT 1"))
    clock.now += 5
    session.handle(FrontendLost())
    assert session.counters.server == 5


@pytest.mark.parametrize("end", ["leased", "refused", "canceled", "gone"])
def test_waiting_is_from_asking_for_a_connection_to_whatever_ends_it(
    session: ClientSession, door: Door, clock: Clock, end: str
) -> None:
    door.free.clear()
    session.data(query("SELECT 1"))
    (asked,) = door.asked(LeaseBackend)
    clock.now += 7
    ends: dict[str, Event] = {
        "leased": BackendLeased(asked.ticket, Lease(link())),
        "refused": LeaseRefused(asked.ticket, Refusal("none", sqlstate="53300")),
        "canceled": CancelRequested(),
        "gone": FrontendLost(),
    }
    session.handle(ends[end])
    clock.now += 100
    assert session.counters.waited == 7
    session.handle(FrontendLost())
    assert session.counters.waited == 7


def test_learning_the_servers_parameters_may_have_to_wait_as_well(clock: Clock) -> None:
    door = Door(free=[], reported=None)
    session = ClientSession(door, process_id=42, secret_key=b"key!", clock=clock)
    log_in(session, door)
    (asked,) = door.asked(LeaseBackend)
    clock.now += 3
    session.handle(BackendLeased(asked.ticket, Lease(link())))
    assert session.counters.waited == 3
