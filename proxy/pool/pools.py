"""Pools: leases of server connections. Asks the ledger what to do, does it, and tells it what came of it.

A lease is given back exactly once, and what comes back is believed only when it is idle, untainted and undone; all else
is closed. Nothing is lent that was another tenant's and not discarded. Cancelling who waits leaks nothing: a connection
that was lent too late goes back. Times are seconds of `clock`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from proxy.auth.scram import SaltedPasswords
from proxy.backend.state import IDLE
from proxy.errors import AdminShutdown, ConnectionFailure, Refusal, TooManyConnections
from proxy.pool.circuit import Circuit
from proxy.pool.connection import NOBODY, ServerConnection
from proxy.pool.holds import Held, Holds, Selection, busy, withdrawn
from proxy.pool.hosts import Hosts
from proxy.pool.lease import Lease, Settings, settings_of
from proxy.pool.ledger import Clean, Close, Ledger, Lend, Open, Share, Step
from proxy.pool.reset import IdleWatch, discard, undo
from proxy.pool.statistics import Counters, PoolsStatistics, snapshot
from proxy.tenancy.policy import Grant, Server

IDLE_TIMEOUT = 600.0
LIFETIME = 3600.0
REAP_INTERVAL = 10.0

Waiter = asyncio.Future[ServerConnection]
Connector = Callable[[Grant, SaltedPasswords], Coroutine[Any, Any, ServerConnection]]


class Pools:
    """Every server connection of this process. At most `max_server_connections` of them."""

    def __init__(
        self,
        max_server_connections: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        idle_timeout: float = IDLE_TIMEOUT,
        lifetime: float = LIFETIME,
        connector: Connector | None = None,
    ) -> None:
        self._ledger: Ledger[ServerConnection, Waiter] = Ledger(max_server_connections)
        self._clock = clock
        self._idle_timeout = idle_timeout
        self._lifetime = lifetime
        self._connector = connector or Hosts().connect
        self._grants: dict[tuple[Server, str, Settings], Grant] = {}  # how to open one for a share: the latest grant
        self._near: dict[int, tuple[Grant, Share[ServerConnection, Waiter]]] = {}  # by the grant's id(); until reap()
        self._watches: dict[ServerConnection, IdleWatch] = {}  # of every connection
        self._circuits: dict[Server, Circuit] = {}
        self._passwords: SaltedPasswords = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.Task[None] | None = None
        self._closing = False
        self.holds = Holds()
        self._held = self.holds.held
        self._changed = asyncio.Event()  # something was released or closed; for close
        self._counters = Counters()

    # -- leases

    def lease_nowait(self, grant: Grant) -> Lease | None:
        """A lease of an idle connection of this tenant, or None. Cheap."""
        near = self._near.get(id(grant))
        if near is not None and near[0] is grant and near[1].idle:
            share = near[1]
        else:
            found = self._ledger.shares.get((grant.server, grant.tenant, settings_of(grant)))
            if found is None:
                return None
            share = found
            self._near[id(grant)] = (grant, share)
        if self._closing or (self._held and self.holds.bars(grant)):
            return None
        while share.idle:
            connection = self._ledger.take(share)
            if connection is not None and self._sound(connection):
                return Lease(connection, grant)
        return None

    async def wait_lease(self, grant: Grant) -> Lease:
        """A lease, now or when one becomes free.

        While it is held back its time does not run. TooManyConnections (53300) after grant.limits.query_wait_timeout;
        ConnectionFailure (08006, or the server's own SQLSTATE of classes 53 and 57) when the server refuses or is not
        there; AdminShutdown while closing.
        """
        timeout = grant.limits.query_wait_timeout
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            if self._held and not self._closing:
                since = loop.time()
                await self.holds.wait(grant)
                deadline += loop.time() - since
            lease = self.lease_nowait(grant)
            if lease is not None:
                return lease
            try:
                connection = await self._wait(grant, deadline)
            except Held:
                continue
            if self._held and self.holds.bars(grant):
                self._give_back(connection)
            elif self._sound(connection):
                return Lease(connection, grant)

    def hold(self, selection: Selection, seconds: float | None = None) -> None:
        """From now on nothing of these is lent, until `holds.lift` or for so many seconds; who waits goes on waiting.
        What is idle of them is closed.
        """
        self.holds.add(selection, seconds)
        for connection in withdrawn(self._ledger, selection):
            self._destroy(connection, cancel=False)

    def busy(self, selection: Selection) -> list[ServerConnection]:
        """Connections on which something of these runs, or may yet: lent, being undone, or being cancelled."""
        return busy(self._ledger, selection)

    def release(self, lease: Lease, destroy: bool = False, cancel: bool = False) -> None:
        """The lease ends. destroy: close the connection; cancel: ask the server to stop what runs on it before that.

        A connection that is not idle, is tainted or is gone is closed whatever the caller thinks. RuntimeError when the
        lease ended before.
        """
        connection = lease.end()
        state = connection.state
        if (
            destroy
            or state.tainted is not None
            or state.status != IDLE
            or connection.closing
            or connection.lost is not None
            or self._closing
        ):
            connection.receiver = NOBODY
            self._changed.set()
            self._destroy(connection, cancel)
            return
        sql = state.undo()
        if sql is not None:
            connection.receiver = NOBODY
            self._ledger.clean(connection)
            self._start(self._undo(connection, sql))
            return
        self._to_idle(connection)
        steps = self._ledger.release(connection)
        if steps:
            self._perform(steps)

    def statistics(self) -> PoolsStatistics:
        """A snapshot of every list and counter."""
        return snapshot(self._ledger, self._counters)

    # -- waiting

    async def _wait(self, grant: Grant, deadline: float) -> ServerConnection:
        loop = asyncio.get_running_loop()
        share = self._share(grant)
        self._refuse_at_once(share, grant.server)
        waiter: Waiter = loop.create_future()
        alarm = loop.call_at(deadline, self._too_late, share, waiter)
        try:
            self._perform(self._ledger.wait(share, waiter))
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back(waiter.result())
            raise
        finally:
            alarm.cancel()
            self._ledger.withdraw(share, waiter)

    def _share(self, grant: Grant) -> Share[ServerConnection, Waiter]:
        settings = settings_of(grant)
        share = self._ledger.share(grant.server, grant.tenant, settings)
        share.limit = grant.limits.server_connections
        share.sharing = grant.pool_sharing == "reset"
        self._grants[grant.server, grant.tenant, settings] = grant
        return share

    def _refuse_at_once(self, share: Share[ServerConnection, Waiter], server: Server) -> None:
        if self._closing:
            raise AdminShutdown("terminating connection due to administrator command")
        circuit = self._circuits.get(server)
        if circuit is not None and server in self._ledger.blocked and not share.hopeful:
            raise circuit.refusal()

    def _too_late(self, share: Share[ServerConnection, Waiter], waiter: Waiter) -> None:
        if self._ledger.withdraw(share, waiter) and not waiter.done():
            self._counters.timeouts += 1
            waiter.set_exception(TooManyConnections("no server connection became free in time"))

    def _give_back(self, connection: ServerConnection) -> None:
        """A connection that was lent to somebody who had just left."""
        if connection.lost is None and self._sound(connection):
            self._perform(self._ledger.release(connection))

    # -- doing what the ledger decided

    def _perform(self, steps: list[Step[ServerConnection, Waiter]]) -> None:
        for step in steps:
            match step:
                case Lend(waiter=waiter, connection=connection):
                    if waiter.done():  # cancelled in this very turn of the loop
                        self._give_back(connection)
                    else:
                        waiter.set_result(connection)
                case Open():
                    self._start(self._open(step))
                case Clean(connection=connection):
                    self._start(self._discard(connection))
                case Close(connection=connection):
                    connection.close()

    async def _open(self, step: Open[ServerConnection, Waiter]) -> None:
        share = step.share
        server = step.share.server
        grant = self._grants[server, share.tenant, share.settings]  # type: ignore[index]  # the ledger knows no Server
        try:
            connection = await self._connector(grant, self._passwords)
        except asyncio.CancelledError:
            self._perform(self._ledger.failed(step.opening))
            raise
        except Exception as error:  # whatever it is, who waits must hear of it
            refusal = error if isinstance(error, Refusal) else ConnectionFailure("could not connect to the server")
            self._counters.failures += 1
            self._refused(grant.server, refusal)
            self._perform(self._ledger.failed(step.opening))
            self._refuse_hopeless(grant.server, refusal)
            return
        self._counters.opened += 1
        circuit = self._circuits.pop(grant.server, None)
        if circuit is not None:
            circuit.cancel()
        connection.born = self._clock()
        connection.on_lost = self._lost
        self._watches[connection] = IdleWatch(connection)
        self._to_idle(connection)
        steps = self._ledger.opened(step.opening, connection)
        if circuit is not None:
            steps += self._ledger.unblock(grant.server)
        self._perform(steps)
        if connection.lost is not None:  # between the log-in and here
            self._lost(connection)
        elif self._closing:
            self._destroy(connection, cancel=False)
        self._start_reaper()

    def _refused(self, server: Server, error: Refusal) -> None:
        circuit = self._circuits.get(server)
        if circuit is None:
            circuit = self._circuits[server] = Circuit(lambda: self._perform(self._ledger.unblock(server)))
        circuit.trip(error)
        self._ledger.block(server)

    def _refuse_hopeless(self, server: Server, error: Refusal) -> None:
        for waiter in self._ledger.hopeless(server):
            if not waiter.done():
                waiter.set_exception(ConnectionFailure(error.message, sqlstate=error.sqlstate))

    async def _undo(self, connection: ServerConnection, sql: bytes) -> None:
        await self._clean(connection, undo(connection, sql))

    async def _discard(self, connection: ServerConnection) -> None:
        self._counters.resets += 1
        await self._clean(connection, discard(connection))

    async def _clean(self, connection: ServerConnection, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ConnectionFailure:
            self._destroy(connection, cancel=False)
            return
        except BaseException:
            self._destroy(connection, cancel=False)
            raise
        if connection.state.tainted is not None or connection.closing or self._closing:
            self._destroy(connection, cancel=False)
        elif connection.lost is None:
            self._to_idle(connection)
            self._perform(self._ledger.cleaned(connection))

    # -- ends

    def _sound(self, connection: ServerConnection) -> bool:
        """May this connection, leased just now, be used? If not it is closed."""
        if connection.lost is not None:
            return False
        watch = self._watches.get(connection)
        if connection.closing or connection.state.tainted is not None or watch is None or watch.pending:
            self._destroy(connection, cancel=False)
            return False
        return True

    def _to_idle(self, connection: ServerConnection) -> None:
        connection.resume_reading()
        connection.idle_since = self._clock()
        connection.receiver = self._watches[connection]

    def _destroy(self, connection: ServerConnection, cancel: bool) -> None:
        if connection.lost is not None:
            return
        self._ledger.doom(connection, cancel=cancel)
        if cancel:
            self._counters.cancels += 1
            self._start(self._cancel(connection))
        elif connection.closing:
            connection.abort()
        else:
            connection.close()

    async def _cancel(self, connection: ServerConnection) -> None:
        try:
            await connection.cancel()
        except OSError:
            self._counters.failures += 1  # the server will notice the closed connection itself
        finally:
            connection.part()

    def _lost(self, connection: ServerConnection) -> None:
        self._watches.pop(connection, None)
        self._counters.closed += 1
        self._changed.set()
        self._perform(self._ledger.closed(connection))

    def reap(self) -> int:
        """Close idle connections that are too old or idle for too long; returns how many."""
        now = self._clock()
        old = [
            one
            for one in self._ledger.idle
            if now - one.idle_since >= self._idle_timeout or now - one.born >= self._lifetime
        ]
        for one in old:
            self._destroy(one, cancel=False)
        self._near.clear()
        for key in [key for key in self._grants if key not in self._ledger.shares]:
            del self._grants[key]
        return len(old)

    async def close(self, timeout: float = 30.0) -> None:
        """Lend nothing more; wait up to `timeout` seconds for leases to end, then cut what is left."""
        self._closing = True
        self.holds.end(AdminShutdown("terminating connection due to administrator command"))
        deadline = asyncio.get_running_loop().time() + timeout
        for share in list(self._ledger.lines.values()):
            for waiter in list(share.waiting):
                self._ledger.withdraw(share, waiter)
                if not waiter.done():
                    waiter.set_exception(AdminShutdown("terminating connection due to administrator command"))
        for connection in list(self._ledger.idle):
            self._destroy(connection, cancel=False)
        await self._wait_until(lambda: not any(share.leased for share in self._ledger.shares.values()), deadline)
        for task in [*self._tasks, *([self._reaper] if self._reaper is not None else [])]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for circuit in self._circuits.values():
            circuit.cancel()
        for connection in list(self._watches):
            self._destroy(connection, cancel=False)
        await self._wait_until(lambda: not self._watches, max(deadline, asyncio.get_running_loop().time() + 1.0))
        for connection in list(self._watches):
            connection.abort()
        await self._wait_until(lambda: not self._watches, asyncio.get_running_loop().time() + 1.0)

    async def _wait_until(self, condition: Callable[[], bool], deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start_reaper(self) -> None:
        if self._reaper is None and not self._closing:
            self._reaper = asyncio.create_task(self._reap_forever(), name="reaper")

    async def _reap_forever(self) -> None:
        while True:
            await asyncio.sleep(REAP_INTERVAL)
            self.reap()
