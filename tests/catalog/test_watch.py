"""The watch notices what changed, tells it once, and cannot be used to keep a server busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.catalog.model import Catalog
from proxy.catalog.watch import CatalogWatch
from proxy.tenancy.policy import Credentials, Server
from tests.kit.books import eventually
from tests.kit.postgres import Cluster


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def watch(shared_server: Cluster, pristine_shared: str, clock: Clock) -> AsyncIterator[CatalogWatch]:
    server = Server("127.0.0.1", shared_server.port, pristine_shared, "app")
    started = CatalogWatch(server, Credentials(tls="disable"), interval=3600.0, clock=clock)
    await started.start()
    yield started
    await started.close()


async def test_a_new_table_makes_a_new_version_and_is_told_once(
    shared_server: Cluster, pristine_shared: str, watch: CatalogWatch, clock: Clock
) -> None:
    told: list[Catalog] = []
    unsubscribe = watch.subscribe(told.append)
    first = watch.current.version
    shared_server.psql(pristine_shared, "CREATE TABLE fresh (tenant_id int NOT NULL)")
    clock.now += 2
    catalog = await watch.refresh()
    assert ("public", "fresh") in catalog.relations
    assert catalog.version > first
    assert told == [catalog]
    unsubscribe()
    shared_server.psql(pristine_shared, "DROP TABLE fresh")
    clock.now += 2
    assert (await watch.refresh()).version > catalog.version
    assert len(told) == 1


async def test_a_refresh_within_a_second_does_not_ask_the_server(watch: CatalogWatch, clock: Clock) -> None:
    clock.now += 2
    await watch.refresh()
    checks = watch.statistics().checks
    for _ in range(10):
        await watch.refresh()
    assert watch.statistics().checks == checks


async def test_refreshes_at_once_share_one_flight_and_one_may_give_up(watch: CatalogWatch, clock: Clock) -> None:
    clock.now += 2
    checks = watch.statistics().checks
    waiting = [asyncio.ensure_future(watch.refresh()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1:] == [watch.current] * 4
    assert watch.statistics().checks == checks + 1


async def test_what_leaves_the_content_alone_leaves_the_version_alone(
    shared_server: Cluster, pristine_shared: str, watch: CatalogWatch, clock: Clock
) -> None:
    before = watch.current
    shared_server.psql(pristine_shared, "CREATE TABLE passing (); DROP TABLE passing; CREATE INDEX ON notes (author)")
    clock.now += 2
    assert await watch.refresh() is before
    assert watch.statistics().introspections == 2


async def test_a_migration_that_says_so_is_noticed_at_once(
    shared_server: Cluster, pristine_shared: str, watch: CatalogWatch
) -> None:
    told: asyncio.Queue[Catalog] = asyncio.Queue()
    watch.subscribe(told.put_nowait)
    watch._last = float("-inf")  # a second has passed since the last look
    shared_server.psql(pristine_shared, "CREATE TABLE fresh (tenant_id int NOT NULL); NOTIFY partywall_catalog")
    assert ("public", "fresh") in (await asyncio.wait_for(told.get(), 20)).relations


async def test_many_that_say_so_are_looked_at_no_more_than_once_a_second(
    shared_server: Cluster, pristine_shared: str, watch: CatalogWatch, clock: Clock
) -> None:
    clock.now += 0.5
    checks = watch.statistics().checks
    for _ in range(5):
        shared_server.psql(pristine_shared, "NOTIFY partywall_catalog")
    assert watch.statistics().checks <= checks + 1


async def test_who_asks_between_what_a_migration_says_and_the_look_at_it_waits_for_that_look(
    shared_server: Cluster, pristine_shared: str, watch: CatalogWatch, clock: Clock
) -> None:
    shared_server.psql(pristine_shared, "CREATE TABLE fresh (tenant_id int NOT NULL); NOTIFY partywall_catalog")
    assert await asyncio.to_thread(eventually, watch._told.is_set, 20)  # a second has not passed since the last look
    assert ("public", "fresh") in (await watch.refresh()).relations


async def test_a_lost_connection_keeps_the_catalog_and_is_mended(
    shared_server: Cluster, pristine_shared: str, watch: CatalogWatch, clock: Clock
) -> None:
    before = watch.current
    kill = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{pristine_shared}'"
    shared_server.psql(sql=kill)
    clock.now += 2
    assert await watch.refresh() is before
    clock.now += 2
    shared_server.psql(pristine_shared, "CREATE TABLE fresh ()")
    assert (await watch.refresh()).version > before.version
    assert watch.statistics().error == ""


async def test_who_waits_for_a_look_when_it_is_closed_keeps_the_catalog(watch: CatalogWatch, clock: Clock) -> None:
    clock.now += 2
    async with watch._turn:  # no look ends
        waiting = [asyncio.create_task(watch.refresh()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await watch.close()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [watch.current] * 2


async def test_who_asks_after_it_was_closed_opens_no_connection_again(watch: CatalogWatch, clock: Clock) -> None:
    clock.now += 2
    await watch.close()
    assert await watch.refresh() is watch.current
    with pytest.raises(ConnectionError):
        await watch.ask(watch._look)
    assert watch._connection is None


async def test_a_connection_that_is_made_while_it_is_closed_is_given_up(watch: CatalogWatch, clock: Clock) -> None:
    await watch.reconnect()
    asking = asyncio.create_task(watch.ask(watch._look))
    await asyncio.sleep(0)  # it connects
    await watch.close()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(asking, 20)
    assert watch._connection is None


async def test_a_server_that_is_not_there_is_an_error_at_the_start() -> None:
    watch = CatalogWatch(Server("/nowhere", 1, "shared", "app"), Credentials())
    with pytest.raises(OSError, match=r"nowhere|No such file"):
        await watch.start()
    with pytest.raises(RuntimeError):
        _ = watch.current
