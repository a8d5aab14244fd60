"""Through the front door: wrong passwords slow down, a right one gets in after the wait, and all of it is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from proxy.auth import throttle
from tests.server.conftest import House, until

Houses = Callable[..., "asyncio.Task[House]"]


async def errors(house: House, user: str, password: str) -> list[tuple[str, str]]:
    client = await house.connect(user, password)
    client.close()
    return [(one["C"], one["M"]) for one in client.greeting.errors]


async def test_the_answer_waits_for_a_known_login_as_for_one_that_is_not_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "FIRST", 0.01)
    monkeypatch.setattr(throttle, "CEILING", 0.04)
    for user in ("alice", "mallory"):
        answers = [await errors(house, user, "wrong") for _ in range(throttle.PAIR.free + 3)]
        assert answers == [[("28P01", f'password authentication failed for user "{user}"')]] * len(answers)
    assert await errors(house, "alice", "open sesame") == []
    told = house.listener.proofs.statistics()
    assert told.outcomes == {"accepted": 1, "failed": 2 * (throttle.PAIR.free + 3), "refused": 0, "throttled": 0}
    assert told.delayed == 7
    lines = [fields for _, event, fields in house.log.events if event == "log-in refused"]
    assert {(one["outcome"], one["sqlstate"]) for one in lines} == {("failed", "28P01")}
    assert {one["reason"] for one in lines if one["login"] == "mallory"} == {"there is no such login"}


async def test_beyond_those_that_wait_a_proof_is_not_looked_at_and_who_leaves_makes_room(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "PAIR", throttle.Terms(free=0, forget=30.0, waiting=1))
    monkeypatch.setattr(throttle, "FIRST", 60.0)  # nobody waits so long: who waits leaves
    monkeypatch.setattr(throttle, "CEILING", 60.0)
    first = asyncio.create_task(errors(house, "alice", "wrong"))
    await until(lambda: house.listener.proofs.statistics().delayed == 1)
    (waiting,) = house.listener.clients
    assert await errors(house, "alice", "open sesame") == [("53300", "too many attempts to log in")]
    assert house.listener.proofs.statistics().outcomes["throttled"] == 1
    assert waiting.answer_waits is not None
    assert waiting.transport is not None
    waiting.transport.abort()
    await first
    await until(lambda: not house.listener.clients)
    monkeypatch.setattr(throttle, "FIRST", 0.0)
    assert await errors(house, "alice", "open sesame") == []
