"""The composition root: the only file that builds services and hands them to each other.

`serve` is the life of one proxy process: rules, catalogs, pools, listener, the operator's HTTP door, then signals
until the end.
Nothing listens before the rules are whole and every database's role and catalog were checked.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import secrets
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from proxy.admin.http import AdminServer
from proxy.admin.metrics import Sources
from proxy.auth.addresses import parse_networks
from proxy.auth.scram import mock_verifier
from proxy.doctor.canaries import Canaries
from proxy.errors import CannotConnectNow, ConfigurationError
from proxy.fleet.databases import Databases
from proxy.fleet.planning import PlannerProcesses
from proxy.fleet.verifiers import Verifiers
from proxy.observe.audit import AuditLog
from proxy.observe.log import configure, get_logger
from proxy.pool.hosts import Hosts
from proxy.pool.listening import Listening
from proxy.pool.pools import Pools
from proxy.server import memory
from proxy.server.lifecycle import Lifecycle
from proxy.server.listener import Listener
from proxy.server.services import AuditContext, Options, Services
from proxy.server.tls import ServerTls, server_tls
from proxy.session.actions import Audit
from proxy.session.counters import Counters
from proxy.settings import Settings
from proxy.sql.answers import answer
from proxy.sql.parse import RECURSION_LIMIT
from proxy.sql.plan import Forward
from proxy.sql.render import fill
from proxy.sql.whole.settings import allowed_setting
from proxy.sql.world import World
from proxy.tenancy.load import load
from proxy.tenancy.policy import Grant
from proxy.tenancy.rulebook import RuleBook
from proxy.wire.startup import LONG_KEY

SECRET_BYTES = 32
NONCE_BYTES = 18  # of SCRAM; RFC 5802 asks for printable ones


@dataclass(slots=True)
class App:
    """One proxy process, and what its parts share."""

    settings: Settings
    environ: Mapping[str, str]
    book: RuleBook
    databases: Databases
    pools: Pools
    canaries: Canaries
    port: int = 0  # that clients connect to, once it is listening
    listener: Listener = field(init=False)
    listening: Listening = field(init=False)
    counters: dict[str, Counters] = field(default_factory=dict)
    reload_failed: bool = False
    tls: ServerTls | None = None
    verifiers: Verifiers = field(default_factory=Verifiers)

    def counters_of(self, tenant: str) -> Counters:
        """The counters of a tenant; they outlive reloads."""
        found = self.counters.get(tenant)
        if found is None:
            found = self.counters[tenant] = Counters()
        return found

    async def reload(self) -> None:
        """Takes the rules and the certificate for clients anew, whole or not at all."""
        log = get_logger("rules")
        try:
            tls = _tls(self.settings)
            book = self.canaries.admitted(
                await asyncio.to_thread(_rules, self.settings, self.environ, self.book.generation + 1)
            )
            await self.verifiers.reconcile(book.logins.values())
            try:
                await self.databases.reconcile(book.grants.values())
            except ConfigurationError:
                await self.verifiers.reconcile(self.book.logins.values())  # the old ones stay
                raise
        except ConfigurationError as error:
            self.reload_failed = True
            log.error("rules refused, the old ones stay", generation=self.book.generation, problems=error.problems)
            return
        self.reload_failed = False
        self.book = book
        self.tls = tls
        await self.canaries.start(book, self.settings.listen.host, self.port)
        log.info("rules loaded", generation=book.generation, tenants=len(book.tenants), logins=len(book.logins))


async def serve(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Serves until a signal ends it. True when every session ended by itself. ConfigurationError, OSError before it
    listens.
    """
    configure(settings.log.format, settings.log.level)
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
    log = get_logger("proxy")
    processes = PlannerProcesses(settings.planner_processes, settings.plan_timeout)
    databases = Databases(
        settings.plan_cache_bytes,
        settings.catalog_refresh_interval,
        processes,
        lambda problems: get_logger("databases").error("a tenant's database stays closed", problems=problems),
    )
    pools = Pools(settings.max_server_connections, connector=Hosts(settings.peer_timeout).connect)
    canaries = Canaries(settings.canary_interval, lambda grant: _world(databases, grant), get_logger("canary"))
    book = canaries.admitted(_rules(settings, environ, 1))
    app = App(settings, environ, book, databases, pools, canaries, tls=_tls(settings))
    admin: AdminServer | None = None
    try:
        await databases.reconcile(book.grants.values())
        await app.verifiers.reconcile(book.logins.values())
        app.listening = Listening(pools)
        app.listener = Listener(_services(app))
        lifecycle = Lifecycle(app.listener, app.reload, log)
        admin = AdminServer(_sources(app))
        admin_port = await admin.start(settings.admin_listen.host, settings.admin_listen.port)
        app.port = await app.listener.start(settings.listen.host, settings.listen.port, settings.unix_socket_directory)
        await canaries.start(book, settings.listen.host, app.port)
        lifecycle.install()
        gc.collect()
        gc.freeze()  # rules and catalogs stay: no collection of garbage need look through them
        log.info(
            "serving",
            listen=f"{settings.listen.host}:{app.port}",
            admin=f"{settings.admin_listen.host}:{admin_port}",
            unix_socket=str(app.listener.unix_path or ""),
            databases=sorted(book.databases),
            tenants=len(book.tenants),
        )
        try:
            return await lifecycle.run()
        finally:
            lifecycle.uninstall()
    finally:
        await canaries.close()
        await app.verifiers.close()
        await pools.close(1.0)
        await databases.close()
        if admin is not None:
            await admin.close()


def _services(app: App) -> Services:
    settings = app.settings
    audit_log = AuditLog(get_logger("audit"))
    secret = _secret(settings)

    def audit(refusal: Audit, context: AuditContext) -> None:
        audit_log.write(
            refusal.decision,
            refusal.text,
            tenant=context.tenant,
            login=context.login,
            database=context.database,
            peer=context.peer,
            application_name=context.application_name,
        )

    def filled(plan: Forward, keys: Mapping[str, str], literals: tuple[bytes, ...]) -> bytes:
        return fill(plan.template, keys, literals)

    return Services(
        rules=lambda: app.book,
        planning=app.databases.of,
        pools=app.pools,
        listening=app.listening,
        counters=app.counters_of,
        audit=audit,
        audit_login=audit_log.write_login,
        log=get_logger("server"),
        fill=filled,
        answer=answer,
        allowed_setting=allowed_setting,
        asked_verifier=app.verifiers.of,
        proof_failed=lambda name: app.verifiers.hurry(app.book.login(name)),
        mock_verifier=lambda name: mock_verifier(secret, name, app.book.iterations),
        nonce=lambda: base64.b64encode(secrets.token_bytes(NONCE_BYTES)),
        secret_key=lambda: secrets.token_bytes(LONG_KEY),
        clock=time.monotonic,
        now=time.time,
        tls=lambda: app.tls,
        options=Options(
            max_client_connections=settings.max_client_connections,
            login_timeout=settings.login_timeout,
            drain_timeout=settings.drain_timeout,
            plan_inline_bytes=settings.plan_inline_bytes,
            proxy_protocol_from=parse_networks(settings.proxy_protocol_from),
            write_timeout=settings.write_timeout,
            peer_timeout=settings.peer_timeout,
            connection_rate=settings.connection_rate,
            address_connection_rate=settings.address_connection_rate,
            memory_limit=settings.memory_limit or memory.ceiling(),
        ),
    )


def _tls(settings: Settings) -> ServerTls | None:
    """What clients are shown. ConfigurationError when it cannot be used."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return None
    try:
        return server_tls(certificate, key, settings.tls_client_ca, settings.tls_client_crl)
    except (OSError, ValueError) as error:
        files = f"tls_certificate {certificate}, tls_key {key}, tls_client_ca {settings.tls_client_ca}"
        raise ConfigurationError([f"{files}: {error}"]) from error


def _rules(settings: Settings, environ: Mapping[str, str], generation: int) -> RuleBook:
    """The rules, if this process can serve them. ConfigurationError when not."""
    book = load(settings.rules, environ, generation)
    if settings.tls_client_ca is None:
        needy = [one.name for one in book.logins.values() if one.certificate is not None]
        if needy:
            raise ConfigurationError([f"tls_client_ca is not set, and the login {min(needy)} has a certificate"])
    return book


def _sources(app: App) -> Sources:
    return Sources(
        traffic=lambda: {tenant: one.statistics() for tenant, one in app.counters.items()},
        pools=app.pools.statistics,
        databases=app.databases.statistics,
        canaries=app.canaries.statistics,
        refused=lambda: app.listener.gate.refused,
        logins=app.listener.proofs.statistics,
        verifiers=app.verifiers.statistics,
        generation=lambda: app.book.generation,
        reload_failed=lambda: app.reload_failed,
        unready=lambda: "draining" if app.listener.draining else None,
    )


def _world(databases: Databases, grant: Grant) -> World | None:
    """What a grant shows of its database now; None while the database is not open."""
    try:
        return World(grant.policy, databases.of(grant).catalog)
    except CannotConnectNow:
        return None


def _secret(settings: Settings) -> bytes:
    """What unknown logins' salts are made of: stable over restarts, so that asking twice tells nothing."""
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    path: Path = settings.state_directory / "secret"
    if not path.exists():
        settings.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"secret.{os.getpid()}")
        fresh.touch(mode=0o600, exist_ok=True)
        fresh.write_bytes(secrets.token_bytes(SECRET_BYTES))
        with suppress(FileExistsError):  # another process of this service was first
            path.hardlink_to(fresh)  # whole or not at all
        fresh.unlink()
    return path.read_bytes()
