"""Supervisor: keeps a number of worker processes alive. Knows no client, no rule and no tenant.

A worker that dies is replaced, at once the first time and later and later when it goes on dying, so that a worker that
cannot live costs nothing. One that does not answer its control door for `timeout` seconds is killed, which is the same.
None is started any more once the end has begun, and one that was being started then is ended too. No worker is told
twice to drain, as that cuts its sessions. Times are seconds of the loop.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from signal import SIGKILL, SIGQUIT, SIGTERM
from typing import Any, Protocol

from proxy.fleet.channel import Unanswered, ask
from proxy.fleet.control import Answer, BadRequest, Ping, Request

FIRST = 0.1  # seconds until a worker is started again that died
LONGEST = 30.0
STARTING = 300.0  # seconds for a worker to read its rules and catalogs
SETTLED = 60.0  # seconds after which a death is the first again
GRACE = 15.0  # seconds beyond the drain


class WorkerFailed(Exception):
    """A worker ended before it served, at the start of all; it has said why in the log."""


class Log(Protocol):
    """structlog's bound logger, as far as it is used here."""

    def info(self, event: str, **fields: Any) -> Any: ...

    def error(self, event: str, **fields: Any) -> Any: ...


@dataclass(eq=False)
class Worker:
    """One place. status: that of the process that ended last."""

    number: int
    door: str
    process: Process | None = None
    serving: asyncio.Event = field(default_factory=asyncio.Event)
    deaths: int = 0  # in a row
    leaves: bool = False  # its process was told to drain, to be replaced
    status: int | None = None


class Supervisor:
    """launch: starts the process of a number. gone: is told of each that ended. timeout: without an answer."""

    def __init__(
        self,
        doors: tuple[str, ...],
        launch: Callable[[int], Awaitable[Process]],
        gone: Callable[[int], object],
        log: Log,
        timeout: float,
    ) -> None:
        self.workers = [Worker(number, door) for number, door in enumerate(doors)]
        self.restarts = 0
        self._launch = launch
        self._gone = gone
        self._log = log
        self._timeout = timeout
        self._beat = min(1.0, timeout / 4)
        self._stopping = asyncio.Event()
        self._replacing = False
        self._keeping: list[asyncio.Task[None]] = []

    @property
    def unready(self) -> str | None:
        """Why not everybody may come; None when all workers serve."""
        if self._stopping.is_set():
            return "draining"
        missing = [str(one.number) for one in self.workers if not one.serving.is_set()]
        return f"worker {', '.join(missing)} does not serve" if missing else None

    async def start(self) -> None:
        """Starts the first worker, then the others; returns when all serve. WorkerFailed when one cannot."""
        for some in (self.workers[:1], self.workers[1:]):
            self._keeping += [asyncio.create_task(self._keep(one), name=f"worker {one.number}") for one in some]
            for one in some:
                await self._first(one)

    async def _first(self, worker: Worker) -> None:
        serving = asyncio.ensure_future(worker.serving.wait())
        try:
            while not worker.serving.is_set():
                if worker.status is not None or self._stopping.is_set():
                    raise WorkerFailed(f"worker {worker.number} ended with status {worker.status}")
                await asyncio.wait({serving}, timeout=0.05)
        finally:
            serving.cancel()

    async def ask(self, worker: Worker, request: Request, timeout: float | None = None) -> Answer:
        """What a worker answers; a problem when it does not."""
        try:
            return await ask(worker.door, request, timeout)
        except (Unanswered, BadRequest) as problem:
            return Answer(None, (f"worker {worker.number}: {problem}",))

    async def each(self, request: Request) -> list[Answer]:
        """What each worker answers, in order; one that is about to serve is waited for."""

        async def one(worker: Worker) -> Answer:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout):
                    await worker.serving.wait()
            return await self.ask(worker, request)

        return list(await asyncio.gather(*(one(worker) for worker in self.workers)))

    async def _keep(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            since = loop.time()
            status, pid = await self._lived(worker)
            if self._stopping.is_set():
                return
            if worker.leaves:
                worker.leaves = False
                continue
            worker.deaths = 1 if loop.time() - since >= SETTLED else worker.deaths + 1
            wait = min(LONGEST, FIRST * 2.0 ** (worker.deaths - 1))
            self._log.error("worker ended", worker=worker.number, pid=pid, status=status, again_in=wait)
            self.restarts += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()

    async def _lived(self, worker: Worker) -> tuple[int, int]:
        """Status and process id of one life."""
        try:
            worker.process = process = await self._launch(worker.number)
        except OSError as problem:  # no process can be had now
            self._log.error("worker could not be started", worker=worker.number, problem=str(problem))
            worker.status = 1
            return 1, 0
        if self._stopping.is_set():  # who told the others to end did not see this one; nobody is served by it yet
            send(process, SIGTERM)
            await self._ended(process, GRACE)
        watching = asyncio.create_task(self._watch(worker, process))
        try:
            worker.status = await process.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            worker.serving.clear()
            self._gone(worker.number)
        return worker.status, process.pid

    async def _watch(self, worker: Worker, process: Process) -> None:
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while True:
            answer = await self.ask(worker, Ping(), self._timeout)
            if not answer.problems:
                heard = loop.time()
                if answer.result == {"state": "serving"}:
                    worker.serving.set()
            elif loop.time() - heard >= (self._timeout if worker.serving.is_set() else STARTING):
                self._log.error("worker hangs", worker=worker.number, pid=process.pid)
                send(process, SIGKILL)
                return
            await asyncio.sleep(self._beat)

    async def restart(self, drain_timeout: float) -> bool:
        """Replaces the workers one after the other. False when one did not come to serve again; the rest stay. False
        at once, and nothing is done, while they are being replaced already.
        """
        if self._replacing:
            self._log.info("workers are being replaced already")
            return False
        self._replacing = True
        try:
            for worker in self.workers:
                if not await self._replaced(worker, drain_timeout):
                    return False
            return True
        finally:
            self._replacing = False

    async def _replaced(self, worker: Worker, drain_timeout: float) -> bool:
        if self._stopping.is_set():
            return False
        process = worker.process
        if process is not None and process.returncode is None:  # else another is on its way already
            worker.leaves = True
            send(process, SIGTERM)
            await self._ended(process, drain_timeout + GRACE)
            worker.serving.clear()
        waiting = [asyncio.ensure_future(one.wait()) for one in (worker.serving, self._stopping)]
        await asyncio.wait(waiting, timeout=120.0, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()
        return worker.serving.is_set()

    async def stop(self, drain_timeout: float) -> bool:
        """Ends all of them. True when every session ended by itself."""
        self._stopping.set()
        processes = [one.process for one in self.workers if one.process is not None]
        for worker in self.workers:
            if worker.process is not None and not worker.leaves:
                send(worker.process, SIGTERM)
        await asyncio.gather(*(self._ended(process, drain_timeout + GRACE) for process in processes))
        await asyncio.gather(*self._keeping, return_exceptions=True)
        return all(process.returncode == 0 for process in processes)

    def hurry(self) -> None:
        """Nothing is waited for any more."""
        for worker in self.workers:
            if worker.process is not None:
                send(worker.process, SIGQUIT)  # a second SIGTERM is lost on who has not heard the first

    @staticmethod
    async def _ended(process: Process, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await process.wait()
        except TimeoutError:
            send(process, SIGKILL)
            await process.wait()


def send(process: Process, number: int) -> None:
    """A signal to a process that may be gone."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(number)
