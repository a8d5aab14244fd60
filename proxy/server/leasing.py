"""Leasing: a session's wait for a server connection, and the word to the client when that takes long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.errors import InvalidAuthorization, Refusal
from proxy.pool.holds import Moved
from proxy.server.following import GONE
from proxy.session.events import BackendLeased, LeaseDelayed, LeaseMoved, LeaseRefused

if TYPE_CHECKING:
    from proxy.server.client import Client


async def wait_lease(client: Client, ticket: int) -> None:
    """Tells the session what became of it; cancelled, nothing."""
    grant = client.grant if client.grant is not None else client.session.grant
    notify = client.session.limits.query_wait_notify
    alarm = None
    if notify is not None:
        alarm = asyncio.get_running_loop().call_later(notify, client.handle, LeaseDelayed(ticket))
    try:
        if grant is None:
            raise InvalidAuthorization("not logged in")
        lease = await client.services.pools.wait_lease(grant, client.moved)
    except Moved:
        there = await client.arrive()
        client.waiting.pop(ticket, None)
        if there:
            client.handle(LeaseMoved(ticket))
        else:
            client.leave()
            client.handle(LeaseRefused(ticket, GONE))
        return
    except Refusal as refusal:
        client.waiting.pop(ticket, None)
        client.handle(LeaseRefused(ticket, refusal))
        return
    finally:
        client.waiting.pop(ticket, None)
        if alarm is not None:
            alarm.cancel()
    client.handle(BackendLeased(ticket, client.take(lease)))
