"""The life of one proxy process: rules, catalogs, pools, listener, the HTTP door, then signals until the end.

Nothing listens before the rules are whole and every database's role and catalog were checked.
"""

from __future__ import annotations

import gc
import hmac
import sys
from collections.abc import Mapping

from proxy.admin.exposition import exposition
from proxy.admin.metrics import registry
from proxy.app.application import App
from proxy.app.backups import Backups
from proxy.app.control import Control
from proxy.app.counters import READY, SOCKET, rationing_of
from proxy.app.door import Doors
from proxy.app.elsewhere import Elsewhere
from proxy.app.inputs import certificate_of, rules_of
from proxy.app.services import bookkeeper_of, services_of, sources_of, unready
from proxy.doctor.canaries import Canaries
from proxy.doctor.report import refusing
from proxy.errors import CannotConnectNow
from proxy.fleet.ceilings import Ceilings
from proxy.fleet.databases import Databases
from proxy.fleet.leash import Post
from proxy.fleet.planning import PlannerProcesses
from proxy.fleet.storage import Storages
from proxy.fleet.tables import Tables
from proxy.observe.log import configure, get_logger
from proxy.pool.holds import Selection
from proxy.pool.hosts import Hosts
from proxy.pool.listening import Listening
from proxy.pool.pools import Pools
from proxy.pool.upkeep import Lifetimes
from proxy.quota.budgets import Budgets
from proxy.server.lifecycle import Lifecycle
from proxy.server.listener import Listener
from proxy.server.sockets import adopted
from proxy.settings import Settings
from proxy.sql.parse import RECURSION_LIMIT
from proxy.sql.world import World
from proxy.tenancy.policy import Grant


async def serve(settings: Settings, environ: Mapping[str, str], post: Post | None = None) -> bool:
    """Serves until a signal ends it. True when every session ended by itself. ConfigurationError, OSError before it
    listens.
    """
    if post is None:
        configure(settings.log.format, settings.log.level)
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
    log = get_logger("proxy")
    processes = PlannerProcesses(settings.planner_processes, settings.plan_timeout)
    databases = Databases(
        settings.plan_cache_bytes,
        settings.catalog_refresh_interval,
        processes,
        lambda problems: get_logger("databases").error("a tenant's database stays closed", problems=problems),
        refusing,
    )
    pools = Pools(
        settings.max_server_connections,
        lifetimes=lifetimes_of(settings),
        connector=Hosts(settings.peer_timeout).connect,
    )
    canaries = _canaries(settings, databases, post)
    book = canaries.admitted(await rules_of(settings, environ, 1))
    app = App(settings, environ, book, databases, pools, canaries, tls=certificate_of(settings), post=post)
    app.elsewhere = _elsewhere(app)
    app.bookkeeper = bookkeeper_of(app)
    storage_log = get_logger("storage")
    app.storages = Storages(
        settings.storage_interval,
        lambda grant: databases.of(grant).catalog,
        lambda database, why: storage_log.warning("count failed", database=database, problem=why),
        None if app.number == 0 else app.elsewhere.stored,
    )
    app.backups = Backups(settings, app.number)
    app.sharing = sharing = rationing_of(settings, None if post is None else settings.state_directory / SOCKET)
    if sharing is not None:
        app.budgets = Budgets(sharing.rationing)
        ceilings = Ceilings(pools, sharing.rationing, settings.max_server_connections)
        pools.limit_of = ceilings.limit_of
        sharing.on_answer = ceilings.follow
    doors: Doors | None = None
    try:
        await databases.reconcile(book.grants.values())
        await app.verifiers.reconcile(book.logins.values())
        app.listening = Listening(pools)
        app.listener = Listener(services_of(app))
        if sharing is not None:
            sharing.on_fence = app.listener.expel
            sharing.start()
            if not await sharing.wait_ready(READY):
                log.error("counter store gives nothing yet")
        lifecycle = Lifecycle(app.listener, app.reload, log)
        rules_log = get_logger("rules")

        def noticed() -> None:
            app.listener.tasks.start(_noticed(app, lifecycle), "rows")

        app.tables = Tables(noticed, lambda why: rules_log.warning("no answer", table=why))
        doors = _doors(app, lifecycle)
        await doors.start()
        lifecycle.on_drain = doors.cede
        try:
            lifecycle.install(interrupt=post is None)  # who finds the port open may send a signal
            app.port = await _listen(app)
            await canaries.start(app.book, settings.listen.host, app.port)
            app.bookkeeper.on_even = app.forget
            app.bookkeeper.start()
            await app.tables.follow(app.book.tables)
            app.storages.follow(app.book.grants.values())
            app.backups.follow(app.book)
            gc.collect()
            gc.freeze()  # rules and catalogs stay: no collection of garbage need look through them
            log.info(
                "serving",
                listen=f"{settings.listen.host}:{app.port}",
                admin=f"{settings.admin_listen.host}:{doors.admin_port}" if post is None else "",
                unix_socket=str(app.listener.unix_path or ""),
                databases=sorted(book.databases),
                tenants=len(book.tenants),
            )
            return await lifecycle.run()
        finally:
            lifecycle.uninstall()
    finally:
        await app.backups.close()
        await canaries.close()
        await app.elsewhere.close()
        await app.verifiers.close()
        await app.tables.close()
        await app.storages.close()
        await pools.close(1.0)
        await databases.close()
        if sharing is not None:
            await sharing.close()
        await app.bookkeeper.close()
        if doors is not None:
            await doors.close()


async def _noticed(app: App, lifecycle: Lifecycle) -> None:
    """A table has other rows."""
    if await app.notice():
        app.listener.forget_templates()
    else:
        await lifecycle.reloaded()


def _doors(app: App, lifecycle: Lifecycle) -> Doors:
    figures = registry(sources_of(app))

    async def metrics() -> bytes:
        return await exposition(figures)

    return Doors(
        app.settings,
        Control(app, lifecycle),
        metrics,
        lambda: unready(app),
        lambda: app.tls,
        None if app.post is None else adopted(app.post.door),
    )


def lifetimes_of(settings: Settings) -> Lifetimes:
    """How long server connections may be."""
    return Lifetimes(
        settings.server_idle_timeout,
        settings.server_lifetime,
        settings.server_check_delay,
        settings.pool_idle_timeout,
    )


async def _listen(app: App) -> int:
    """Binds, or takes over what a supervisor bound, with what is paused; the port."""
    settings, post = app.settings, app.post
    if post is None:
        return await app.listener.start(settings.listen.host, settings.listen.port, settings.unix_socket_directory)
    for tenant, database, seconds in post.paused:
        app.pools.hold(Selection(tenant, database), seconds)
    app.listener.closed.update(post.drained)
    sockets = [adopted(one) for one in post.listening]
    await app.listener.accept(sockets, shared=not settings.reuse_port)
    port: int = sockets[0].getsockname()[1]
    return port


def _canaries(settings: Settings, databases: Databases, post: Post | None) -> Canaries:
    def world(grant: Grant) -> World | None:
        return world_of(databases, grant)

    log = get_logger("canary")
    if post is None:
        return Canaries(settings.canary_interval, world, log)
    key = post.canary
    return Canaries(
        settings.canary_interval,
        world,
        log,
        lambda tenant: hmac.new(key, tenant.encode(), "sha256").hexdigest(),
        watches=post.number == 0,
    )


def _elsewhere(app: App) -> Elsewhere:
    settings, token = app.settings, app.settings.admin_token
    return Elsewhere(
        settings.host_id,
        app.number,
        () if app.post is None else app.post.doors,
        settings.peers,
        None if token is None else token.get_secret_value(),
    )


def world_of(databases: Databases, grant: Grant) -> World | None:
    """What a grant shows of its database now; None while the database is not open."""
    try:
        return World(grant.policy, databases.of(grant).catalog)
    except CannotConnectNow:
        return None
