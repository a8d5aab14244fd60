"""Stopping: whatever becomes of a cancel request, the session hears that it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.errors import ConnectionFailure, Refusal
from proxy.server.stopping import AHEAD, EACH, GAP, LONGEST, Cancels, awaited, out_of_time, overdue, stop
from proxy.session.conversation import Waiting
from proxy.session.due import PARSE, QUERY, Due
from proxy.session.events import CancelFinished, CancelRequested, Event, RowsOverdue
from proxy.session.result import Cut
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from tests.kit.builders import Recorder
from tests.session.conftest import Door, Lease, complete, failed, link, log_in, query


class Connection:
    """A server connection whose cancel request ends like this."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.cancelled = 0

    async def cancel(self) -> None:
        self.cancelled += 1
        if self.problem is not None:
            raise self.problem


@pytest.mark.parametrize("problem", [None, ConnectionError("no"), ConnectionFailure("no")])
def test_the_session_is_told_when_the_request_is_over(problem: Exception | None) -> None:
    events: list[Event] = []
    log: Any = Recorder()
    connection = Connection(problem)
    asyncio.run(stop(connection, events.append, log))
    assert connection.cancelled == 1
    assert events == [CancelFinished()]


def test_a_statement_is_overdue_when_the_server_owes_its_end_for_long() -> None:
    times = [0.0]
    session = ClientSession(Door(), process_id=1, secret_key=b"key!", clock=lambda: times[0])
    assert not overdue(session)
    session.result.cut = Cut(Refusal("too large"), 0.0)
    session.due.append(Due(QUERY))
    times[0] = LONGEST / 2
    assert not overdue(session)
    times[0] = LONGEST
    assert overdue(session)
    session.due.clear()  # it is the client's Sync that is missing
    assert not overdue(session)


@pytest.mark.parametrize("becomes", ["the same", "another"])
@pytest.mark.parametrize("copying", [None, object()])
def test_a_statement_out_of_time_is_cancelled_and_a_copy_that_waits_for_rows_is_failed(
    copying: object, becomes: str
) -> None:
    connection: Any = Connection()
    session: Any = ClientSession(Door(), process_id=1, secret_key=b"key!", clock=lambda: 0.0)
    session.lease = Lease(connection)
    session.due.append(Due(QUERY))
    session.copying = copying
    told: list[Event] = []
    client: Any = SimpleNamespace(session=session, handle=told.append, services=SimpleNamespace(log=Recorder()))
    late = out_of_time(client, awaited(session))
    if becomes == "another":
        session.due[0] = Due(QUERY)
    asyncio.run(late)
    expected = [RowsOverdue()] if copying else [CancelRequested(), CancelFinished()]
    assert told == (expected if becomes == "the same" else [])
    assert connection.cancelled == (1 if becomes == "the same" and copying is None else 0)


class Slow(Connection):
    """One whose cancel requests end when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[asyncio.Event] = []

    async def cancel(self) -> None:
        self.gates.append(asyncio.Event())
        await self.gates[-1].wait()


class Client:
    """One whose session holds a connection on which a statement runs, and the tasks of its cancel requests."""

    def __init__(self, connection: Any, clock: Callable[[], float]) -> None:
        self.session = ClientSession(Door(), process_id=1, secret_key=b"key!", clock=clock)
        self.session.lease = Lease(connection)
        self.session.due.append(Due(QUERY))
        self.cancels = Cancels()
        self.events: list[Event] = []
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """What is to be done later."""
        self.tasks.append(asyncio.ensure_future(work))

    def ask(self) -> asyncio.Task[None]:
        """A cancel request."""
        asked = self.cancels.request(self.session, self.events.append, Recorder(), self.start)
        return asyncio.ensure_future(asked)


async def _storm(client: Client, connection: Slow, becomes: str) -> None:
    session = client.session
    asked = [client.ask() for _ in range(100)]
    await asyncio.sleep(0)
    assert len(connection.gates) == 1
    if becomes == "ended":
        session.due.clear()
    connection.gates[0].set()
    asked.append(client.ask())
    await asyncio.gather(*asked)  # nobody is kept waiting for the second
    assert len(connection.gates) == 1  # not so soon after the first
    if becomes == "another":
        session.due[0] = Due(QUERY)
    if becomes == "pipelined":
        session.turns += 1
        session.due.append(Due(QUERY))
    while not all(one.done() for one in client.tasks):
        await asyncio.sleep(0.001)
        for gate in connection.gates:
            gate.set()


@pytest.mark.parametrize(("becomes", "sent"), [("the same", 2), ("ended", 1), ("another", 1), ("pipelined", 2)])
async def test_of_a_storm_of_requests_one_is_under_way_and_one_follows_later_for_the_same_statement(
    becomes: str, sent: int
) -> None:
    connection: Any = Slow()
    client = Client(connection, asyncio.get_running_loop().time)
    await _storm(client, connection, becomes)
    assert client.events == [CancelRequested(), CancelFinished()] * sent
    assert len(connection.gates) == sent


async def test_a_session_on_whose_connection_nothing_runs_is_left_alone() -> None:
    connection: Any = Slow()
    client = Client(connection, lambda: 0.0)
    client.session.due.clear()
    await client.ask()
    assert (client.events, connection.gates) == ([], [])


async def test_who_cancels_one_statement_after_the_other_is_obeyed_at_once_only_now_and_then() -> None:
    connection: Any = Connection()
    times = [0.0]
    client = Client(connection, lambda: times[0])

    async def ask() -> bool:
        """Is the server asked at once?"""
        before: int = connection.cancelled
        await client.ask()
        return bool(connection.cancelled > before)

    for _ in range(10):  # a user
        times[0] += EACH
        assert await ask()
    times[0] += AHEAD
    for _ in range(1 + int(AHEAD / EACH)):
        times[0] += GAP
        assert await ask()
    times[0] += GAP
    assert not await ask()
    (later,) = client.tasks  # of the loop's own time
    client.session.due[0] = Due(QUERY)
    later.cancel()
    await asyncio.gather(later, return_exceptions=True)
    assert connection.cancelled == 10 + 1 + int(AHEAD / EACH)


async def test_a_request_that_waits_is_not_for_a_later_statement_even_one_that_is_not_counted_yet() -> None:
    connection: Any = Connection()
    client = Client(connection, lambda: 0.0)
    await client.ask()
    await client.ask()
    turns = client.session.turns
    client.session.due[0] = Due(PARSE)
    await asyncio.gather(*client.tasks)
    assert client.session.turns == turns
    assert connection.cancelled == 1


async def test_what_waits_for_a_connection_is_cancelled_at_once_however_much_was_cancelled_before() -> None:
    connection: Any = Connection()
    client = Client(connection, lambda: 0.0)
    await client.ask()
    client.session.lease = None
    client.session.due.clear()
    for _ in range(10):
        client.events.clear()
        await client.ask()
        assert client.events == [CancelRequested()]
    assert (connection.cancelled, client.tasks) == (1, [])


def logged_in(door: Door) -> ClientSession:
    session = ClientSession(door, process_id=42, secret_key=b"key!" * 8, clock=lambda: 0.0)
    log_in(session, door)
    door.take()
    door.actions.clear()
    return session


async def test_a_statement_in_a_transaction_that_waits_for_its_plan_is_cancelled_at_once() -> None:
    door = Door(free=[link()])
    (server,) = door.free
    session = logged_in(door)
    session.data(query("BEGIN"))
    session.backend_data(complete("BEGIN", "T"))
    door.cached = False
    session.data(query("SELECT 1"))
    waiting = [session.waiting]
    await Cancels().request(session, session.handle, Recorder(), lambda work, name: None)
    assert [*waiting, session.waiting] == [Waiting.PLAN, Waiting.NOTHING]
    assert session.held == 0
    assert b"SELECT 1" not in server.written
    door.take()
    session.backend_data(failed("42601"))
    assert b"57014" in door.take()


def test_what_a_client_waits_for_is_the_same_until_it_is_answered_whatever_it_sends_behind_it() -> None:
    door = Door(free=[link()])
    session = logged_in(door)
    assert awaited(session) is None
    session.data(query("SELECT 1"))
    about = awaited(session)
    assert about is not None
    session.data(query("SELECT 2"))
    assert awaited(session) is about
    session.backend_data(complete("SELECT 1"))
    later = awaited(session)
    assert later not in (about, None)
    session.backend_data(complete("SELECT 1"))
    assert awaited(session) is None


def test_the_first_replies_of_a_batch_are_not_its_statement() -> None:
    door = Door(free=[link()])
    session = logged_in(door)
    batch = message(80, b"\0SELECT 1\0\0\0") + message(66, bytes(8)) + message(69, bytes(5)) + message(83, b"")
    session.data(batch)
    about = awaited(session)
    session.backend_data(b"1\0\0\0\0042\0\0\0\4")
    assert awaited(session) is about
    session.backend_data(complete("SELECT 1"))
    assert awaited(session) is None
