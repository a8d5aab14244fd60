"""The life of a supervisor: it owns the listening sockets and the operator's doors, and its workers do the work.

Rules and certificates are read here before any worker starts, so that a mistake is told once. The sockets stay open
while workers come and go: who connects in between waits. SIGHUP reloads all, SIGTERM drains all, a second one or
SIGQUIT hurries, SIGUSR2 replaces the workers one after the other.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from typing import Any

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from proxy.admin.exposition import exposition
from proxy.admin.merge import Merged, Workers, families
from proxy.app.conductor import Conductor
from proxy.app.counters import SOCKET, terms_of
from proxy.app.door import Doors
from proxy.app.inputs import certificate_of, rules_of, secret_of
from proxy.errors import ConfigurationError
from proxy.fleet.control import Metrics, Reload
from proxy.fleet.leash import Post
from proxy.fleet.stores.local import StoreServer
from proxy.fleet.stores.memory import MemoryStore
from proxy.fleet.supervisor import Supervisor, Worker, WorkerFailed
from proxy.observe.log import configure, get_logger
from proxy.server.sockets import BACKLOG, bound
from proxy.server.tls import ServerTls
from proxy.server.unixsocket import UnixSocket, clients_path
from proxy.settings import Settings

SCRAPE = 5.0  # seconds for a worker to tell its metrics; else what it told last counts
OWN = -1  # the supervisor's number among those whose metrics are added up


class Supervision:
    """One supervisor and its workers."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._log = get_logger("proxy")
        self._merged = Merged()
        self._canary = secrets.token_bytes(32)
        self._stack = ExitStack()
        self._stopping: asyncio.Task[bool] | None = None
        self._begun = asyncio.Event()  # the end has
        self._tasks: set[asyncio.Future[Any]] = set()
        self._clients: list[list[socket.socket]] = []  # of each worker
        self._doors = [_door() for _ in range(settings.workers)]
        self._supervisor = Supervisor(
            tuple(str(_address(one)) for one in self._doors),
            self._launch,
            self._merged.ended,
            self._log,
            settings.worker_timeout,
        )
        self._conductor = Conductor(self._supervisor, self._readable, self.stop, settings.host_id)
        self._counters: StoreServer | None = None  # of limits that the workers share; else Redis has them
        if settings.counter_store is None:
            self._counters = StoreServer(settings.state_directory / SOCKET, MemoryStore(terms_of(settings)))
        self._figures = CollectorRegistry()
        self._figures.register(self._merged)
        workers = self._supervisor.workers
        self._figures.register(
            Workers(lambda: sum(one.serving.is_set() for one in workers), lambda: self._supervisor.restarts)
        )
        self._tls: ServerTls | None = None  # for operators; workers read it for clients
        self._own = CollectorRegistry()
        ProcessCollector(registry=self._own)
        PlatformCollector(registry=self._own)

    async def run(self) -> bool:
        """Serves until a signal ends it. True when every session ended by itself. ConfigurationError, OSError and
        WorkerFailed before it serves.
        """
        settings = self._settings
        self._tls = certificate_of(settings)
        await rules_of(settings, self._environ, 1)
        secret_of(settings)  # made once, not by several at a time
        operators = Doors(settings, self._conductor, self._metrics, lambda: self._supervisor.unready, lambda: self._tls)
        loop = asyncio.get_running_loop()
        try:
            listen = self._listen()
            await operators.start()
            if self._counters is not None:
                await self._counters.start()
            for number, act in (
                (signal.SIGHUP, self._reload),
                (signal.SIGUSR2, self._restart),
                (signal.SIGTERM, self._end),
                (signal.SIGINT, self._end),
                (signal.SIGQUIT, self._end_at_once),
            ):
                loop.add_signal_handler(number, act)
            await self._supervisor.start()
            self._log.info("serving", listen=listen, admin_port=operators.admin_port, workers=settings.workers)
            await self._begun.wait()
            operators.cede()
            return await self.stop()
        except WorkerFailed:
            if self._stopping is None:
                raise
            return await self.stop()  # a signal came before all served
        finally:
            await self.stop()
            if self._counters is not None:
                await self._counters.close()
            await operators.close()

    def _listen(self) -> str:
        """Binds what clients connect to."""
        settings = self._settings
        host, port = settings.listen.host, settings.listen.port
        local: list[socket.socket] = []
        for one in bound(host, port):  # else another proxy's port could be shared with it
            one.close()
        for _ in range(settings.workers if settings.reuse_port else 1):
            made = bound(host, port, reuse_port=settings.reuse_port)
            port = made[0].getsockname()[1]
            self._clients.append(made)
        if settings.unix_socket_directory is not None:
            found = UnixSocket(clients_path(settings.unix_socket_directory, port))
            self._stack.callback(found.close)
            local.append(found.listening)
        for some in self._clients:
            for one in some:
                self._stack.callback(one.close)
                one.listen(BACKLOG)
        self._clients = [[*some, *local] for some in self._clients]
        if not settings.reuse_port:
            self._clients *= settings.workers
        return f"{host}:{port}"

    async def _launch(self, number: int) -> Process:
        clients, door = self._clients[number], self._doors[number]
        files = tuple(one.fileno() for one in (*clients, door))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy.app.worker", stdin=PIPE, pass_fds=files, env=dict(self._environ)
        )
        post = Post(
            self._settings.model_dump(),
            number,
            self._settings.workers,
            files[:-1],
            files[-1],
            tuple(one.door for one in self._supervisor.workers),
            self._conductor.paused,
            self._conductor.drained,
            self._canary,
        )
        assert process.stdin is not None
        process.stdin.write(post.encode())
        return process

    async def _readable(self) -> list[str]:
        try:
            tls = certificate_of(self._settings)
            await rules_of(self._settings, self._environ, 1)
        except ConfigurationError as error:
            get_logger("rules").error("rules refused, the old ones stay", problems=error.problems)
            return error.problems
        self._tls = tls
        return []

    async def _metrics(self) -> bytes:
        async def scrape(worker: Worker) -> None:
            process = worker.process
            answer = await self._supervisor.ask(worker, Metrics(), SCRAPE)
            if answer.result is not None and worker.process is process and worker.serving.is_set():
                self._merged.told(worker.number, answer.result)  # else it has ended meanwhile, and is counted so

        await asyncio.gather(*(scrape(one) for one in self._supervisor.workers if one.serving.is_set()))
        self._merged.told(OWN, await families(self._own))
        return await exposition(self._figures)

    def _reload(self) -> None:
        self._beside(self._conductor(Reload()))

    def _restart(self) -> None:
        self._beside(self._supervisor.restart(self._settings.drain_timeout))

    def _beside(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self) -> None:
        if self._stopping is not None:
            self._supervisor.hurry()
        else:
            self._begin()

    def _end_at_once(self) -> None:
        self._begin()
        self._supervisor.hurry()

    def _begin(self) -> asyncio.Task[bool]:
        if self._stopping is None:
            self._begun.set()
            self._stack.close()  # nobody can connect any more once the workers have closed theirs
            self._stopping = asyncio.ensure_future(self._stop())
        return self._stopping

    async def _stop(self) -> bool:
        self._log.info("draining", workers=self._settings.workers)
        whole = await self._supervisor.stop(self._settings.drain_timeout)
        self._log.info("drained", whole=whole)
        return whole

    async def stop(self) -> bool:
        """Ends everything; True when every session ended by itself."""
        return await asyncio.shield(self._begin())


def _door() -> socket.socket:
    """A worker's control door: a name that no file has, so that nothing is left behind. The kernel says who asks."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(f"\0partywall-{os.getpid()}-{secrets.token_hex(8)}")
    made.listen(BACKLOG)
    return made


def _address(door: socket.socket) -> str:
    found: bytes = door.getsockname()
    return found.decode()


async def supervise(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Serves by several workers until a signal ends it, as process.serve does by one process."""
    configure(settings.log.format, settings.log.level)
    return await Supervision(settings, environ).run()
