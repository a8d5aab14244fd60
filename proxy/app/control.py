"""What one process does when it is asked at its control door.

A pause or a tenant's drain that is not whole in time, or whose requester is gone, leaves nothing behind: who was held
goes on, and new sessions may come. Once a pause was answered as whole, no statement of those it names is on any server
connection, and none begins until it is resumed or its time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import assert_never

from prometheus_client import CollectorRegistry

from proxy.admin.merge import families
from proxy.admin.metrics import registry
from proxy.app.application import App
from proxy.app.services import sources_of
from proxy.app.status import described, holders, status
from proxy.errors import AdminShutdown
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
    Proofs,
    Reload,
    Request,
    Resume,
    Statistics,
    Stored,
)
from proxy.pool.holds import Selection
from proxy.server.client import Client
from proxy.server.lifecycle import Lifecycle

LOOK = 0.01  # seconds between looks at what still runs: it ends in many places, and nobody pauses often
END = "terminating connection due to administrator command"


class Control:
    """Of one process. Every request is a coroutine; cancelled, it undoes what it began."""

    def __init__(self, app: App, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._registry: CollectorRegistry | None = None

    async def __call__(self, request: Request) -> Answer:
        """Does it."""
        app = self._app
        match request:
            case Statistics():
                return self._known(request.tenant) or Answer({"processes": [status(app, request.tenant)]})
            case Prepare() | PrepareRow():
                return Answer(None, tuple(await app.prepare(request)))
            case Reload():
                if request.draft is not None and await app.take(request.draft):
                    app.listener.forget_templates()
                    return Answer({"generation": app.book.generation})
                problems = await self._lifecycle.reloaded()
                return Answer({"generation": app.book.generation}, tuple(problems))
            case Pause():
                return self._known(request.tenant, request.database) or await self._pause(request)
            case Resume():
                return self._resume(request)
            case Kill():
                return self._kill(request)
            case Drain():
                return self._known(request.tenant) or await self._drain(request)
            case Cancel():
                if not await app.listener.keys.cancel(request.process_id, bytes.fromhex(request.key)):
                    app.listener.services.log.warning("wrong key in cancel request", process_id=request.process_id)
                return Answer()
            case Ping():
                state = "serving" if app.port else "starting"
                return Answer({"state": "draining" if app.listener.draining else state})
            case Metrics():
                self._registry = self._registry or registry(sources_of(app))
                return Answer(await families(self._registry))
            case Proofs():
                for login, address, right in request.weighed:
                    app.listener.proofs.heard(login, address, right)
                return Answer()
            case Stored():
                storages = app.storages
                return Answer({"used": dict(storages.statistics().used) if storages.counted else None})
            case _:
                assert_never(request)

    def _known(self, tenant: str | None, database: str | None = None) -> Answer | None:
        """The answer about what the rules do not know. A session may be left of a tenant that is gone from them."""
        book = self._app.book
        there = {*book.tenants, *(one.session.grant.tenant for one in self._app.listener.clients if one.session.grant)}
        if tenant is not None and tenant not in there:
            return Answer(None, (f"there is no tenant {tenant}",))
        if database is not None and database not in book.databases:
            return Answer(None, (f"there is no database {database}",))
        return None

    async def _pause(self, request: Pause) -> Answer:
        pools, selection = self._app.pools, Selection(request.tenant, request.database)
        if selection in pools.holds.held:
            return Answer(None, (f"{selection} is paused already",))
        pools.hold(selection)
        left: Collection[object] = ()
        try:
            left = await self._settled(lambda: holders(self._app, selection), request.timeout)
        except BaseException:
            pools.holds.lift(selection)
            raise
        if left:
            pools.holds.lift(selection)
            why = f"{selection} could not be paused in {request.timeout:g} seconds: {len(left)} connections are in use"
            return Answer({"holders": list(left)}, (why,))
        if selection not in pools.holds.held:
            return Answer(None, (f"{selection} was resumed before it was paused",))
        pools.holds.expire(selection, request.hold)
        return Answer({"paused": str(selection), "for": request.hold})

    async def _settled(self, left: Callable[[], Collection[object]], timeout: float) -> Collection[object]:
        """Waits until nothing is left; what is, when time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (found := left()) and loop.time() < deadline:  # noqa: ASYNC110 - see LOOK
            await asyncio.sleep(LOOK)
        return found

    def _resume(self, request: Resume) -> Answer:
        holds, closed = self._app.pools.holds, self._app.listener.closed
        if request.tenant is None and request.database is None:
            resumed = [str(one) for one in holds.held] + sorted(f"tenant {one}" for one in closed)
            closed.clear()
            for one in list(holds.held):
                holds.lift(one)
            return Answer({"resumed": resumed})
        selection = Selection(request.tenant, request.database)
        drained = request.database is None and request.tenant in closed
        closed.discard(request.tenant if drained and request.tenant is not None else "")
        if not holds.lift(selection) and not drained:
            return Answer({"resumed": []}, (f"{selection} is not paused",))
        return Answer({"resumed": [str(selection)]})

    def _kill(self, request: Kill) -> Answer:
        if request == Kill():
            return Answer(None, ("whose sessions? a tenant, a login or a process id is needed",))
        chosen = [
            one
            for one in self._app.listener.clients
            if request.tenant in {None, one.session.grant.tenant if one.session.grant else ""}
            and request.login in {None, one.session.user}
            and request.process_id in {None, one.process_id}
        ]
        killed = [described(one) for one in chosen]
        for one in chosen:
            one.terminate(AdminShutdown(END))
        return Answer({"killed": killed})

    async def _drain(self, request: Drain) -> Answer:
        listener, tenant = self._app.listener, request.tenant
        if tenant is None:
            self._lifecycle.stop()
            return Answer({"whole": await asyncio.shield(self._lifecycle.ended)})
        if tenant in listener.closed:
            return Answer(None, (f"tenant {tenant} is drained already",))
        listener.closed.add(tenant)
        left: Collection[object] = ()
        try:
            for one in self._sessions(tenant):
                one.drain()
            left = await self._settled(lambda: self._sessions(tenant), request.timeout)
        except BaseException:
            listener.closed.discard(tenant)
            raise
        if left:
            listener.closed.discard(tenant)
            why = f"tenant {tenant} could not be drained in {request.timeout:g} seconds: {len(left)} sessions are left"
            return Answer({"sessions": [described(one) for one in self._sessions(tenant)]}, (why,))
        return Answer({"drained": tenant})

    def _sessions(self, tenant: str) -> list[Client]:
        clients = self._app.listener.clients
        return [one for one in clients if one.session.grant is not None and one.session.grant.tenant == tenant]
