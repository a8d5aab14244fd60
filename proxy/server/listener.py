"""Listener: the listening socket, the clients that came through it, and what they share.

It opens no server connection and knows no SQL. Draining lets transactions end; what outlives the timeout is closed.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path

from proxy.errors import AdminShutdown, Refusal, TooManyConnections
from proxy.server import memory
from proxy.server.cancel import CancelKeys
from proxy.server.client import Client
from proxy.server.door import Door
from proxy.server.gate import Gate
from proxy.server.proofs import Proofs
from proxy.server.services import Services
from proxy.server.sharing import Shares
from proxy.server.sockets import accept, bound
from proxy.server.tasks import Tasks
from proxy.server.unixsocket import UnixSocket, clients_path
from proxy.session.holdings import spare
from proxy.tenancy.policy import Server

TEMPLATES = 1000  # sets of learnt parameters kept at most
NOTIFIERS = 10_000  # processes of servers kept at most
TELL_REFUSED = 10.0  # seconds between two lines about connections that were refused
Process = tuple[Server, str, int]
"""Where, for which tenant, and the number that the server has for it."""
Pairs = tuple[tuple[str, str], ...]
TemplateKey = tuple[Server, Pairs, Pairs]
"""Where, under which settings of the tenant's connections, and of the session's."""


class Listener:
    """The front door."""

    def __init__(self, services: Services) -> None:
        options = services.options
        self.services = services
        self.tasks = Tasks(services.log)
        self.keys = CancelKeys(options.host, options.worker)
        self.gate = Gate(
            options.connection_rate,
            options.address_connection_rate,
            options.memory_limit,
            services.clock,
            memory.resident,
        )
        self.shares = Shares(options.planner_processes, options.connection_rate)
        self.proofs = Proofs(services.clock, services.proof_failed, services.proof_weighed, options.workers)
        self.clients: set[Client] = set()
        self.turned: set[Door] = set()  # who are being told that they may not enter
        self.arriving: set[Door] = set()  # whose header has yet to come
        self.templates: OrderedDict[TemplateKey, Mapping[str, str]] = OrderedDict()
        self.altered: dict[Server, int] = {}  # statements that may have changed the schema there
        self.notifiers: OrderedDict[Process, int] = OrderedDict()  # server's process -> who notified last
        self.closed: set[str] = set()  # tenants whose sessions are drained: no new ones
        self.draining = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._servers: list[asyncio.Server] = []
        self._socket: UnixSocket | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._told: tuple[int, float] = (0, 0.0)  # refused connections in the log so far, and since when

    async def start(self, host: str, port: int, unix_directory: Path | None = None) -> int:
        """Listens; port 0 takes a free one. unix_directory: where there is to be a Unix socket as well. The port."""
        sockets = bound(host, port)
        found: int = sockets[0].getsockname()[1]
        if unix_directory is not None:
            self._socket = UnixSocket(clients_path(unix_directory, found))
            sockets.append(self._socket.listening)
        await self.accept(sockets)
        return found

    async def accept(self, sockets: Iterable[socket.socket], *, shared: bool = False) -> None:
        """Listens on bound sockets. shared: other workers accept on them as well."""
        for one in sockets:
            each = shared or (one.family == socket.AF_UNIX and self.services.options.workers > 1)
            self._servers.append(await accept(one, lambda: Door(self), shared=each))
        self._sweeper = asyncio.get_running_loop().call_later(self.services.options.sweep_interval, self._sweep)

    @property
    def unix_path(self) -> Path | None:
        """The Unix socket, if there is one."""
        return None if self._socket is None else self._socket.path

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def crowded(self) -> bool:
        """Are there so many connections that nobody is even let in to be told?"""
        return len(self.clients) + len(self.arriving) >= 2 * self.services.options.max_client_connections + 100

    def refusal(self, address: str) -> Refusal | None:
        """Why nobody from there may enter now; None when one may. Far beyond the limit nobody is even let in to be told
        after the log-in.
        """
        if self.draining:
            return AdminShutdown("the database system is shutting down", sqlstate="57P03")
        if self.crowded:
            return TooManyConnections("sorry, too many clients already")
        return self.gate.enter(address)

    def joined(self, client: Client) -> None:
        """A client connected."""
        self.clients.add(client)
        self._empty.clear()

    def left(self, client: Client) -> None:
        """A client is gone."""
        self.clients.discard(client)
        if not self.clients:
            self._empty.set()

    def learn(self, key: TemplateKey, parameters: Mapping[str, str]) -> None:
        """Keeps what a server reports."""
        self.templates[key] = parameters
        if len(self.templates) > TEMPLATES:
            self.templates.popitem(last=False)

    def compare(self, server: Server, settings: Mapping[str, str], news: Mapping[str, str]) -> None:
        """Forgets what was learnt there, under these settings of the tenant's connections, and is no longer so."""
        place = (server, tuple(sorted(settings.items())))
        for key, learnt in tuple(self.templates.items() if news else ()):
            if key[:2] == place:
                asked = {name.lower() for name, _ in key[2]}
                if any(learnt.get(name) != value for name, value in news.items() if name.lower() not in asked):
                    del self.templates[key]

    def note_notifier(self, process: Process, virtual: int) -> None:
        """A session notifies from a process of the server's."""
        self.notifiers[process] = virtual
        self.notifiers.move_to_end(process)
        if len(self.notifiers) > NOTIFIERS:
            self.notifiers.popitem(last=False)

    def forget_templates(self) -> None:
        """After a reload: servers may have changed."""
        self.templates.clear()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self.gate.measure():
            for client in self.clients:
                spare(client.session, self.gate.short)
        self._tell_refused(now)
        for client in tuple(self.clients):
            client.sweep(now)
        self._sweeper = loop.call_later(self.services.options.sweep_interval, self._sweep)

    def _tell_refused(self, now: float) -> None:
        """One line for many, because a flood must not become a flood of lines."""
        refused = self.gate.refused
        total = sum(refused.values())
        if total != self._told[0] and now - self._told[1] >= TELL_REFUSED:
            self._told = (total, now)
            self.services.log.warning("connections refused", **refused)

    async def drain(self, timeout: float) -> bool:
        """No new clients; idle ones end, others when their transaction does. True when all ended within `timeout`
        seconds.
        """
        self.draining = True
        self._stop_listening()
        for client in tuple(self.clients):
            client.drain()
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def expel(self) -> None:
        """Ends every session that holds permits, which other processes may have now."""
        for client in [one for one in self.clients if one.entered]:
            client.terminate(AdminShutdown("terminating connection because the counter store is away"))

    async def close(self) -> None:
        """Ends everything now."""
        self.draining = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._stop_listening()
        for door in (*self.turned, *self.arriving):
            door.cut()
        for client in tuple(self.clients):
            client.terminate(AdminShutdown("terminating connection due to administrator command"))
            if client.transport is not None:
                client.transport.close()
        try:
            async with asyncio.timeout(1.0):
                await self._empty.wait()
        except TimeoutError:
            for client in tuple(self.clients):
                if client.transport is not None:
                    client.transport.abort()
            await self._empty.wait()
        await self.tasks.close()
