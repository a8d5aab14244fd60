"""What a client connection and the metrics are given, made of an App."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping

from proxy.accounting.bookkeeper import Bookkeeper, Keeping
from proxy.accounting.journal import NAME, Journal
from proxy.admin.metrics import Sources
from proxy.app.application import App
from proxy.app.inputs import secret_of
from proxy.auth.addresses import parse_networks
from proxy.auth.scram import mock_verifier
from proxy.observe.audit import AuditLog
from proxy.observe.log import get_logger
from proxy.quota.budgets import QuotaStatistics
from proxy.server import memory
from proxy.server.services import AuditContext, Options, Services
from proxy.session.actions import Audit
from proxy.sql.answers import answer
from proxy.sql.plan import Forward
from proxy.sql.render import fill
from proxy.sql.whole.settings import allowed_setting
from proxy.wire.startup import LONG_KEY

NONCE_BYTES = 18  # of SCRAM; RFC 5802 asks for printable ones


def services_of(app: App) -> Services:
    """What clients are given."""
    settings = app.settings
    audit_log = AuditLog(get_logger("audit"))
    secret = secret_of(settings)

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
        wait_planning=app.databases.wait_open,
        pools=app.pools,
        listening=app.listening,
        counters=app.counters,
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
        proof_weighed=app.elsewhere.weighed,
        cancel_elsewhere=app.elsewhere.cancel,
        storage=app.storages.of,
        tls=lambda: app.tls,
        permits=app.sharing,
        budgets=app.budgets,
        options=Options(
            max_client_connections=settings.max_client_connections,
            login_timeout=settings.login_timeout,
            drain_timeout=settings.drain_timeout,
            plan_inline_bytes=settings.plan_inline_bytes,
            planner_processes=settings.planner_processes,
            proxy_protocol_from=parse_networks(settings.proxy_protocol_from),
            write_timeout=settings.write_timeout,
            peer_timeout=settings.peer_timeout,
            connection_rate=settings.connection_rate,
            address_connection_rate=settings.address_connection_rate,
            memory_limit=settings.memory_limit or memory.ceiling(),
            host=settings.host_id,
            worker=app.number,
            workers=app.workers,
        ),
    )


def bookkeeper_of(app: App) -> Bookkeeper:
    """Who keeps what sessions count."""
    settings = app.settings
    return Bookkeeper(
        Journal(settings.state_directory / NAME, secrets.randbits(63)),
        app.counters.every,
        Keeping(
            interval=settings.flush_interval,
            retention=settings.usage_retention,
            folder=settings.usage_export,
            form=settings.usage_export_format,
        ),
        get_logger("usage"),
        time.time,
        time.monotonic,
    )


def sources_of(app: App) -> Sources:
    """Where the figures of /metrics come from."""
    return Sources(
        traffic=app.counters.each,
        pools=app.pools.statistics,
        databases=app.databases.statistics,
        canaries=app.canaries.statistics,
        refused=lambda: app.listener.gate.refused,
        logins=app.listener.proofs.statistics,
        verifiers=app.verifiers.statistics,
        usage=app.bookkeeper.statistics,
        tables=app.tables.statistics,
        storages=app.storages.statistics,
        backups=app.backups.schedules.each,
        backups_running=lambda: app.backups.schedules.running,
        generation=lambda: app.book.generation,
        reload_failed=lambda: app.reload_failed,
        store=lambda: None if app.sharing is None else app.sharing.statistics(),
        quotas=lambda: quotas_of(app),
    )


def quotas_of(app: App) -> tuple[QuotaStatistics, ...]:
    """Every limit that holds or was hit, also those that no meter counts."""
    others = [
        QuotaStatistics(tenant, name, None, refusals, warnings)
        for tenant, name, refusals, warnings in app.counters.unmetered()
    ]
    return (*app.budgets.statistics(time.monotonic()), *others)


def unready(app: App) -> str | None:
    """Why a balancer should send clients elsewhere."""
    if app.listener.draining:
        return "draining"
    if app.sharing is not None and app.sharing.statistics().fenced:
        return "the counter store is away for too long, or was never there"
    if app.sharing is not None and not app.sharing.statistics().share:
        return "the counter store gives nothing yet"
    return None
