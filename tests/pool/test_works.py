"""What the ledger decided is done, and whatever becomes of it the ledger hears; failures hit whom they concern."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from proxy.auth.scram import SaltedPasswords
from proxy.errors import ConnectionFailure
from proxy.pool.connection import ServerConnection
from proxy.pool.pools import Pools
from proxy.tenancy.policy import Grant, Server
from proxy.wire.handshake import HandshakeRefused
from proxy.wire.report import ErrorResponse
from tests.pool.scripted import grant_at, wired

HERE, THERE = Server("127.0.0.1", 1, "shared", "app"), Server("127.0.0.2", 1, "shared", "app")


def of(tenant: str, server: Server = HERE, **settings: str) -> Grant:
    return replace(grant_at(1, settings), tenant=tenant, server=server)


class Servers:
    """A connector: what it refuses, by tenant or for all."""

    def __init__(self) -> None:
        self.wrong: dict[str, BaseException] = {}
        self.away: set[str] = set()
        self.tried = 0
        self.open = asyncio.Event()
        self.open.set()

    async def connect(self, grant: Grant, passwords: SaltedPasswords) -> ServerConnection:
        self.tried += 1
        await asyncio.sleep(0)
        await self.open.wait()
        if grant.server.host in self.away:
            raise ConnectionFailure("could not connect to the server") from ConnectionRefusedError()
        if grant.tenant in self.wrong:
            raise ConnectionFailure("the server refused the connection") from self.wrong[grant.tenant]
        connection, wire = wired()
        connection.server = grant.server
        wire.on_close = connection.connection_lost
        return connection


def refused(sqlstate: str) -> HandshakeRefused:
    return HandshakeRefused(ErrorResponse({"S": "FATAL", "C": sqlstate, "M": "no"}))


@pytest.mark.parametrize("sqlstate", ["28P01", "28000", "3D000", "42704", "22023", "53300"])
async def test_what_the_server_has_against_one_tenant_stops_no_other_there(sqlstate: str) -> None:
    servers = Servers()
    pools = Pools(9, connector=servers.connect)
    servers.wrong["acme"] = refused(sqlstate)
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(of("acme"))
    tried = servers.tried
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(of("acme"))
    assert servers.tried == tried  # it is left alone for a while
    lease = await pools.wait_lease(of("globex"))
    pools.release(lease)
    await pools.close(0.0)


async def test_settings_that_the_server_refuses_stop_the_tenant_with_them_alone() -> None:
    servers = Servers()
    pools = Pools(9, connector=servers.connect)
    servers.wrong["acme"] = refused("22023")
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(of("acme", work_mem="much"))
    del servers.wrong["acme"]
    pools.release(await pools.wait_lease(of("acme", work_mem="32MB")))
    await pools.close(0.0)


@pytest.mark.parametrize("why", ["away", "57P03"])
async def test_a_server_that_is_away_or_not_open_is_left_alone_by_everybody_and_others_are_not(why: str) -> None:
    servers = Servers()
    pools = Pools(9, connector=servers.connect)
    if why == "away":
        servers.away.add(HERE.host)
    else:
        servers.wrong = {"acme": refused(why), "globex": refused(why)}
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(of("acme"))
    tried = servers.tried
    for grant in (of("globex"), of("globex", replace(HERE, database="other", role="another"))):
        with pytest.raises(ConnectionFailure):
            await pools.wait_lease(grant)
    assert servers.tried == tried
    servers.wrong.clear()
    pools.release(await pools.wait_lease(of("globex", THERE)))
    await pools.close(0.0)


async def test_who_waits_when_the_server_goes_away_is_told_and_who_comes_when_it_is_back_is_served() -> None:
    servers = Servers()
    servers.away.add(HERE.host)
    pools = Pools(9, connector=servers.connect)
    waiting = [asyncio.ensure_future(pools.wait_lease(of(f"t{number}"))) for number in range(5)]
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, ConnectionFailure) for one in told)
    servers.away.clear()
    async with asyncio.timeout(20):
        lease = None
        while lease is None:
            with suppress(ConnectionFailure):
                lease = await pools.wait_lease(of("t1"))
            await asyncio.sleep(0.01)
    pools.release(lease)
    pools.release(await pools.wait_lease(of("t2")))
    assert not pools._ledger.barriers
    await pools.close(0.0)


async def test_after_the_wait_one_connection_is_tried_and_who_else_asks_is_refused_until_that_came_to_something() -> (
    None
):
    servers = Servers()
    servers.away.add(HERE.host)
    pools = Pools(9, connector=servers.connect)
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(of("acme"))
    pools._works._try_again(HERE.addresses)  # the wait is over
    servers.away.clear()
    servers.open.clear()
    trial = asyncio.ensure_future(pools.wait_lease(of("acme")))
    for _ in range(5):
        await asyncio.sleep(0)
    for tenant in ("acme", "globex"):
        with pytest.raises(ConnectionFailure):
            await pools.wait_lease(of(tenant))
    assert servers.tried == 2
    servers.open.set()
    pools.release(await trial)
    pools.release(await pools.wait_lease(of("globex")))
    assert not pools._ledger.barriers
    await pools.close(0.0)


async def test_a_server_that_refuses_the_one_that_tries_is_there_for_the_others() -> None:
    servers = Servers()
    servers.away.add(HERE.host)
    pools = Pools(9, connector=servers.connect)
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(of("acme"))
    pools._works._try_again(HERE.addresses)
    servers.away.clear()
    servers.wrong["acme"] = refused("28P01")
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(of("acme"))
    pools.release(await pools.wait_lease(of("globex")))
    with pytest.raises(ConnectionFailure):
        await pools.wait_lease(of("acme"))
    assert servers.tried == 3  # it was not asked again for acme
    await pools.close(0.0)


async def test_a_tenant_with_a_connection_goes_on_while_no_other_can_be_made() -> None:
    servers = Servers()
    pools = Pools(9, connector=servers.connect)
    lease = await pools.wait_lease(of("acme"))
    servers.away.add(HERE.host)
    waiting = asyncio.ensure_future(pools.wait_lease(of("acme")))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    pools.release(lease)
    pools.release(await waiting)
    await pools.close(0.0)


async def test_nothing_is_left_of_a_tenant_that_could_not_be_served() -> None:
    servers = Servers()
    servers.away.add(HERE.host)
    pools = Pools(9, connector=servers.connect)
    for number in range(50):
        with pytest.raises(ConnectionFailure):
            await pools.wait_lease(of(f"t{number}"))
    pools.reap()
    assert pools.statistics().shares == ()
    assert len(pools._works.circuits) == 1
    await pools.close(0.0)
