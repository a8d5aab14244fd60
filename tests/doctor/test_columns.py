"""Tenant columns that cannot confine are found, and get a type, a collation or a constraint with which they can."""

from __future__ import annotations

import pytest

from proxy.doctor.columns import column_findings
from tests.doctor.clinic import Relations, clinic, mended, patient
from tests.kit.postgres import Cluster


async def test_a_sound_tenant_column_is_no_finding(postgres18: Cluster) -> None:
    with clinic(postgres18, "CREATE TABLE t (tenant_id int NOT NULL)") as name:
        assert list(column_findings(await patient(postgres18, name))) == []


async def test_a_nullable_tenant_column_is_mended_in_children_too(postgres18: Cluster) -> None:
    sql = "CREATE TABLE p (tenant_id int, a int); CREATE TABLE c () INHERITS (p)"
    with clinic(postgres18, sql) as name:
        found = await mended(postgres18, name, column_findings)
        assert {one.name for one in found} == {"column.c", "column.p"}
        assert "is nullable" in found[0].text


@pytest.mark.parametrize(
    ("kind", "becomes"),
    [
        ("numeric", "text"),
        ("interval", "text"),
        ("small", "smallint"),
        ('"Mixed"', "text"),
        ("char", "text"),
        ("colour", "text"),
    ],
)
async def test_a_type_that_cannot_confine_is_changed(postgres18: Cluster, kind: str, becomes: str) -> None:
    sql = (
        "CREATE DOMAIN small AS int2; CREATE DOMAIN \"Mixed\" AS numeric; CREATE TYPE colour AS ENUM ('red');"
        f"CREATE TABLE t (tenant_id {kind.replace('char', chr(34) + 'char' + chr(34))} NOT NULL)"
    )
    with clinic(postgres18, sql) as name:
        (found,) = await mended(postgres18, name, column_findings)
        assert (found.name, found.severity) == ("column.t", "warning")
        assert "no leakproof equality" in found.text
        kept = "SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'tenant_id'"
        assert postgres18.psql(name, kept).strip() == becomes


async def test_children_follow_their_parent(postgres18: Cluster) -> None:
    with clinic(postgres18, "CREATE TABLE p (tenant_id numeric NOT NULL); CREATE TABLE c () INHERITS (p)") as name:
        found = await mended(postgres18, name, column_findings)
        assert [one.name for one in found] == ["column.c", "column.p"]
        assert found[0].remedy == found[1].remedy


async def test_a_view_and_a_rule_that_does_not_fit_are_for_people(postgres18: Cluster) -> None:
    with clinic(postgres18, "CREATE VIEW v AS SELECT 1.0 AS tenant_id; CREATE VIEW w AS SELECT 1 AS a") as name:
        relations: Relations = {"v": ("view", "tenant_id"), "w": ("tenant", None)}
        found = list(column_findings(await patient(postgres18, name, (), relations)))
    assert [(one.name, "cast the column" in one.remedy) for one in found] == [("column.v", True), ("column.w", False)]
