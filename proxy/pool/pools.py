"""Pools: leases of server connections. Asks the ledger what to do; works.py does it.

A lease is given back exactly once, and what comes back is believed only when it is idle, untainted and undone; all else
is closed. Nothing is lent that was another tenant's and not discarded, nor what was idle for long and not asked whether
it is well. Cancelling who waits leaks nothing: a connection that was lent too late goes back. Times are seconds of
`clock`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from proxy.backend.state import IDLE
from proxy.errors import AdminShutdown, ConnectionFailure, TooManyConnections
from proxy.pool.connection import NOBODY, ServerConnection
from proxy.pool.holds import Held, Holds, Moved, Selection, busy, withdrawn
from proxy.pool.hosts import Hosts
from proxy.pool.lease import Lease, settings_of
from proxy.pool.ledger import Ledger
from proxy.pool.reset import check
from proxy.pool.share import NO_LIMIT, Key, Share
from proxy.pool.statistics import Demand, PoolsStatistics, demand, snapshot
from proxy.pool.upkeep import Lifetimes, Upkeep
from proxy.pool.works import Connector, Waiter, Works
from proxy.tenancy.policy import Grant

CHECK_TIMEOUT = 5.0
CLOSING = "terminating connection due to administrator command"

PoolShare = Share[ServerConnection, Waiter]


class Pools:
    """Every server connection of this process. At most `max_server_connections` of them."""

    def __init__(
        self,
        max_server_connections: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        lifetimes: Lifetimes | None = None,
        connector: Connector | None = None,
    ) -> None:
        lifetimes = lifetimes or Lifetimes()
        self._ledger: Ledger[ServerConnection, Waiter] = Ledger(max_server_connections, clock)
        self._works = Works(self._ledger, clock, connector or Hosts().connect, lifetimes.server_lifetime)
        self._upkeep = Upkeep(self._works, lifetimes, clock)
        self._clock = clock
        self._check_delay = lifetimes.server_check_delay
        self._near: dict[int, tuple[Grant, PoolShare]] = {}  # by the grant's id(); until reap()
        self._closing = False
        self.holds = Holds()
        self._held = self.holds.held
        self.limit_of: Callable[[str, int | None], int | None] = lambda tenant, limit: limit  # where others share it

    # -- leases

    def lease_nowait(self, grant: Grant) -> Lease | None:
        """A lease of an idle connection of this tenant, or None. Cheap."""
        near = self._near.get(id(grant))
        if near is not None and near[0] is grant and near[1].idle:
            share = near[1]
        else:
            found = self._ledger.shares.get(_key_of(grant))
            if found is None:
                return None
            share = found
            self._know(grant, share)
        if self._closing or (self._held and self.holds.bars(grant)):
            return None
        while share.idle:
            now = self._clock()
            connection = self._ledger.take(share, now)
            if connection is None:
                return None
            if now - connection.idle_since > self._check_delay:
                self._works.give_back(connection)
                return None
            if connection.usable and connection.state.tainted is None and not connection.watch.pending:
                return Lease(connection, grant)
            self._works.destroy(connection, cancel=False)
        return None

    async def wait_lease(self, grant: Grant, moved: Callable[[Grant], bool] = lambda _: False) -> Lease:
        """A lease, now or when one becomes free.

        While it is held back its time does not run. moved: is the grant's place no longer the one? Then Moved.
        TooManyConnections (53300) after grant.limits.query_wait_timeout; ConnectionFailure (08006, or the server's own
        SQLSTATE of classes 53 and 57) when the server refuses or is not there; AdminShutdown while closing.
        """
        timeout = grant.limits.query_wait_timeout
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self._upkeep.begin(self.reap)
        while True:
            if self._held and not self._closing:
                since = loop.time()
                await self.holds.wait(grant)
                deadline += loop.time() - since
            if moved(grant):
                raise Moved
            lease = self.lease_nowait(grant)
            if lease is not None:
                return lease
            try:
                connection = await self._check(grant) or await self._wait(grant, deadline)
            except Held:
                continue
            if (self._held and self.holds.bars(grant)) or moved(grant):
                self._works.give_back(connection)
            elif self._works.sound(connection):
                return Lease(connection, grant)

    def release(self, lease: Lease, destroy: bool = False, cancel: bool = False) -> None:
        """The lease ends. destroy: close the connection; cancel: ask the server to stop what runs on it before that.

        A connection that is not idle, is tainted or is gone is closed whatever the caller thinks. RuntimeError when the
        lease ended before.
        """
        connection = lease.end()
        state = connection.state
        if destroy or state.tainted is not None or state.status != IDLE or not connection.usable or self._closing:
            connection.receiver = NOBODY
            self._works.changed.set()
            self._works.destroy(connection, cancel)
            return
        sql = state.undo()
        if sql is not None:
            self._works.undo(connection, sql)
            return
        now = self._clock()
        connection.rest(now)
        steps = self._ledger.release(connection, now)
        if steps:
            self._works.perform(steps)

    # -- from the operator, and from other processes

    def hold(self, selection: Selection, seconds: float | None = None) -> None:
        """From now on nothing of these is lent, until `holds.lift` or for so many seconds; who waits goes on waiting.
        What is idle of them is closed.
        """
        self.holds.add(selection, seconds)
        for connection in withdrawn(self._ledger, selection):
            self._works.destroy(connection, cancel=False)

    def busy(self, selection: Selection) -> list[ServerConnection]:
        """Connections on which something of these runs, or may yet: lent, being undone, or being cancelled."""
        return busy(self._ledger, selection)

    def set_ceiling(self, ceiling: int) -> None:
        """So many connections at most from now on. Above it idle ones go at once, leased ones when they come back, and
        nothing is opened.
        """
        self._works.perform(self._ledger.set_ceiling(ceiling))

    def set_limit(self, tenant: str, limit: int) -> None:
        """So many connections of this tenant at most from now on, as set_ceiling."""
        standing = self._ledger.standings.get(tenant)
        if standing is not None:
            self._works.perform(self._ledger.set_limit(standing, limit, standing.reserve))

    def demand(self) -> Mapping[str, Demand]:
        """What each tenant that has or wants connections has, and could use."""
        return demand(self._ledger)

    def statistics(self) -> PoolsStatistics:
        """A snapshot of every list and counter."""
        return snapshot(self._ledger, self._works.counters)

    # -- waiting

    async def _wait(self, grant: Grant, deadline: float) -> ServerConnection:
        loop = asyncio.get_running_loop()
        share = self._share(grant)
        self._refuse_at_once(share)
        waiter: Waiter = loop.create_future()
        alarms = [loop.call_at(deadline, self._too_late, share, waiter)]
        if grant.limits.reserve_pool_size:
            alarms.append(loop.call_later(grant.limits.reserve_pool_timeout, self._hurry, share, waiter))
        try:
            self._works.perform(self._ledger.wait(share, waiter))
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._works.give_back(waiter.result())
            raise
        finally:
            for alarm in alarms:
                alarm.cancel()
            self._ledger.withdraw(share, waiter)

    async def _check(self, grant: Grant) -> ServerConnection | None:
        """An idle connection of the tenant's that was idle for long, and is well. Those that are not are closed, and
        with them what was idle for as long at the same place.
        """
        share = self._ledger.shares.get(_key_of(grant))
        connection = None if share is None or self._closing else self._ledger.take(share, self._clock())
        if connection is None or share is None:
            return None
        try:
            await check(connection, CHECK_TIMEOUT)
        except ConnectionFailure:
            self._works.counters.unwell += 1
            self._works.destroy(connection, cancel=False)
            latest = self._clock() - self._check_delay
            for other in list(self._ledger.idle):
                if other.idle_since < latest and self._ledger.places[other].site is share.site:
                    self._works.destroy(other, cancel=False)
            return None
        except BaseException:
            self._works.destroy(connection, cancel=False)
            raise
        connection.receiver = connection.watch
        return connection

    def _share(self, grant: Grant) -> PoolShare:
        settings = settings_of(grant)
        share = self._ledger.share(grant.place, grant.tenant, settings, grant.server.addresses)
        self._know(grant, share)
        return share

    def _know(self, grant: Grant, share: PoolShare) -> None:
        """What the rules in force say of the share."""
        limits = grant.limits
        self._near[id(grant)] = (grant, share)
        share.grant = grant
        share.sharing = grant.pool_sharing == "reset"
        standing = share.standing
        standing.weight = limits.share
        self._upkeep.keep(share, limits.min_pool_size)
        ceiling = NO_LIMIT if grant.max_server_connections is None else grant.max_server_connections
        if share.site.ceiling != ceiling:
            self._works.perform(self._ledger.set_site_ceiling(share.site, ceiling))
        allowed = self.limit_of(grant.tenant, limits.server_connections)
        limit = NO_LIMIT if allowed is None else allowed
        if standing.limit != limit or standing.reserve != limits.reserve_pool_size:
            self._works.perform(self._ledger.set_limit(standing, limit, limits.reserve_pool_size))

    def _refuse_at_once(self, share: PoolShare) -> None:
        if self._closing:
            raise AdminShutdown(CLOSING)
        key = self._ledger.barriers.hopeless(share)
        if key is not None:
            raise self._works.circuits.refusal(key)

    def _too_late(self, share: PoolShare, waiter: Waiter) -> None:
        if self._ledger.withdraw(share, waiter) and not waiter.done():
            self._works.counters.timeouts += 1
            waiter.set_exception(TooManyConnections("no server connection became free in time"))

    def _hurry(self, share: PoolShare, waiter: Waiter) -> None:
        self._works.perform(self._ledger.hurry(share, waiter))

    def follow(self, grants: Iterable[Grant]) -> None:
        """The rules grant these: at another place that a tenant has left nothing is kept for it."""
        tenants = self._upkeep.tenants()
        self._upkeep.follow({_key_of(one): one.limits.min_pool_size for one in grants if one.tenant in tenants})

    def tenants(self) -> AbstractSet[str]:
        """Every one that had a connection, and was not forgotten."""
        return self._ledger.standings.keys()

    def forget(self, tenant: str) -> bool:
        """No rules name it: what it has idle is closed. True once nothing of it is left."""
        standing = self._ledger.standings.get(tenant)
        self._upkeep.drop(tenant)
        for connection in [one for share in standing.shares for one in share.idle] if standing else ():
            self._works.destroy(connection, cancel=False)
        if standing is not None and not (standing.shares or standing.places):
            self._near.clear()
            del self._ledger.standings[tenant]
        return tenant not in self._ledger.standings

    # -- time, and the end

    def reap(self) -> int:
        """Close idle connections that are too old or idle for too long, and open what is kept; returns how many were
        closed.
        """
        self._near.clear()
        return self._upkeep.round()

    async def close(self, timeout: float = 30.0) -> None:
        """Lend nothing more; wait up to `timeout` seconds for leases to end, then cut what is left."""
        self._closing = self._works.closing = True
        await self._upkeep.close()
        self.holds.end(AdminShutdown(CLOSING))
        for share in list(self._ledger.lines):
            for waiter in list(share.waiting):
                self._ledger.withdraw(share, waiter)
                if not waiter.done():
                    waiter.set_exception(AdminShutdown(CLOSING))
        await self._works.close(timeout)


def _key_of(grant: Grant) -> Key:
    return grant.place, grant.tenant, settings_of(grant)
