"""Several connections see one moment; tables stand still until it is over."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from proxy.backup.neighbours import Around
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept, selected
from proxy.backup.snapshot import ATTEMPTS, READING, WRITING, check_same, lock, opened, seen, taken
from proxy.catalog.model import Catalog
from tests.backup.shelf import operators, sample_grant
from tests.kit.postgres import Cluster


async def test_all_connections_see_the_same_moment(server: Cluster, pristine_shared: str) -> None:
    grant = sample_grant(server, pristine_shared)
    place = operators(server, pristine_shared)
    async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
        before = await snapshot.connection.fetchval("SELECT count(*) FROM public.orders")
        server.psql(pristine_shared, "DELETE FROM order_items; DELETE FROM orders")
        async with seen(snapshot) as other:
            assert await other.fetchval("SELECT count(*) FROM public.orders") == before
        assert snapshot.time.endswith("Z")
        assert "/" in snapshot.lsn
        with (
            psycopg.connect(server.dsn(database=pristine_shared), autocommit=True) as migration,
            pytest.raises(psycopg.errors.LockNotAvailable),
        ):
            migration.execute("SET lock_timeout = '50ms'")
            migration.execute("DROP TABLE coupons")


async def test_a_table_that_somebody_waits_for_is_not_waited_for(server: Cluster, pristine_shared: str) -> None:
    grant = sample_grant(server, pristine_shared)
    place = operators(server, pristine_shared)
    async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
        other = await psycopg.AsyncConnection.connect(server.dsn(database=pristine_shared))
        async with other, seen(snapshot) as reader:
            await other.execute("CREATE TABLE made_since (tenant_id int NOT NULL)")
            await other.commit()
            await other.execute("LOCK TABLE made_since")
            made = next(one for one in snapshot.kept if one.relation.name == "coupons").relation
            table = Kept(made.__class__(0, "public", "made_since", "r"), ())
            with pytest.raises(Exception, match="could not obtain lock"):
                await lock(reader, [table], nowait=True)


async def test_tables_that_come_and_go_are_not_read(server: Cluster, pristine_shared: str) -> None:
    grant = sample_grant(server, pristine_shared)
    looked = 0

    def never_the_same(catalog: Catalog, around: Around) -> tuple[Kept, ...]:
        nonlocal looked
        looked += 1
        return selected(catalog, grant, around)[looked % 2 :]

    with pytest.raises(Refused, match="tables come and go"):
        async with taken(operators(server, pristine_shared), grant, never_the_same):
            pass
    assert looked == 2 * ATTEMPTS


async def test_rows_that_a_policy_hides_are_an_error_and_not_left_out(server: Cluster, pristine_shared: str) -> None:
    server.psql(
        pristine_shared,
        "ALTER TABLE coupons ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON coupons USING (false);",
    )
    grant = sample_grant(server, pristine_shared)
    async with taken((grant.server, grant.credentials), grant, lambda *_: ()) as snapshot:
        with pytest.raises(Exception, match="would be affected by row-level security"):
            await snapshot.connection.fetch("SELECT * FROM public.coupons")


async def test_time_limits_of_a_role_or_a_database_do_not_end_it(server: Cluster, pristine_shared: str) -> None:
    limits = ["statement_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout"]
    limits += ["transaction_timeout"] * (int(server.psql(sql="SHOW server_version_num")) >= 170000)
    for one in limits:
        server.psql(pristine_shared, f"ALTER DATABASE {pristine_shared} SET {one} = '7min'")
    for settings in (READING, WRITING):
        connection = await opened(operators(server, pristine_shared), settings)
        try:
            found = [await connection.fetchval(f"SHOW {one}") for one in limits]
        finally:
            await connection.close()
        assert found == ["0"] * len(limits)


async def test_values_are_read_and_compared_as_they_are_whatever_a_role_or_a_database_says(
    server: Cluster, pristine_shared: str
) -> None:
    for setting in ("array_nulls = off", "transform_null_equals = on"):
        server.psql(pristine_shared, f"ALTER DATABASE {pristine_shared} SET {setting}")
    for settings in (READING, WRITING):
        connection = await opened(operators(server, pristine_shared), settings)
        try:
            row = await connection.fetchrow("SELECT '{NULL}'::text[] AS one, NULL = NULL AS same")
        finally:
            await connection.close()
        assert row is not None
        assert tuple(row) == ([None], None)


async def test_what_is_written_lasts_and_foreign_keys_hold_whatever_a_role_or_a_database_says(
    server: Cluster, pristine_shared: str
) -> None:
    for setting in ("synchronous_commit = off", "session_replication_role = replica"):
        server.psql(pristine_shared, f"ALTER DATABASE {pristine_shared} SET {setting}")
    writing = await opened(operators(server, pristine_shared), WRITING)
    try:
        names = ("synchronous_commit", "session_replication_role")
        assert [await writing.fetchval(f"SHOW {one}") for one in names] == ["on", "origin"]
    finally:
        await writing.close()
    grant = sample_grant(server, pristine_shared)
    with pytest.raises(Refused, match='ALTER ROLE "app" RESET session_replication_role, or ALTER DATABASE likewise'):
        await opened((grant.server, grant.credentials), WRITING)
    reading = await opened((grant.server, grant.credentials), READING)
    await reading.close()


async def test_no_view_is_read_by_its_name(server: Cluster, pristine_shared: str) -> None:
    """A tenant's view in the place of a table would run the tenant's code as the operator."""
    server.psql(
        pristine_shared,
        "CREATE TABLE counted (id int); CREATE FUNCTION peek() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE VIEW seeming AS SELECT peek() AS id",
    )
    place = operators(server, pristine_shared)
    reading, writing = await opened(place, READING), await opened(place, WRITING)
    try:
        with pytest.raises(Exception, match='access to non-system view "seeming" is restricted'):
            await reading.fetch("SELECT * FROM public.seeming")
        assert await writing.fetchval("SELECT id FROM public.seeming") == 1
    finally:
        await reading.close()
        await writing.close()


async def test_a_name_that_became_another_tables_is_refused(server: Cluster, pristine_shared: str) -> None:
    grant = sample_grant(server, pristine_shared)
    place = operators(server, pristine_shared)
    async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
        one = next(one for one in snapshot.kept if one.relation.name == "coupons")
        await check_same(snapshot.connection, one)
        other = next(one for one in snapshot.kept if one.relation.name == "orders")
        for oid in (other.relation.oid, 0):
            with pytest.raises(Refused, match="is another table than it was a moment ago"):
                await check_same(snapshot.connection, Kept(replace(one.relation, oid=oid), one.columns))
