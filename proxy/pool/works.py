"""Works: does what the ledger decided, and tells it what came of it. Opens, cleans, cancels, closes.

What was opened or cleaned is believed only when it is idle and untainted; all else is closed. Whoever is told that a
connection is its own gets it, or it goes back: nothing is lent to somebody who has just left. Times are seconds of
`clock`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from secrets import SystemRandom
from typing import Any

from proxy.auth.scram import SaltedPasswords
from proxy.errors import ConnectionFailure, Refusal
from proxy.pool.circuit import Circuits, is_everybodys
from proxy.pool.connection import NOBODY, ServerConnection
from proxy.pool.ledger import Ledger
from proxy.pool.reset import IdleWatch, discard, undo
from proxy.pool.share import Clean, Close, Lend, Open, Step
from proxy.pool.statistics import Counters
from proxy.tenancy.policy import Grant

SPREAD = 0.1  # of a lifetime, by which some end earlier than others: those of one moment do not all end in one

Waiter = asyncio.Future[ServerConnection]
Connector = Callable[[Grant, SaltedPasswords], Coroutine[Any, Any, ServerConnection]]


class Works:
    """What is being done for one ledger. `lifetime` of a connection in seconds."""

    def __init__(
        self,
        ledger: Ledger[ServerConnection, Waiter],
        clock: Callable[[], float],
        connector: Connector,
        lifetime: float,
        dice: Callable[[], float] | None = None,
    ) -> None:
        self.ledger = ledger
        self.counters = Counters()
        self.closing = False
        self.changed = asyncio.Event()  # something was released or closed; for close
        self.circuits = Circuits(self._try_again)
        self._clock = clock
        self._connector = connector
        self._lifetime = lifetime
        self._dice = dice or SystemRandom().random
        self._passwords: SaltedPasswords = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> list[ServerConnection]:
        """Every connection there is."""
        return [one for one in self.ledger.places if isinstance(one, ServerConnection)]

    def perform(self, steps: list[Step[ServerConnection, Waiter]]) -> None:
        """Does them, or begins to."""
        for step in steps:
            match step:
                case Lend(waiter=waiter, connection=connection):
                    if waiter.done():  # cancelled in this very turn of the loop
                        self.give_back(connection)
                    else:
                        waiter.set_result(connection)
                case Open():
                    self.start(self._open(step))
                case Clean(connection=connection):
                    self.start(self._discard(connection))
                case Close(connection=connection):
                    connection.close()

    def give_back(self, connection: ServerConnection) -> None:
        """A connection that was lent to somebody who had just left."""
        if self.sound(connection):
            self.perform(self.ledger.release(connection, self._clock()))

    def sound(self, connection: ServerConnection) -> bool:
        """May this connection, leased just now, be used? If not it is closed."""
        if connection.usable and connection.state.tainted is None and not connection.watch.pending:
            return True
        self.destroy(connection, cancel=False)
        return False

    def undo(self, connection: ServerConnection, sql: bytes) -> None:
        """A leased connection is made fit for the next of its tenant."""
        connection.receiver = NOBODY
        self.ledger.clean(connection)
        self.start(self._clean(connection, undo(connection, sql)))

    def destroy(self, connection: ServerConnection, cancel: bool) -> None:
        """It is closed; what runs on it is cancelled before, if asked."""
        if connection.lost is not None:
            return
        steps = self.ledger.doom(connection, cancel=cancel)
        if cancel:
            self.counters.cancels += 1
            self.start(self._cancel(connection))
        elif connection.closing:
            connection.abort()
        else:
            connection.close()
        self.perform(steps)

    # -- one by one

    async def _open(self, step: Open[ServerConnection, Waiter]) -> None:
        share = step.share
        grant: Grant = share.grant
        try:
            connection = await self._connector(grant, self._passwords)
        except asyncio.CancelledError:
            self.perform(self.ledger.failed(step.opening))
            raise
        except Exception as error:  # whatever it is, who waits must hear of it
            refusal = error if isinstance(error, Refusal) else ConnectionFailure("could not connect to the server")
            own = not is_everybodys(error)
            key: Hashable = share.key if own else share.site.key
            self.counters.failures += 1
            self.circuits.trip(key, refusal)
            self.ledger.barriers.shut(key)
            self.perform(self.ledger.failed(step.opening))
            self._refuse_hopeless(key, refusal)
            if own and self.circuits.mend(share.site.key):  # the server is there, and said so
                self.perform(self.ledger.unblock(share.site.key))
            return
        self.counters.opened += 1
        mended = [key for key in (share.site.key, share.key) if self.circuits.mend(key)]
        now = self._clock()
        connection.retires = now + self._lifetime * (1.0 - SPREAD * self._dice())
        connection.on_lost = self._lost
        connection.watch = IdleWatch(connection)
        connection.rest(now)
        steps = self.ledger.opened(step.opening, connection)
        for key in mended:
            steps += self.ledger.unblock(key)
        self.perform(steps)
        if connection.lost is not None:  # between the log-in and here
            self._lost(connection)
        elif self.closing:
            self.destroy(connection, cancel=False)

    def _refuse_hopeless(self, key: Hashable, error: Refusal) -> None:
        for waiter in self.ledger.hopeless(key):
            if not waiter.done():
                waiter.set_exception(ConnectionFailure(error.message, sqlstate=error.sqlstate))

    def _try_again(self, key: Hashable) -> None:
        self.perform(self.ledger.half_open(key))

    def forget(self) -> None:
        """What failed long ago, and nobody has tried since, is as good as well."""
        for key in self.circuits.forget():
            self.perform(self.ledger.unblock(key))

    async def _discard(self, connection: ServerConnection) -> None:
        self.counters.resets += 1
        await self._clean(connection, discard(connection))

    async def _clean(self, connection: ServerConnection, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ConnectionFailure:
            self.destroy(connection, cancel=False)
            return
        except BaseException:
            self.destroy(connection, cancel=False)
            raise
        if connection.state.tainted is not None or connection.closing or self.closing:
            self.destroy(connection, cancel=False)
        elif connection.lost is None:
            connection.rest(self._clock())
            self.perform(self.ledger.cleaned(connection))

    async def _cancel(self, connection: ServerConnection) -> None:
        try:
            await connection.cancel()
        except OSError:
            self.counters.failures += 1  # the server will notice the closed connection itself
        finally:
            connection.part()

    def _lost(self, connection: ServerConnection) -> None:
        self.counters.closed += 1
        self.changed.set()
        self.perform(self.ledger.closed(connection))

    # -- the end

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs beside everything else, until it ends or all ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, timeout: float) -> None:
        """Opens nothing more; waits up to `timeout` seconds for leases to end, then cuts what is left."""
        self.closing = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        for connection in list(self.ledger.idle):
            self.destroy(connection, cancel=False)
        await self._wait_until(lambda: not any(share.leased for share in self.ledger.shares.values()), deadline)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.circuits.cancel()
        for connection in self.connections:
            self.destroy(connection, cancel=False)
        await self._wait_until(lambda: not self.connections, max(deadline, loop.time() + 1.0))
        for connection in self.connections:
            connection.abort()
        await self._wait_until(lambda: not self.connections, loop.time() + 1.0)

    async def _wait_until(self, condition: Callable[[], bool], deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                while not condition():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return
