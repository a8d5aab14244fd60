"""What still holds the data is told: each kind is made here, and found."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg

from proxy.backup.neighbours import Around
from proxy.backup.remains import remaining
from proxy.backup.selection import selected, title
from proxy.backup.snapshot import taken
from proxy.tenancy.policy import Grant, RelationRule
from tests.backup.shelf import operators, small
from tests.kit.postgres import Cluster

SQL = """
CREATE TABLE t (tenant_id int NOT NULL, secret text);
CREATE TABLE hidden (tenant_id int, secret text);
CREATE TABLE otherwise (tenant_id text, secret text);
CREATE TABLE parted (tenant_id int NOT NULL, n int, secret text) PARTITION BY LIST (n);
CREATE TABLE part PARTITION OF parted DEFAULT;
INSERT INTO t SELECT n % 3, 'secret' FROM generate_series(1, 300) n;
INSERT INTO hidden VALUES (2, 'x'), (2, 'y'), (1, 'z');
INSERT INTO otherwise VALUES ('2', 'x'), ('1', 'y');
INSERT INTO parted VALUES (2, 1, 'x');
CREATE VIEW v AS SELECT * FROM t;
CREATE MATERIALIZED VIEW m AS SELECT secret FROM v WHERE tenant_id = 2;
CREATE MATERIALIZED VIEW other AS SELECT 1;
CREATE MATERIALIZED VIEW of_part AS SELECT secret FROM part;
CREATE INDEX in_capitals ON t (upper(secret));
CREATE STATISTICS together (mcv) ON tenant_id, secret FROM t;
CREATE STATISTICS halves ON (left(secret, 1)) FROM t;
ANALYZE t;
SELECT lo_create(0);
"""


def remains(cluster: Cluster, grant: Grant, lsn: str | None = None) -> dict[str, tuple[str, ...]]:
    """By kind."""

    async def found() -> dict[str, tuple[str, ...]]:
        place = operators(cluster, grant.server.database)
        async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
            assert [title(one.relation) for one in snapshot.kept] == ["public.parted", "public.t"]
            some = await remaining(snapshot.connection, grant, snapshot.kept, snapshot.catalog, lsn, Around())
            assert all(one.until for one in some)
            return {one.what: one.where for one in some}

    return asyncio.run(found())


def test_everything_that_holds_rows_after_they_are_gone_is_found(postgres18: Cluster) -> None:
    with small(postgres18, SQL, "hidden: {hidden: true}, otherwise: {hidden: true}") as grants:
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
            "the server's log": ("statements, and errors with values",),
            "dead rows": ("public.parted", "public.t"),
            "tables that the rules do not show": (
                "public.hidden: 2 rows by tenant_id",
                "public.otherwise: 1 rows by tenant_id",
            ),
            "statistics": ("public.halves", "public.in_capitals", "public.t", "public.together"),
            "materialized views": ("public.m", "public.of_part"),
            "large objects": ("1 of all tenants together",),
        }
        assert remains(postgres18, grant)["wal"] == ("of the server, up to the erasure",)


KEYED = """
CREATE TABLE tenants (id int PRIMARY KEY); INSERT INTO tenants VALUES (2);
CREATE TABLE a (whose int NOT NULL); CREATE TABLE b (whose numeric); CREATE TABLE c (whose uuid);
CREATE TABLE d (id int, whose int); CREATE EXTENSION citext; CREATE TABLE e (whose citext);
INSERT INTO b VALUES (2), (3); INSERT INTO d VALUES (2, 3), (2, 3); INSERT INTO e VALUES ('2'), ('Globex');
"""


def test_every_table_with_such_a_column_is_looked_at_whatever_was_kept(postgres18: Cluster) -> None:
    """Of whatever type, by any of the keys that stand in a column of that name; not by that of a registry."""
    rules = "tenants: {tenant_column: id}, a: {tenant_column: whose}, d: {hidden: true}"
    with small(postgres18, KEYED, rules) as grants:
        grant = grants["globex"]
        slugged = RelationRule("public", "a", "tenant", "whose", "slug")
        other = replace(grant.policy, relations={**grant.policy.relations, ("public", "a"): slugged})

        async def found(one: Grant) -> tuple[str, ...]:
            place = operators(postgres18, grant.server.database)
            async with taken(place, one, lambda *_: ()) as snapshot:
                some = await remaining(snapshot.connection, one, (), snapshot.catalog, None, Around())
                return next((each.where for each in some if each.what == "tables that the rules do not show"), ())

        assert asyncio.run(found(grant)) == ("public.b: 1 rows by whose", "public.e: 1 rows by whose")
        keys = {**grant.keys, "slug": "GLOBEX"}
        assert asyncio.run(found(replace(grant, policy=other, keys=keys))) == ("public.e: 1 rows by whose",)


def test_what_a_database_of_its_own_keeps_is_told(postgres18: Cluster) -> None:
    made = (
        "CREATE EXTENSION citext; CREATE TABLE lookup (id int); ALTER EXTENSION citext ADD TABLE lookup;"
        " CREATE SCHEMA partywall; CREATE TABLE partywall.moves (id int); CREATE TABLE t (id int)"
    )
    with small(postgres18, made) as grants:
        grant = grants["globex"]
        own = replace(grant, policy=replace(grant.policy, isolation="database"))

        async def found() -> dict[str, tuple[str, ...]]:
            place = operators(postgres18, grant.server.database)
            async with taken(place, own, lambda catalog, around: selected(catalog, own, around)) as snapshot:
                assert [title(one.relation) for one in snapshot.kept] == ["public.t"]
                some = await remaining(snapshot.connection, own, snapshot.kept, snapshot.catalog, None, Around())
                return {one.what: one.where for one in some}

        assert "pg_stat_statements" not in asyncio.run(found())
        postgres18.psql(grant.server.database, f"ALTER DATABASE {grant.server.database} SET pg_stat_statements.max = 9")
        told = asyncio.run(found())
        assert told["pg_stat_statements"] == ("texts of statements",)
        assert told["tables of extensions and of the proxy"] == ("partywall.moves", "public.lookup, of citext")
        assert told["the server's log"]
