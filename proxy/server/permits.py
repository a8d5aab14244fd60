"""PermittedClient: a client's place among those of all processes that share limits: permits, given back at its end.

Before that comes its turn among the log-ins of its tenant, of which one process takes only so many a second; and its
database must be open: a tenant that nobody has used yet is opened by its first client, which waits.
Without a shared store only this process counts. With one, a client whose process has no permit to spare waits for one,
a second at most, before it hears that there are too many; at once where all permits are this process's. The order is
that of all clients first, then the tenant's, then the login's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from proxy.errors import CannotConnectNow, Refusal, TooManyConnections
from proxy.quota.gauge import Gauge, Line
from proxy.quota.leased import PermitGauge
from proxy.server.gate import cost
from proxy.server.port import ClientPort
from proxy.session.actions import AwaitQuota
from proxy.session.conversation import Phase, Waiting
from proxy.session.events import ClientAdmitted, Event, QuotaHeard
from proxy.session.ports import LATER, Later
from proxy.tenancy.policy import Grant

MOMENT = 0.1  # seconds for an answer of the store
PATIENCE = 1.0  # seconds for a turn, and for a permit
CLIENTS = ("", "", "max_client_connections", "")


class PermittedClient(ClientPort):
    """The part of the session's Port that is about who may come in."""

    handle: Callable[[Event], None]  # gives the session an event; the client's
    entered: tuple[Gauge, ...] = ()
    early: float = 0.0  # seconds until its turn

    def admit(self, grant: Grant) -> Refusal | Later | None:
        """Counts the session in, or says why not; LATER when it must wait."""
        share = self.listener.shares.of(grant.tenant)
        turn = share.logged_in(cost(self.session.tls), self.services.clock(), PATIENCE)
        if turn is None:
            return TooManyConnections("too many new connections", hint="Keep connections open.")
        self.early = turn
        if turn or not self._open(self._present(grant)):
            return LATER
        entered: list[Gauge] = []
        for gauge, _ in self._places(grant):
            if not gauge.enter():
                leave(entered)
                return LATER
            entered.append(gauge)
        self.entered = tuple(entered)
        return self.count_in(grant)

    def _present(self, grant: Grant) -> Grant:
        """As the rules have it that are in force now: they may have changed since it was found."""
        fresh = self.granted(self.services.rules())
        return grant if fresh is None or fresh.tenant != grant.tenant else fresh

    def _open(self, grant: Grant) -> bool:
        """Is the database open, or nothing to be waited for?"""
        if self.services.wait_planning is None:
            return True
        try:
            self.services.planning(grant)
        except CannotConnectNow:
            return False
        return True

    def _places(self, grant: Grant) -> list[tuple[Gauge, str]]:
        """Every gauge that it must enter, and what is said when there is no place."""
        permits = self.services.permits
        if permits is None:
            return []
        rationing, user = permits.rationing, self.session.user
        most = self.services.options.max_client_connections
        found = [(rationing.gauge(CLIENTS, most), "sorry, too many clients already")]
        for login, limit in (("", grant.limits.connections), (user, self.own_connections())):
            if limit is not None:
                gauge = rationing.gauge((grant.tenant, login, "connections", ""), limit)
                found.append((gauge, f'too many connections for role "{user}"'))
        return found

    async def wait_admission(self) -> None:
        """Waits for every place, and tells the session."""
        session, permits = self.session, self.services.permits
        grant = session.grant
        if grant is None:
            return
        if self.early:
            await asyncio.sleep(self.early)
        if self.services.wait_planning is not None:
            try:
                await self.services.wait_planning(self._present(grant))
            except CannotConnectNow as refusal:
                self.handle(ClientAdmitted(refusal))
                return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        entered: list[Gauge] = []
        try:
            for gauge, words in self._places(grant):
                patience = deadline - loop.time() if isinstance(gauge, PermitGauge) and gauge.hopeful else 0.0
                waiting = permits if patience > 0.0 else None
                if not gauge.enter() and (waiting is None or not await waiting.wait_enter(gauge, patience)):
                    self.handle(ClientAdmitted(TooManyConnections(words)))
                    return
                entered.append(gauge)
            if session.phase is Phase.ADMISSION:  # it did not go meanwhile
                self.entered, entered = tuple(entered), []
                self.handle(ClientAdmitted(self.count_in(grant)))
        finally:
            leave(entered)

    async def wait_quota(self, action: AwaitQuota) -> None:
        """Waits for the time given, or for the counter store's next answer, and tells the session."""
        permits = self.services.permits
        line, session = action.line, self.session
        if line is not None:
            called = await _called(line, action.seconds)
            if called and line and (session.waiting, session.ticket) != (Waiting.QUOTA, action.ticket):
                line.popleft()()  # who was called has gone
        elif action.seconds:
            await asyncio.sleep(action.seconds)
        elif permits is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    await permits.wait_turn()
        self.waiting.pop(action.ticket, None)
        self.handle(QuotaHeard(action.ticket))

    def count_out(self) -> None:
        """It is gone."""
        if self.admitted:
            self.admitted = False
            self.session.counters.connections -= 1
            self.listener.shares.leave(self.share)
        entered, self.entered = self.entered, ()
        leave(entered)


async def _called(line: Line, seconds: float) -> bool:
    """Stands in line for so long; False: and was not called."""
    turn = asyncio.Event()
    line.append(turn.set)
    try:
        async with asyncio.timeout(seconds):
            await turn.wait()
    except TimeoutError:
        pass
    except asyncio.CancelledError:
        if turn.is_set() and line:
            line.popleft()()  # it was called too late
        raise
    finally:
        if not turn.is_set():
            line.remove(turn.set)
    return turn.is_set()


def leave(entered: tuple[Gauge, ...] | list[Gauge]) -> None:
    """What was entered is given back."""
    for gauge in entered:
        gauge.leave()
