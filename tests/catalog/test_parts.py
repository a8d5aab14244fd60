"""A tenant's picture is read anew when its schema changed, or what lies below it; and never shows a neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.catalog.introspect import part_fingerprint, part_fingerprints
from proxy.catalog.model import Catalog
from proxy.catalog.parts import PartWatch
from proxy.catalog.watch import CatalogWatch
from proxy.tenancy.policy import Credentials, Server
from tests.catalog.test_watch import Clock
from tests.kit.postgres import Cluster

TABLES = """
CREATE SCHEMA common; CREATE SCHEMA one; CREATE SCHEMA two;
CREATE TABLE common.countries (code text PRIMARY KEY);
CREATE TABLE one.things (id int PRIMARY KEY); CREATE TABLE two.things (id int PRIMARY KEY, secret text);
"""


@pytest.fixture
async def shared(shared_server: Cluster, pristine_shared: str, clock: Clock) -> AsyncIterator[CatalogWatch]:
    shared_server.psql(pristine_shared, TABLES)
    server = Server("127.0.0.1", shared_server.port, pristine_shared, "app")
    watch = CatalogWatch(server, Credentials(tls="disable"), schemas=("common",), interval=3600.0, clock=clock)
    await watch.start()
    yield watch
    await watch.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_each_tenant_sees_its_own_and_what_is_shared(shared: CatalogWatch, clock: Clock) -> None:
    parts = [PartWatch(shared, name, clock=clock) for name in ("one", "two")]
    one, two = [await part.start() for part in parts]
    assert [column.name for column in one.relations["one", "things"].columns] == ["id"]
    assert [column.name for column in two.relations["two", "things"].columns] == ["id", "secret"]
    assert ("two", "things") not in one.relations
    assert ("common", "countries") in one.relations
    assert one.version != two.version  # no number is given twice


async def test_what_changes_in_its_schema_or_below_makes_another_version_and_what_a_neighbour_does_none(
    shared: CatalogWatch, shared_server: Cluster, pristine_shared: str, clock: Clock
) -> None:
    part = PartWatch(shared, "one", clock=clock)
    told: list[Catalog] = []
    part.subscribe(told.append)
    last = (await part.start()).version
    for statement, changes in (
        ("ALTER TABLE one.things ADD COLUMN note text", True),
        ("ALTER TABLE two.things ADD COLUMN note text", False),
        ("CREATE TABLE common.rates (rate numeric)", True),
        ("CREATE FUNCTION one.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", True),
        ("COMMENT ON TABLE one.things IS 'x'", False),
    ):
        shared_server.psql(pristine_shared, statement)
        clock.now += 2
        version = (await part.refresh()).version
        assert (version > last, version < last) == (changes, False), statement
        last = version
    assert len(told) == 4
    assert ("common", "rates") in part.current.relations
    assert "f" in part.current.functions
    assert part.statistics().failures == 0


async def test_within_a_second_the_server_is_not_asked_again(shared: CatalogWatch, clock: Clock) -> None:
    part = PartWatch(shared, "one", clock=clock)
    await part.start()
    checks = part.statistics().checks
    await part.refresh()
    assert part.statistics().checks == checks
    clock.now += 2
    await part.refresh()
    assert part.statistics().checks == checks + 1
    await part.close()


async def test_who_waits_for_a_look_when_it_is_closed_keeps_the_picture(shared: CatalogWatch, clock: Clock) -> None:
    part = PartWatch(shared, "one", clock=clock)
    picture = await part.start()
    clock.now += 2
    async with shared._turn:  # no look ends
        waiting = [asyncio.create_task(part.refresh()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await part.close()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [picture] * 2
    checks = part.statistics().checks
    assert await part.refresh() is picture
    assert part.statistics().checks == checks


async def test_a_change_within_a_second_of_the_last_look_is_read_when_the_second_is_over(
    shared: CatalogWatch, shared_server: Cluster, pristine_shared: str
) -> None:
    part = PartWatch(shared, "one")
    before = await part.start()
    mark = await shared.ask(lambda connection: part_fingerprint(connection, "one"))
    await part.catch_up(mark)
    assert part.statistics().checks == 1  # it is as it was read
    shared_server.psql(pristine_shared, "CREATE TABLE one.fresh (id int)")
    mark = await shared.ask(lambda connection: part_fingerprint(connection, "one"))
    await asyncio.gather(part.catch_up(mark), part.catch_up(mark))
    assert part.current.version > before.version
    assert ("one", "fresh") in part.current.relations
    assert part.statistics().checks == 2


async def test_a_look_that_fails_keeps_the_picture_and_the_next_goes_over_another_connection(
    shared: CatalogWatch, shared_server: Cluster, pristine_shared: str, clock: Clock
) -> None:
    part = PartWatch(shared, "one", clock=clock)
    before = await part.start()
    shared_server.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                       f"datname = '{pristine_shared}' AND application_name = 'partywall catalog'")  # fmt: skip
    clock.now += 2
    assert await part.refresh() is before
    clock.now += 2
    assert await part.refresh() is before
    assert part.statistics().error == ""


async def test_one_schemas_fingerprint_is_the_same_by_itself_and_among_many(
    shared: CatalogWatch, shared_server: Cluster, pristine_shared: str
) -> None:
    seen = set()
    for statement in (
        "SELECT",
        "ALTER TABLE one.things ADD COLUMN note text DEFAULT 'x'",
        "CREATE INDEX ON one.things (note)",
        "CREATE VIEW one.seen AS SELECT id FROM one.things",
        "CREATE TRIGGER t BEFORE UPDATE ON one.things"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER TABLE one.things ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON one.things USING (true)",
        "CREATE TABLE one.part (CHECK (id > 0)) INHERITS (one.things)",
        "CREATE DOMAIN one.positive AS int CHECK (VALUE > 0)",
        "CREATE FUNCTION one.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ):
        shared_server.psql(pristine_shared, statement)
        alone = await shared.ask(lambda connection: part_fingerprint(connection, "one"))
        many = await shared.ask(lambda connection: part_fingerprints(connection, ["one", "two", "nowhere"]))
        assert many["one"] == alone, statement
        assert many.keys() == {"one", "two"}
        seen.add((alone, many["two"]))
    assert len({alone for alone, _ in seen}) == 9
    assert len({two for _, two in seen}) == 1
