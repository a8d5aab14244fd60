"""One answer of many: whole when all are, undone when one is not, and known to workers that start later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.app.conductor import Conductor
from proxy.fleet.control import (
    Answer,
    Cancel,
    Drain,
    Kill,
    Metrics,
    Pause,
    Ping,
    Prepare,
    PrepareRow,
    Reload,
    Request,
    Resume,
    Statistics,
)
from proxy.fleet.supervisor import Supervisor

Reply = Callable[[int, Request], Answer]


class Many:
    """A supervisor of three workers that answer as `reply` says."""

    def __init__(self, reply: Reply) -> None:
        self.asked: list[tuple[int, Request]] = []
        self.reply = reply
        self.unready = None
        self.workers = [SimpleNamespace(number=number, serving=asyncio.Event()) for number in range(3)]
        for one in self.workers:
            one.serving.set()

    async def ask(self, worker: Any, request: Request) -> Answer:
        self.asked.append((worker.number, request))
        return self.reply(worker.number, request)

    async def each(self, request: Request) -> list[Answer]:
        await asyncio.sleep(0)
        return [await self.ask(one, request) for one in self.workers]


def conductor(reply: Reply, mistakes: list[str] | None = None) -> tuple[Conductor, Many]:
    many = Many(reply)

    async def readable() -> list[str]:
        return mistakes or []

    async def stop() -> bool:
        return True

    return Conductor(cast(Supervisor, many), readable, stop, 2), many


def usual(_: int, request: Request) -> Answer:
    if isinstance(request, Pause):
        return Answer({"paused": "tenant acme", "for": None})
    return Answer({"resumed": ["tenant acme"], "killed": [1], "generation": 4, "drained": "acme", "processes": [7]})


async def test_a_pause_is_whole_when_it_is_at_every_worker_and_is_told_to_those_that_start_later() -> None:
    one, many = conductor(usual)
    assert await one(Pause("acme")) == Answer({"paused": "tenant acme", "for": None})
    assert list(one.paused) == [("acme", None, None)]
    assert (await one(Pause("acme"))).problems == ("it is paused already",)
    assert len(many.asked) == 3
    assert await one(Resume("acme")) == Answer({"resumed": ["tenant acme"]})
    assert not one.paused


async def test_a_pause_that_one_worker_could_not_make_is_undone_at_all() -> None:
    def reply(number: int, request: Request) -> Answer:
        if number == 1 and isinstance(request, Pause):
            return Answer({"holders": [{"process_id": 5}]}, ("in use",))
        return usual(number, request)

    one, many = conductor(reply)
    assert await one(Pause("acme")) == Answer({"holders": [{"process_id": 5}]}, ("in use",))
    assert [request for _, request in many.asked[3:]] == [Resume("acme")] * 3
    assert not one.paused


async def test_who_asks_for_a_pause_and_leaves_undoes_it() -> None:
    one, many = conductor(usual)
    asking = asyncio.ensure_future(one(Pause("acme")))
    await asyncio.sleep(0)
    assert one.paused
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    async with asyncio.timeout(20):
        while len(many.asked) < 3:  # noqa: ASYNC110 - what is undone beside has no event
            await asyncio.sleep(0)
    assert not one.paused


async def test_a_pause_for_a_time_ends_at_every_worker_by_the_supervisors_clock() -> None:
    one, many = conductor(usual)
    assert (await one(Pause("acme", hold=0.05))).result["for"] == 0.05
    assert [request for _, request in many.asked] == [Pause("acme", hold=None)] * 3
    ((_, _, left),) = one.paused
    assert left is not None
    async with asyncio.timeout(20):
        while one.paused or len(many.asked) < 6:  # noqa: ASYNC110 - a timer is waited for
            await asyncio.sleep(0.01)
    assert [request for _, request in many.asked[3:]] == [Resume("acme")] * 3


@pytest.mark.parametrize("request_", [Prepare("a.yaml", ".a"), PrepareRow("acme", "{}", "c0ffee", 7)])
async def test_what_one_worker_could_not_prepare_is_told_and_what_all_have_is_no_mistake(request_: Request) -> None:
    one, many = conductor(lambda number, _: Answer(None, ("it has other rules",) if number == 1 else ()))
    assert await one(request_) == Answer(None, ("it has other rules",))
    assert many.asked == [(number, request_) for number in range(3)]
    many.reply = lambda _, __: Answer()
    assert await one(request_) == Answer()
    many.asked.clear()
    many.reply = usual
    assert await one(Reload("c0ffee")) == Answer({"generation": 4})
    assert many.asked == [(number, Reload("c0ffee")) for number in range(3)]


async def test_a_drain_of_a_tenant_is_as_a_pause() -> None:
    one, many = conductor(usual)
    assert await one(Drain("acme")) == Answer({"drained": "acme"})
    assert list(one.drained) == ["acme"]
    assert (await one(Drain("acme"))).problems == ("tenant acme is drained already",)
    await one(Resume())
    assert not one.drained
    many.reply = lambda number, request: (
        Answer({"sessions": [number]}, ("left",)) if isinstance(request, Drain) else usual(number, request)
    )
    assert await one(Drain("acme")) == Answer({"sessions": [0, 1, 2]}, ("left",))
    assert not one.drained


async def test_rules_with_mistakes_reach_no_worker_and_a_refusal_is_told_once() -> None:
    one, many = conductor(usual, ["a.yaml:1: wrong"])
    assert await one(Reload()) == Answer(None, ("a.yaml:1: wrong",))
    assert many.asked == []
    one, many = conductor(lambda *_: Answer({"generation": 3}, ("no server",)))
    assert await one(Reload()) == Answer({"generation": 3}, ("no server",))


async def test_the_rest_is_asked_of_all_and_put_together() -> None:
    one, many = conductor(usual)
    assert (await one(Kill("acme"))).result == {"killed": [1, 1, 1]}
    assert (await one(Statistics())).result == {"processes": [7, 7, 7]}
    many.workers[1].serving.clear()
    many.reply = lambda number, request: Answer(None, ("gone",)) if number == 1 else usual(number, request)
    processes = (await one(Statistics())).result["processes"]
    assert [one if isinstance(one, int) else one["state"] for one in processes] == [7, "starting", 7]
    assert (await one(Ping())).result == {"state": "serving"}
    assert (await one(Drain())).result == {"whole": True}
    assert (await one(Metrics())).problems == ("that is asked of workers",)


async def test_another_hosts_cancel_request_goes_to_the_worker_that_it_names_and_is_answered_alike() -> None:
    one, many = conductor(lambda *_: Answer(None, ("wrong key",)))
    for process_id in (2 << 25 | 1 << 20 | 5, 2 << 25 | 9 << 20 | 5, 3 << 25 | 1 << 20 | 5):
        assert await one(Cancel(process_id, "00")) == Answer()
    assert [number for number, _ in many.asked] == [1]
