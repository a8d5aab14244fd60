"""Indexes that search other tenants' rows, and tables that have none for the tenant's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.doctor.indexes import LARGE, index_findings, partition_findings
from proxy.doctor.patient import Patient
from tests.doctor.clinic import ROLE, clinic, mended, patient
from tests.kit.attacks import filled, outcome
from tests.kit.postgres import Cluster

TABLE = "CREATE TABLE t (tenant_id int NOT NULL, a text, b tsvector, PRIMARY KEY (tenant_id, a));"


@pytest.mark.parametrize("index", ["", "CREATE INDEX ON t (tenant_id, b)", "CREATE INDEX ON t (b, tenant_id)"])
async def test_indexes_with_the_tenant_column_are_no_findings(postgres18: Cluster, index: str) -> None:
    with clinic(postgres18, TABLE + index) as name:
        assert list(index_findings(await patient(postgres18, name))) == []


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        ("btree (a DESC)", 1), ("btree (lower(a)) WHERE a <> ''", 1), ("gin (b)", 1), ("gist (b)", 1),
        ("hash (a)", 0), ("brin (a)", 0),
    ],
)  # fmt: skip
async def test_an_index_without_it_is_found_and_mended(postgres18: Cluster, index: str, kept: int) -> None:
    with clinic(postgres18, TABLE + f"CREATE INDEX odd ON t USING {index}") as name:
        (found,) = await mended(postgres18, name, index_findings)
        assert (found.name, found.severity) == ("index.t", "advice")
        assert int(postgres18.psql(name, "SELECT count(*) FROM pg_class WHERE relname = 'odd'")) == kept


async def test_a_table_that_must_be_read_whole_is_found(postgres18: Cluster) -> None:
    sql = (
        "CREATE TABLE t (tenant_id int NOT NULL, a int); CREATE INDEX ON t (tenant_id) WHERE a > 1;"
        "CREATE TABLE p (tenant_id int NOT NULL) PARTITION BY LIST (tenant_id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
    )
    with clinic(postgres18, sql) as name:
        found = await mended(postgres18, name, index_findings)
        assert [one.name for one in found] == ["scan.p", "scan.t"]


def plan(cluster: Cluster, database: str, attack: str, value: str, how: str = "ANALYZE, ") -> dict[str, Any]:
    """What EXPLAIN says of an attack with this guess, as the application's role."""
    statement = filled(attack.removeprefix("EXPLAIN "), {"'own'": "'1'", "'a guess'": f"'{value}'"})
    told: Any = outcome(cluster, database, ROLE, f"EXPLAIN ({how}FORMAT JSON) {statement}")
    return dict(told[0][0][0]["Plan"])


def looked_at(cluster: Cluster, database: str, attack: str, value: str = "") -> int:
    """How many rows of others were read and thrown away: what the time tells."""
    found = plan(cluster, database, attack, value)
    return sum(int(found.get(f"Rows Removed by {one}", 0)) for one in ("Filter", "Index Recheck"))


DEMONSTRATION = (
    "CREATE TABLE t (tenant_id int NOT NULL, id int, a text, PRIMARY KEY (tenant_id, id));"
    "INSERT INTO t SELECT 1, n, 'mine' || n FROM generate_series(1, 5000) n;"
    "INSERT INTO t SELECT 2, n, 'theirs' || n FROM generate_series(1, 5000) n;"
)


@pytest.mark.parametrize("index", ["btree (a)", "hash (a)", "btree (a) WHERE id > 0"])
async def test_the_time_tells_what_others_have_until_the_index_has_the_tenant_column(
    server: Cluster, index: str
) -> None:
    with clinic(server, f"{DEMONSTRATION} CREATE INDEX odd ON t USING {index}") as name:
        server.psql(name, "VACUUM ANALYZE t")
        (found,) = index_findings(await patient(server, name))
        told = found.attack.replace("'a guess'", "'a guess' AND id > 0")
        assert [looked_at(server, name, told, guess) for guess in ("theirs7", "nobodys")] == [1, 0]
        server.psql(name, found.remedy)
        server.psql(name, "VACUUM ANALYZE t")
        assert looked_at(server, name, told, "theirs7") == looked_at(server, name, told, "nobodys")
        assert list(index_findings(await patient(server, name))) == []


async def test_the_time_tells_how_much_others_have_until_an_index_begins_with_the_tenant_column(
    server: Cluster,
) -> None:
    with clinic(
        server, DEMONSTRATION + "ALTER TABLE t DROP CONSTRAINT t_pkey; DELETE FROM t WHERE id > 7 AND a LIKE 'm%'"
    ) as name:
        server.psql(name, "VACUUM ANALYZE t")
        (found,) = index_findings(await patient(server, name))
        assert (found.name, looked_at(server, name, found.attack)) == ("scan.t", 5000)
        server.psql(name, found.remedy)
        assert looked_at(server, name, found.attack) == 0
        assert list(index_findings(await patient(server, name))) == []


async def test_the_plan_tells_what_others_have_until_a_tenant_has_a_partition(server: Cluster) -> None:
    sql = (
        "CREATE TABLE t (tenant_id int NOT NULL, a text, id int GENERATED ALWAYS AS IDENTITY,"
        " twice int GENERATED ALWAYS AS (tenant_id * 2) STORED, PRIMARY KEY (tenant_id, id));"
        "INSERT INTO t SELECT 1, 'mine' FROM generate_series(1, 5000); INSERT INTO t SELECT 2, 'theirs' FROM"
        " generate_series(1, 5000);"
    )
    with clinic(server, sql) as name:
        server.psql(name, "VACUUM ANALYZE t")
        server.psql(name, "UPDATE pg_class SET reltuples = 2000000 WHERE oid = 't'::regclass")
        (found,) = partition_findings(await patient(server, name))
        expected = [plan(server, name, found.attack, guess, "")["Plan Rows"] for guess in ("theirs", "nobodys")]
        assert expected[0] > 100 * expected[1]
        server.psql(name, found.remedy.replace("'own'", "'1'"))
        expected = [plan(server, name, found.attack, guess, "")["Plan Rows"] for guess in ("theirs", "nobodys")]
        assert expected[0] == expected[1]
        assert list(partition_findings(await patient(server, name))) == []
        assert (
            server.psql(name, "SELECT count(*), count(DISTINCT id) FROM t WHERE tenant_id = 2").strip() == "5000|5000"
        )


async def test_a_large_table_may_be_better_in_parts(postgres18: Cluster) -> None:
    with clinic(postgres18, TABLE) as name:
        seen = await patient(postgres18, name)
        assert list(partition_findings(seen)) == []
        rows = dict.fromkeys(seen.examination.rows, float(LARGE))
        (found,) = partition_findings(Patient(seen.world, replace(seen.examination, rows=rows)))
        assert found.name == "partition.t"
        assert 'PARTITION BY LIST ("tenant_id")' in found.remedy
