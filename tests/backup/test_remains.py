"""What still holds the data is told: each kind is made here, and found."""

from __future__ import annotations

import asyncio

import psycopg

from proxy.backup.remains import remaining, title
from proxy.backup.selection import selected
from proxy.backup.snapshot import taken
from proxy.tenancy.policy import Grant
from tests.backup.shelf import operators, small
from tests.kit.postgres import Cluster

SQL = """
CREATE TABLE t (tenant_id int NOT NULL, secret text);
CREATE TABLE hidden (tenant_id int, secret text);
INSERT INTO t SELECT n % 3, 'secret' FROM generate_series(1, 300) n;
INSERT INTO hidden VALUES (2, 'x'), (2, 'y'), (1, 'z');
CREATE VIEW v AS SELECT * FROM t;
CREATE MATERIALIZED VIEW m AS SELECT secret FROM v WHERE tenant_id = 2;
CREATE MATERIALIZED VIEW other AS SELECT 1;
ANALYZE t;
SELECT lo_create(0);
"""


def remains(cluster: Cluster, grant: Grant, lsn: str | None = None) -> dict[str, tuple[str, ...]]:
    """By kind."""

    async def found() -> dict[str, tuple[str, ...]]:
        place = operators(cluster, grant.server.database)
        async with taken(place, lambda catalog, members: selected(catalog, grant, members)) as snapshot:
            assert [title(one) for one in snapshot.kept] == ["public.t"]
            some = await remaining(snapshot.connection, grant, snapshot.kept, snapshot.catalog, lsn)
            assert all(one.until for one in some)
            return {one.what: one.where for one in some}

    return asyncio.run(found())


def test_everything_that_holds_rows_after_they_are_gone_is_found(postgres18: Cluster) -> None:
    with small(postgres18, SQL) as grants:
        grant = grants["globex"]
        database = grant.server.database
        postgres18.psql(database, "SELECT pg_create_physical_replication_slot('remains', true)")
        try:
            with psycopg.connect(postgres18.dsn(database=database)) as reader:
                reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                reader.execute("SELECT count(*) FROM t")
                found = remains(postgres18, grant, "1/2")
                assert f"process {reader.info.backend_pid}, since" in found.pop("snapshots")[0]
        finally:
            postgres18.psql(database, "SELECT pg_drop_replication_slot('remains')")
        assert found.pop("replication slots")[0].startswith("remains, from ")
        assert found == {
            "wal": ("of the server, up to 1/2",),
            "dead rows": ("public.t",),
            "tables that the rules do not show": ("public.hidden: 2 rows by tenant_id",),
            "statistics": ("public.t",),
            "materialized views": ("public.m",),
            "large objects": ("1 of all tenants together",),
        }
        assert remains(postgres18, grant)["wal"] == ("of the server, up to the erasure",)
