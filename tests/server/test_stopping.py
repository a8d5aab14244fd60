"""Stopping: whatever becomes of a cancel request, the session hears that it is over."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.errors import ConnectionFailure, Refusal
from proxy.server.stopping import LONGEST, out_of_time, overdue, stop
from proxy.session.due import QUERY, Due
from proxy.session.events import CancelFinished, Event, RowsOverdue
from proxy.session.result import Cut
from proxy.session.session import ClientSession
from tests.kit.builders import Recorder
from tests.session.conftest import Door


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
