"""What a process tells of itself at the control door: plain data, the same for people and programs."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from proxy import __version__
from proxy.app.application import App
from proxy.pool.holds import Selection
from proxy.pool.statistics import ShareStatistics
from proxy.server.client import Client

LISTS = ("idle", "leased", "opening", "cleaning", "cancelling", "closing", "waiting")


def status(app: App, tenant: str | None) -> dict[str, Any]:
    """The process, and the tenants that use it, or one. Times in seconds."""
    pools = app.pools.statistics()
    shares: dict[str, list[ShareStatistics]] = {}
    for share in pools.shares:
        shares.setdefault(share.tenant, []).append(share)
    traffic = app.counters.statistics()
    names = sorted({*traffic, *shares}) if tenant is None else [tenant]
    return {
        "worker": app.listener.services.options.worker,
        "pid": os.getpid(),
        "version": __version__,
        "state": "draining" if app.listener.draining else "serving",
        "generation": app.book.generation,
        "reload_failed": app.reload_failed,
        "clients": len(app.listener.clients),
        "server_connections": pools.connections,
        "server_connections_limit": pools.ceiling,
        "servers": [asdict(one) for one in pools.sites],
        "paused": [
            {"tenant": one.tenant, "database": one.database, "for": left}
            for one, left in app.pools.holds.left().items()
        ],
        "drained": sorted(app.listener.closed),
        "tenants": [_tenant(app, name, traffic, shares.get(name, [])) for name in names],
        **({} if tenant is None else {"homes": _homes(app, tenant)}),
    }


def _homes(app: App, tenant: str) -> dict[str, dict[str, Any]]:
    """Where the rules in force serve a tenant, by database, and whether that is open here."""
    found = {}
    for (name, database, _), grant in app.book.grants.items():
        if name == tenant:
            found[database] = {"at": grant.home, "open": app.databases.is_open(grant)}
    return found


def _tenant(app: App, name: str, traffic: Any, shares: list[ShareStatistics]) -> dict[str, Any]:
    counted = traffic.get(name)
    return {
        "tenant": name,
        "clients": 0 if counted is None else counted.connections,
        "sessions": 0 if counted is None else counted.sessions,
        "statements": 0 if counted is None else sum(counted.statements.values()),
        "held": app.pools.holds.waiting(name),
        "server_connections": {one: sum(getattr(share, one) for share in shares) for one in LISTS},
    }


def holders(app: App, selection: Selection) -> list[dict[str, Any]]:
    """Who keeps a pause from being whole: each server connection of these that is in use. Those that listen for a
    tenant run nothing of its, and are not meant.
    """
    busy = {id(one) for one in app.pools.busy(selection) if not app.listening.owns(one)}
    if not busy:
        return []
    found = []
    for client in app.listener.clients:
        lease = client.session.lease
        if lease is not None and id(lease.connection) in busy:
            busy.discard(id(lease.connection))
            found.append(described(client))
    return found + [{"state": "ending"}] * len(busy)


def described(client: Client) -> dict[str, Any]:
    """A session, as an operator knows it."""
    session = client.session
    if session.due:
        state = "active"
    elif session.in_transaction:
        state = "idle in transaction"
    else:
        state = "idle" if session.lease is None else "pinned"
    return {
        "process_id": client.process_id,
        "tenant": "" if session.grant is None else session.grant.tenant,
        "login": session.user,
        "database": session.database,
        "peer": client.peer,
        "state": state,
        "pins": sorted(session.pins),
    }
