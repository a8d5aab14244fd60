"""Indexes that search other tenants' rows, and tables that have none for the tenant's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.doctor.indexes import LARGE, index_findings, partition_findings
from proxy.doctor.patient import Patient
from tests.doctor.clinic import clinic, mended, patient
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


async def test_a_large_table_may_be_better_in_parts(postgres18: Cluster) -> None:
    with clinic(postgres18, TABLE) as name:
        seen = await patient(postgres18, name)
        assert list(partition_findings(seen)) == []
        rows = dict.fromkeys(seen.examination.rows, float(LARGE))
        (found,) = partition_findings(Patient(seen.world, replace(seen.examination, rows=rows)))
        assert found.name == "partition.t"
        assert 'PARTITION BY LIST ("tenant_id")' in found.remedy
