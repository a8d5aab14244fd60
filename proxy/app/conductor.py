"""What a supervisor does when it is asked at its control door: it asks every worker, and makes one answer of theirs.

A pause or drain is whole when it is whole at every worker, else it is undone at all. Those in force are told to workers
that start later. The rules are read here first: a mistake in them reaches no worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from proxy.fleet.control import (
    Answer,
    Cancel,
    Drain,
    Kill,
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
from proxy.server.cancel import place_of

Names = tuple[str | None, str | None]
"""Tenant and database of a pause; of a drained tenant there is no database."""


class Conductor:
    """Of one supervisor. readable: what is wrong with the rules; stop: ends everything, True when it was whole."""

    def __init__(
        self,
        supervisor: Supervisor,
        readable: Callable[[], Awaitable[list[str]]],
        stop: Callable[[], Awaitable[bool]],
        host: int,
    ) -> None:
        self._supervisor = supervisor
        self._readable = readable
        self._stop = stop
        self._host = host
        self._paused: dict[Names, float | None] = {}  # when each ends, of the loop's clock
        self._drained: dict[str, None] = {}
        self._timers: dict[Names, asyncio.TimerHandle] = {}
        self._undoing: set[asyncio.Task[Any]] = set()

    @property
    def paused(self) -> tuple[tuple[str | None, str | None, float | None], ...]:
        """For a worker that starts: each pause, and the seconds until it ends."""
        now = asyncio.get_running_loop().time()
        return tuple((*names, None if end is None else max(0.0, end - now)) for names, end in self._paused.items())

    @property
    def drained(self) -> tuple[str, ...]:
        """For a worker that starts."""
        return tuple(self._drained)

    async def __call__(self, request: Request) -> Answer:
        """Does it."""
        match request:
            case Statistics():
                return self._statistics(await self._supervisor.each(request))
            case Prepare() | PrepareRow():
                return Answer(None, _problems(await self._supervisor.each(request)))
            case Reload():
                return await self._reload(request)
            case Pause():
                return await self._pause(request)
            case Resume():
                return await self._resume(request)
            case Kill():
                answers = await self._supervisor.each(request)
                killed = [one for answer in answers for one in (answer.result or {}).get("killed", ())]
                return Answer({"killed": killed}, _problems(answers))
            case Drain():
                return await self._drain(request)
            case Cancel():
                return await self._cancel(request)
            case Ping():
                return Answer({"state": self._supervisor.unready or "serving"})
            case _:
                return Answer(None, ("that is asked of workers",))

    def _statistics(self, answers: list[Answer]) -> Answer:
        found = []
        for worker, answer in zip(self._supervisor.workers, answers, strict=True):
            if answer.result is not None:
                found += answer.result["processes"]
            elif worker.serving.is_set():
                return Answer(None, answer.problems)
            else:
                found.append(_absent(worker.number))
        return Answer({"processes": found})

    async def _reload(self, request: Reload) -> Answer:
        problems = await self._readable() if request.draft is None else []  # what was prepared was read
        if problems:
            return Answer(None, tuple(problems))
        answers = await self._supervisor.each(request)
        generations = [answer.result["generation"] for answer in answers if answer.result is not None]
        return Answer({"generation": max(generations, default=0)}, _problems(answers))

    async def _pause(self, request: Pause) -> Answer:
        names = request.tenant, request.database
        if names in self._paused:
            return Answer(None, ("it is paused already",))
        self._paused[names] = None
        try:
            answers = await self._supervisor.each(Pause(*names, request.timeout))
        except BaseException:
            self._undo(Resume(*names))
            raise
        problems = _problems(answers)
        if names not in self._paused:
            problems = ("it was resumed before it was paused",)
        if problems:
            await self._resume(Resume(*names))
            holders = [one for answer in answers for one in (answer.result or {}).get("holders", ())]
            return Answer({"holders": holders}, problems)
        if request.hold is not None:
            loop = asyncio.get_running_loop()
            self._paused[names] = loop.time() + request.hold
            self._timers[names] = loop.call_later(request.hold, self._undo, Resume(*names))
        return Answer({"paused": answers[0].result["paused"], "for": request.hold})

    async def _resume(self, request: Resume) -> Answer:
        for names in list(self._paused):
            if names == (request.tenant, request.database) or request == Resume():
                del self._paused[names]
                timer = self._timers.pop(names, None)
                if timer is not None:
                    timer.cancel()
        for tenant in list(self._drained):
            if request in {Resume(), Resume(tenant)}:
                del self._drained[tenant]
        answers = await self._supervisor.each(request)
        resumed = dict.fromkeys(one for answer in answers for one in (answer.result or {}).get("resumed", ()))
        return Answer({"resumed": list(resumed)}, () if resumed else _problems(answers))

    async def _drain(self, request: Drain) -> Answer:
        tenant = request.tenant
        if tenant is None:
            return Answer({"whole": await self._stop()})
        if tenant in self._drained:
            return Answer(None, (f"tenant {tenant} is drained already",))
        self._drained[tenant] = None
        try:
            answers = await self._supervisor.each(request)
        except BaseException:
            self._undo(Resume(tenant))
            raise
        problems = _problems(answers)
        if problems:
            await self._resume(Resume(tenant))
            left = [one for answer in answers for one in (answer.result or {}).get("sessions", ())]
            return Answer({"sessions": left}, problems)
        return Answer({"drained": tenant})

    async def _cancel(self, request: Cancel) -> Answer:
        """Another host's client shows a process id of this host's."""
        host, number = place_of(request.process_id)
        workers = self._supervisor.workers
        if host == self._host and number < len(workers):
            await self._supervisor.ask(workers[number], request)
        return Answer()

    def _undo(self, request: Resume) -> None:
        """Beside whatever happens: the one who asked is gone."""
        task = asyncio.ensure_future(self._resume(request))
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)


def _problems(answers: list[Answer]) -> tuple[str, ...]:
    """Each once: most mistakes are the same everywhere."""
    return tuple(dict.fromkeys(problem for answer in answers for problem in answer.problems))


def _absent(number: int) -> dict[str, Any]:
    """What is told of a worker that does not serve now."""
    none = dict.fromkeys(("pid", "generation", "clients", "server_connections", "server_connections_limit"), 0)
    return {"worker": number, **none, "state": "starting", "reload_failed": False} | {
        name: [] for name in ("paused", "drained", "tenants", "servers")
    }
