"""Counting what tenants have stored: all of a relation at once, large ones by a sample, none of it by name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.catalog import storage
from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Column, Relation
from proxy.catalog.storage import Counted, database_of, rows_of, statement
from proxy.catalog.watch import FAILURES
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import Cluster

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

TABLE = '''CREATE TABLE public.kept (tenant_id int NOT NULL, "Odd ""name""" text);
GRANT SELECT ON public.kept TO app;
INSERT INTO public.kept SELECT 1 + g % 2, repeat('x', 100) FROM generate_series(1, 2000) g;
INSERT INTO public.kept SELECT 3, string_agg(md5(g::text), '') FROM generate_series(1, 20000) g;'''
NOBODY = Credentials(tls="disable")


@pytest.fixture
def place(shared_server: Cluster, pristine_shared: str) -> Server:
    shared_server.psql(pristine_shared, TABLE)
    return Server("127.0.0.1", shared_server.port, pristine_shared, "app")


async def counted(changing: CatalogConnection, name: str = "kept") -> Counted:
    catalog = await introspect(changing, 1)
    return Counted(catalog.relations["public", name], "tenant_id")


async def test_each_tenants_rows_are_counted_with_what_is_stored_elsewhere(
    place: Server, changing: CatalogConnection
) -> None:
    found = await rows_of(place, NOBODY, [await counted(changing)])
    assert found.keys() == {("default", "1"), ("default", "2"), ("default", "3")}
    assert 130_000 < found["default", "1"] == found["default", "2"] < 150_000
    assert found["default", "3"] > 300_000  # one value, out of line


async def test_a_large_relation_is_sampled(
    place: Server, changing: CatalogConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await counted(changing)
    whole = await rows_of(place, NOBODY, [one])
    monkeypatch.setattr(storage, "SAMPLED", 400_000)
    some = [await rows_of(place, NOBODY, [one]) for _ in range(20)]
    means = sum(each.get(("default", "1"), 0) for each in some) / len(some)
    assert whole["default", "1"] / 3 < means < whole["default", "1"] * 3
    assert len({each.get(("default", "1"), 0) for each in some}) > 1


async def test_a_relation_that_is_locked_is_not_waited_for(
    place: Server, changing: CatalogConnection, shared_server: Cluster
) -> None:
    one = await counted(changing)
    blocker = await connect(Server(place.host, place.port, place.database, "postgres"), NOBODY)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE public.kept IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(20):
            with pytest.raises(FAILURES, match="lock timeout"):
                await rows_of(place, NOBODY, [one])
    await blocker.close()


async def test_a_database_has_a_size(place: Server) -> None:
    assert await database_of(place, NOBODY) > 5_000_000


def test_names_are_quoted_parts_are_counted_with_the_whole_and_what_is_not_stored_is_not() -> None:
    columns = (Column(1, 'a"b', 23), Column(2, "computed", 23, generated="v"), Column(3, "kept", 25, generated="s"))
    table = Relation(1, "My", "t", "r", columns=columns)
    assert statement(Counted(table, 'a"b'), 100.0) == (
        'SELECT "a""b"::text, sum(28 + COALESCE(pg_column_size("a""b"), 0) + COALESCE(pg_column_size("kept"), 0)) '
        'FROM ONLY "My"."t" GROUP BY "a""b"'
    )
    split = Relation(1, "My", "t", "p", columns=columns[:1])
    assert ' FROM "My"."t" TABLESAMPLE SYSTEM (2.500000) GROUP' in statement(Counted(split, 'a"b'), 2.5)
