"""Who wants a lock that others are before waits a moment, and again, and never lets readers stand behind for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.backup import briefly as module
from proxy.backup.briefly import briefly
from proxy.backup.refusal import Refused
from proxy.backup.snapshot import WRITING, opened
from tests.backup.shelf import book_of, operators
from tests.backup.test_remaking import archived, put_back
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample, pristine
from tests.kit.schemas import empty_schemas, schema_rules

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

KEY = """
CREATE TABLE globex.sites (country text REFERENCES reference.countries);
INSERT INTO globex.sites VALUES ('no'); ALTER TABLE globex.sites OWNER TO globex_rw;
"""
READ = "SET idle_in_transaction_session_timeout = '9s'; BEGIN; SELECT FROM reference.countries"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT", "100ms")
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setattr(module, "TRIES", 3)


@asynccontextmanager
async def held(postgres15: Cluster, database: str) -> AsyncIterator[tuple[CatalogConnection, CatalogConnection]]:
    """Who wants a table that somebody has read, in a session where code has waited for locks as long as it liked."""
    writer = await opened(operators(postgres15, database), WRITING)
    reader = await opened(operators(postgres15, database), WRITING)
    try:
        await reader.execute("SET idle_in_transaction_session_timeout = '9s'; BEGIN; TABLE public.held")
        async with writer.transaction():
            await writer.execute("SET lock_timeout = 0; INSERT INTO public.kept VALUES (1)")
            yield writer, reader
    finally:
        await writer.close()
        await reader.close()


def test_it_is_tried_again_and_then_refused_with_the_rest_kept(postgres15: Cluster) -> None:
    tries: list[str] = []

    async def go(database: str) -> None:
        async with held(postgres15, database) as (writer, reader):

            async def step() -> None:
                tries.append(await writer.fetchval("SELECT string_agg(a::text, ',') FROM public.kept"))
                await writer.execute("INSERT INTO public.kept VALUES (2)")
                if len(tries) == 5:
                    await reader.execute("COMMIT")
                await writer.execute("DROP TABLE public.held")

            with pytest.raises(Refused, match="in 3 tries were not free: canceling statement due to lock timeout"):
                await briefly(writer, step)
            assert tries == ["1", "1", "1"]
            await briefly(writer, step)
            assert tries == ["1"] * 5
            assert await writer.fetchval("SELECT to_regclass('public.held')") is None
            assert await writer.fetchval("SELECT count(*) FROM public.kept") == 2

    with pristine(load_sample(postgres15)) as database:
        postgres15.psql(database, "CREATE TABLE public.held (); CREATE TABLE public.kept (a int)")
        asyncio.run(go(database))


def test_a_restore_does_not_wait_for_who_has_read_a_shared_table(postgres15: Cluster, tmp_path: Path) -> None:
    """Whatever the archive has set: pg_dump's text says that no lock is waited for too long."""
    with empty_schemas(postgres15, "briefly", ("globex", "initech")) as database:
        postgres15.psql(database, KEY)
        book = book_of(schema_rules(postgres15.port, database, tenants=("globex", "initech")))
        grant = book.grants["globex", "shared", False]
        archived(postgres15, grant, str(tmp_path / "a"))
        count = "SELECT count(*) FROM globex.sites"
        postgres15.psql(database, "INSERT INTO globex.sites VALUES ('no')")
        with psycopg.connect(postgres15.dsn(database=database, user="initech_rw"), autocommit=True) as reader:
            reader.execute(READ)
            with pytest.raises(Refused, match="a transaction that has read them is still open"):
                put_back(postgres15, grant, str(tmp_path / "a"), "replace")
            assert postgres15.psql(database, count).strip() == "2"
            reader.execute("COMMIT")
        put_back(postgres15, grant, str(tmp_path / "a"), "replace")
        assert postgres15.psql(database, count).strip() == "1"
