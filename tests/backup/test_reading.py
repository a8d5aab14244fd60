"""What a tenant defined for its tables never runs as the operator who backs up, exports, compares, clones or erases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from proxy.backup.cloning import clone
from proxy.backup.erasing import erase
from proxy.backup.exporting import export_tenant
from proxy.backup.reading import WIDTH, copied, counted, expected, parts
from proxy.backup.refusal import Refused
from proxy.backup.selection import selected
from proxy.backup.snapshot import Snapshot, taken
from proxy.backup.verifying import Unlike, with_archive, with_server
from proxy.backup.writing import Difference
from proxy.doctor.provision import provision
from proxy.tenancy.policy import Grant
from tests.backup.shelf import UNDER, book_of, checked, operators, sample_grant
from tests.backup.test_remaking import PROGRAM, archived, beside, put_back
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.rules import own_rules
from tests.kit.sample import load_sample, pristine

# A server that plans evaluates f(1), which says that it is immutable. It ends whatever the operator does.
TRAP = """
CREATE FUNCTION {0}.run(n int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF current_user = '{1}' THEN RAISE EXCEPTION 'this runs as the operator: %', current_query(); END IF;
  RETURN n;
END$$;
CREATE FUNCTION {0}.f(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN {0}.run(n); END$$;
CREATE TABLE {0}.plain (id int PRIMARY KEY, v text);
CREATE TABLE {0}.keyless (v int);
CREATE TABLE {0}.child (more text) INHERITS ({0}.keyless);
CREATE TABLE {0}.split (id int NOT NULL, v text) PARTITION BY RANGE (id);
CREATE TABLE {0}."Other ""order" (v text, gone int, id int NOT NULL);
ALTER TABLE {0}."Other ""order" DROP COLUMN gone;
ALTER TABLE {0}.split ATTACH PARTITION {0}."Other ""order" FOR VALUES FROM (0) TO (10);
CREATE TABLE {0}.more PARTITION OF {0}.split FOR VALUES FROM (10) TO (100) PARTITION BY LIST (id);
CREATE TABLE {0}.rest PARTITION OF {0}.more DEFAULT;
CREATE TABLE {0}.bare (id int, "a ""b,c" text) PARTITION BY LIST (id);
CREATE INDEX ON {0}.plain ((id + {0}.f(1)));
CREATE INDEX ON {0}.keyless ((v + {0}.f(1)));
CREATE INDEX ON {0}.child ((v + {0}.f(1)));
CREATE INDEX ON {0}.split ((id + {0}.f(1)));
INSERT INTO {0}.plain SELECT n, E'\\t' || n FROM generate_series(1, 30) n;
INSERT INTO {0}.keyless SELECT n % 3 FROM generate_series(1, 10) n;
INSERT INTO {0}.child SELECT n, 'x' FROM generate_series(1, 5) n;
INSERT INTO {0}.split SELECT n, E'a,\\nb' FROM generate_series(5, 24) n;
"""
ROWS = {"plain": 30, "keyless": 10, "child": 5, "split": 20, "bare": 0}


@contextmanager
def trapped(cluster: Cluster) -> Iterator[tuple[str, dict[str, Grant]]]:
    """A database in which globex has made the trap in its schema."""
    with beside(cluster) as (database, grants):
        cluster.psql(database, TRAP.format("globex", SUPERUSER), user="globex_rw")
        yield database, grants


def test_the_trap_is_one_for_every_plan(postgres18: Cluster) -> None:
    with (
        trapped(postgres18) as (database, _),
        psycopg.connect(postgres18.dsn(database=database), autocommit=True) as operator,
    ):
        for table in ("plain", "keyless", "child", "split"):
            for query in ("SELECT count(*) FROM {}", "EXPLAIN SELECT FROM {}", "COPY (SELECT FROM {}) TO STDOUT"):
                with pytest.raises(psycopg.errors.RaiseException, match="this runs as the operator"):
                    operator.execute(query.format(f"globex.{table}"))


def test_nothing_of_a_tenants_schema_runs_as_the_operator(postgres18: Cluster, tmp_path: Path) -> None:
    with trapped(postgres18) as (database, grants):
        place, grant, path = operators(postgres18, database), grants["globex"], str(tmp_path / "a")
        manifest = archived(postgres18, grant, path)
        assert {one.name: one.rows for one in manifest.relations if one.name in ROWS} == ROWS
        exported = asyncio.run(export_tenant(place, grant, "csv", str(tmp_path / "csv")))
        assert exported.rows == manifest.rows
        assert (tmp_path / "csv" / "bare.csv").read_bytes() == b'id,"a ""b,c"\r\n'
        split = (tmp_path / "csv" / "split.csv").read_text("utf-8")
        assert (split.count('"a,'), split.count("id,v"), split.startswith("id,v")) == (20, 1, True)
        assert not asyncio.run(with_archive(place, grant, checked(tmp_path / "a"), path))
        assert not asyncio.run(with_server(place, place, grant))
        would = put_back(postgres18, grant, path, "replace", dry_run=True)
        assert would.tables["globex.split"] == Difference(insert=20, delete=20)
        postgres18.psql(database, provision(grants["newco"], b"0123456789abcdef"))
        cloned = asyncio.run(clone((place, grant), (place, grants["newco"]), UNDER, dry_run=True, pg_dump=PROGRAM))
        assert cloned.tables["globex.plain"] == Difference(insert=30)
        for dry_run in (True, False):
            gone = asyncio.run(erase(place, grant, dry_run)).tables
            assert {name: gone[f"globex.{name}"] for name in ROWS} == ROWS


def test_what_differs_from_rows_that_are_hashed_here_is_counted(postgres18: Cluster, tmp_path: Path) -> None:
    with trapped(postgres18) as (database, grants):
        place, grant, path = operators(postgres18, database), grants["globex"], str(tmp_path / "a")
        archived(postgres18, grant, path)
        postgres18.psql(
            database,
            "UPDATE globex.plain SET v = 'x' WHERE id < 3; DELETE FROM globex.split WHERE id = 24;"
            "INSERT INTO globex.keyless VALUES (1); CREATE TABLE globex.fresh (id int);"
            "INSERT INTO globex.fresh VALUES (1), (2)",
            user="globex_rw",
        )
        found = asyncio.run(with_archive(place, grant, checked(tmp_path / "a"), path)).tables
        assert {name.split(".")[-1]: one for name, one in found.items() if one} == {
            "plain": Unlike(changed=2),
            "split": Unlike(left=1),
            "keyless": Unlike(right=1),
            "fresh": Unlike(right=2, columns=("the table is only live",)),
        }


KEEPS = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO plain VALUES (run(99), 'again'); RETURN NULL; END$$;
CREATE TRIGGER keep AFTER TRUNCATE ON plain EXECUTE FUNCTION keep();
CREATE TRIGGER keep AFTER TRUNCATE ON rest EXECUTE FUNCTION keep();
ALTER TABLE rest ENABLE ALWAYS TRIGGER keep;
"""


def test_nothing_of_a_tenants_database_runs_as_the_operator_who_empties_it(postgres18: Cluster) -> None:
    with pristine(load_sample(postgres18), "private1") as database:
        postgres18.psql(database, "GRANT CREATE ON SCHEMA public TO app")
        postgres18.psql(database, TRAP.format("public", SUPERUSER) + KEEPS, user="app")
        grant = book_of(own_rules(postgres18.port, database)).grants["acme", "shared", False]
        place = operators(postgres18, database)
        for dry_run in (True, False):
            gone = asyncio.run(erase(place, grant, dry_run)).tables
            assert {name: gone[f"public.{name}"] for name in ROWS} == ROWS
        states = "SELECT string_agg(tgenabled::text, '' ORDER BY tgrelid) FROM pg_trigger WHERE tgname = 'keep'"
        assert postgres18.psql(database, states).strip() == "OA"


def test_a_table_is_read_part_by_part(postgres18: Cluster) -> None:
    async def look(snapshot: Snapshot, grant: Grant, name: str) -> tuple[list[str], int, int, bytes]:
        (kept,) = [one for one in snapshot.kept if one.relation.name == name]
        text = bytearray()

        async def take(some: bytes) -> None:
            text.extend(some)

        of = (snapshot.connection, grant, snapshot.catalog, kept)
        await copied(*of, take)
        names = [one.relation.name for one in parts(snapshot.catalog, kept)]
        return names, await counted(*of), await expected(*of), bytes(text)

    async def run(database: str, grant: Grant) -> list[tuple[list[str], int, int, bytes]]:
        place = operators(postgres18, database)
        async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
            return [await look(snapshot, grant, name) for name in ("split", "keyless", "bare")]

    with trapped(postgres18) as (database, grants):
        postgres18.psql(database, "ANALYZE globex.rest", user="globex_rw")
        split, keyless, bare = asyncio.run(run(database, grants["globex"]))
        assert split[:3] == (['Other "order', "rest"], 20, 8192 // WIDTH + 15)
        assert split[3].startswith(b"5\ta,\\nb\n")
        assert (keyless[1], keyless[3].count(b"\n")) == (10, 10)
        assert bare == ([], 0, 0, b"")


def test_a_foreign_table_is_not_read_in_its_parents_place(postgres18: Cluster, tmp_path: Path) -> None:
    with trapped(postgres18) as (database, grants):
        postgres18.psql(
            database,
            "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER away FOREIGN DATA WRAPPER nowhere;"
            "CREATE FOREIGN TABLE globex.away PARTITION OF globex.bare DEFAULT SERVER away",
        )
        with pytest.raises(Refused, match=r'"globex"\."away" is a foreign table'):
            archived(postgres18, grants["globex"], str(tmp_path / "a"))


def test_what_tenants_share_is_counted_by_the_server(shared_server: Cluster) -> None:
    grant = sample_grant(shared_server)

    async def run() -> tuple[int, int]:
        place = operators(shared_server, "shared")
        async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
            (kept,) = [one for one in snapshot.kept if one.relation.name == "orders"]
            of = (snapshot.connection, grant, snapshot.catalog, kept)
            return await counted(*of), await expected(*of)

    count, guess = asyncio.run(run())
    assert (count, guess > 0) == (22, True)
