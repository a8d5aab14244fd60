"""One connection listens for all sessions of a tenant: nothing is missed, nobody else is told, and its loss is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from proxy.errors import ConnectionFailure, Refusal, TooManyConnections
from proxy.pool.connection import ServerConnection
from proxy.pool.listening import Listening
from proxy.pool.pools import Pools
from proxy.wire.backend import NotificationResponse
from tests.kit.postgres import Cluster
from tests.pool.conftest import Talk, grant_of
from tests.server.conftest import until


@dataclass(eq=False)
class Session:
    """A session that listens."""

    heard: list[tuple[str, str]] = field(default_factory=list)
    deaf: int = 0

    def notified(self, notification: NotificationResponse) -> None:
        self.heard.append((notification.channel, notification.payload))

    def deafened(self) -> None:
        self.deaf += 1


@pytest.fixture
async def pools() -> AsyncIterator[Pools]:
    found = Pools(10)
    yield found
    await found.close(0.0)


@pytest.fixture
def listening(pools: Pools) -> Listening:
    return Listening(pools)


async def said(pools: Pools, cluster: Cluster, text: str) -> None:
    """A statement on another connection of the tenant's."""
    lease = await pools.wait_lease(grant_of(cluster))
    talk = Talk(lease)
    await talk(text)
    assert talk.errors == []
    pools.release(lease)


def connections(pools: Pools) -> int:
    return sum(one.leased + one.cleaning for one in pools.statistics().shares)


async def test_sessions_share_a_connection_and_hear_their_own_channels_in_order(
    server15: Cluster, pools: Pools, listening: Listening
) -> None:
    grant, one, two = grant_of(server15), Session(), Session()
    await asyncio.gather(
        listening.wait_subscribed(grant, one, "a"),
        listening.wait_subscribed(grant, one, "b"),
        listening.wait_subscribed(grant, two, "b"),
    )
    await said(pools, server15, "NOTIFY a, '1'; NOTIFY b, '2'; NOTIFY c, '3'; NOTIFY b, '4'")
    await listening.wait_heard(grant)
    assert one.heard == [("a", "1"), ("b", "2"), ("b", "4")]
    assert two.heard == [("b", "2"), ("b", "4")]
    assert (len(listening), connections(pools)) == (1, 1)
    assert (listening.listens(grant), listening.listens(grant_of(server15, "globex"))) == (True, False)


async def test_whoever_asks_has_been_told_everything_that_was_committed(
    server15: Cluster, pools: Pools, listening: Listening
) -> None:
    grant, one = grant_of(server15), Session()
    await listening.wait_subscribed(grant, one, "a")
    for number in range(20):
        await said(pools, server15, f"NOTIFY a, '{number}'")
        await asyncio.gather(*(listening.wait_heard(grant) for _ in range(5)))
        assert one.heard[-1] == ("a", str(number))


async def test_what_nobody_hears_is_given_up_and_the_connection_with_the_last(
    server15: Cluster, pools: Pools, listening: Listening
) -> None:
    grant, one, two = grant_of(server15), Session(), Session()
    await listening.wait_subscribed(grant, one, "a")
    await listening.wait_subscribed(grant, two, "b")
    listening.unsubscribe(grant, one, ("a", "nothing"))
    await said(pools, server15, "NOTIFY a; NOTIFY b")
    await listening.wait_heard(grant)
    assert (one.heard, two.heard) == ([], [("b", "")])
    listening.unsubscribe(grant, two, ("b",))
    assert len(listening) == 0
    await until(lambda: not connections(pools))
    lease = await pools.wait_lease(grant)
    assert await Talk(lease)("SELECT pg_listening_channels()") == []
    pools.release(lease)
    await listening.wait_subscribed(grant, one, "a")
    assert len(listening) == 1


async def test_tenants_have_connections_of_their_own(server15: Cluster, pools: Pools, listening: Listening) -> None:
    one, other = Session(), Session()
    await listening.wait_subscribed(grant_of(server15), one, "a")
    await listening.wait_subscribed(grant_of(server15, "globex"), other, "b")
    assert len(listening) == 2


async def test_who_is_cut_off_is_told_once_and_can_begin_anew(
    server15: Cluster, pools: Pools, listening: Listening
) -> None:
    grant, one, two = grant_of(server15), Session(), Session()
    for each, channel in ((one, "a"), (one, "b"), (two, "b")):
        await listening.wait_subscribed(grant, each, channel)
    server15.psql(
        "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'pools' AND usename = 'app'"
    )
    await until(lambda: bool(one.deaf and two.deaf))
    assert (one.deaf, two.deaf, len(listening)) == (1, 1, 0)
    await listening.wait_heard(grant)  # nobody listens: nothing is missed
    await listening.wait_subscribed(grant, one, "a")
    assert connections(pools) == 1


async def test_a_refusal_of_the_server_is_told_and_leaves_nothing(
    server15: Cluster, pools: Pools, listening: Listening
) -> None:
    grant = grant_of(server15)
    with pytest.raises(Refusal) as refused:
        await listening.wait_subscribed(grant, Session(), 'a" nonsense "')
    assert refused.value.sqlstate == "42601"
    assert len(listening) == 0


async def test_who_gives_up_waiting_leaves_nothing(server15: Cluster, pools: Pools, listening: Listening) -> None:
    grant = grant_of(server15)
    waiting = asyncio.ensure_future(listening.wait_subscribed(grant, Session(), "a"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(listening) == 0


async def test_a_server_that_is_not_there_is_a_refusal(server15: Cluster, pools: Pools, listening: Listening) -> None:
    grant = grant_of(server15)
    listening_elsewhere = Listening(Pools(1, connector=_fails))
    with pytest.raises(ConnectionFailure):
        await listening_elsewhere.wait_subscribed(grant, Session(), "a")
    assert len(listening_elsewhere) == 0


async def _fails(*_: object) -> ServerConnection:
    raise ConnectionFailure("could not connect to the server")


async def test_listening_never_takes_a_tenants_only_connection(
    server15: Cluster, pools: Pools, listening: Listening
) -> None:
    with pytest.raises(TooManyConnections) as refused:
        await listening.wait_subscribed(grant_of(server15, server_connections=1), Session(), "a")
    assert refused.value.hint is not None
    assert "server_connections" in refused.value.hint
