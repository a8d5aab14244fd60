"""Stopping: whatever becomes of a cancel request, the session hears that it is over."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.errors import ConnectionFailure, Refusal
from proxy.server.stopping import AHEAD, EACH, GAP, LONGEST, Cancels, out_of_time, overdue, stop
from proxy.session.due import QUERY, Due
from proxy.session.events import CancelFinished, CancelRequested, Event, RowsOverdue
from proxy.session.result import Cut
from proxy.session.session import ClientSession
from tests.kit.builders import Recorder
from tests.session.conftest import Door, Lease


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


def test_a_statement_out_of_time_is_cancelled_and_a_copy_that_waits_for_rows_is_failed() -> None:
    class Waiting:
        def __init__(self, copying: object) -> None:
            self.session: Any = SimpleNamespace(copying=copying)
            self.told: list[object] = []

        async def cancel(self) -> None:
            self.told.append("cancel")

        def handle(self, event: Event) -> None:
            self.told.append(event)

    for copying, told in ((None, "cancel"), (object(), RowsOverdue())):
        client = Waiting(copying)
        asyncio.run(out_of_time(client))
        assert client.told == [told]


class Slow(Connection):
    """One whose cancel requests end when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[asyncio.Event] = []

    async def cancel(self) -> None:
        self.gates.append(asyncio.Event())
        await self.gates[-1].wait()


async def _storm(session: ClientSession, connection: Slow, becomes: str) -> list[Event]:
    cancels, events, log = Cancels(), list[Event](), Recorder()

    def ask() -> asyncio.Task[None]:
        return asyncio.ensure_future(cancels.request(session, events.append, log))

    asked = [ask() for _ in range(100)]
    await asyncio.sleep(0)
    assert len(connection.gates) == 1
    if becomes == "ended":
        session.due.clear()
    connection.gates[0].set()
    asked.append(ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(connection.gates) == 1  # not so soon after the first
    if becomes == "another":
        session.turns += 1
    while not all(one.done() for one in asked):
        await asyncio.sleep(0.001)
        for gate in connection.gates:
            gate.set()
    return events


@pytest.mark.parametrize(("becomes", "sent"), [("the same", 2), ("ended", 1), ("another", 1)])
async def test_of_a_storm_of_requests_one_is_under_way_and_one_follows_later_for_the_same_statement(
    becomes: str, sent: int
) -> None:
    connection: Any = Slow()
    session = ClientSession(Door(), process_id=1, secret_key=b"key!", clock=asyncio.get_running_loop().time)
    session.lease = Lease(connection)
    session.due.append(Due(QUERY))
    events = await _storm(session, connection, becomes)
    assert events == [CancelRequested(), CancelFinished()] * sent
    assert len(connection.gates) == sent


async def test_who_waits_for_a_connection_is_told_and_the_server_is_not() -> None:
    session = ClientSession(Door(), process_id=1, secret_key=b"key!", clock=lambda: 0.0)
    events: list[Event] = []
    await Cancels().request(session, events.append, Recorder())
    assert events == [CancelRequested()]


async def test_a_session_on_whose_connection_nothing_runs_is_left_alone() -> None:
    connection: Any = Slow()
    session = ClientSession(Door(), process_id=1, secret_key=b"key!", clock=lambda: 0.0)
    session.lease = Lease(connection)
    events: list[Event] = []
    await Cancels().request(session, events.append, Recorder())
    assert (events, connection.gates) == ([], [])


async def test_who_cancels_one_statement_after_the_other_is_obeyed_at_once_only_now_and_then() -> None:
    connection: Any = Connection()
    times = [0.0]
    session = ClientSession(Door(), process_id=1, secret_key=b"key!", clock=lambda: times[0])
    session.lease = Lease(connection)
    session.due.append(Due(QUERY))
    cancels, waiting = Cancels(), list[asyncio.Task[None]]()

    async def ask() -> bool:
        """Is the server asked at once?"""
        before: int = connection.cancelled
        waiting.append(asyncio.ensure_future(cancels.request(session, lambda _: None, Recorder())))
        await asyncio.sleep(0)
        return bool(connection.cancelled > before)

    for _ in range(10):  # a user
        times[0] += EACH
        assert await ask()
    times[0] += AHEAD
    for _ in range(1 + int(AHEAD / EACH)):
        times[0] += GAP
        assert await ask()
    times[0] += GAP
    assert not await ask()  # which goes on waiting, of the loop's own time
    assert not waiting[-1].done()
    waiting.pop().cancel()
    times[0] += AHEAD
    assert await ask()
    await asyncio.gather(*waiting)
