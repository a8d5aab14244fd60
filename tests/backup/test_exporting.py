"""An export has a tenant's rows and nobody else's, as of one moment, in files that say what they are."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import re
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import pytest

from proxy.backup import exporting
from proxy.backup.exporting import Exported, export_tenant
from proxy.backup.refusal import Refused
from proxy.tenancy.policy import Grant
from proxy.tenancy.rulebook import RuleBook
from tests.backup.shelf import book_of, operators, small
from tests.backup.staging import company
from tests.kit.postgres import Cluster


@pytest.fixture(scope="module")
def scene(postgres18: Cluster) -> Iterator[tuple[str, RuleBook]]:
    with company(postgres18) as (database, rules):
        yield database, book_of(rules)


def exported(cluster: Cluster, grant: Grant, form: Literal["csv", "parquet"], folder: Path) -> Exported:
    return asyncio.run(export_tenant(operators(cluster, grant.server.database), grant, form, str(folder)))


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return found


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_the_tenants_rows_and_a_manifest_that_vouches_for_them(
    postgres18: Cluster, scene: tuple[str, RuleBook], tmp_path: Path
) -> None:
    database, book = scene
    done = exported(postgres18, book.grants["globex", database, False], "csv", tmp_path / "out")
    assert (done.tables, done.rows) == (2, 80)
    names = {one.name: one.stat().st_mode & 0o777 for one in (tmp_path / "out").iterdir()}
    assert names == dict.fromkeys(["people.csv", "letters.csv", "manifest.json", "SHA256SUMS"], 0o600)
    people = read(tmp_path / "out" / "people.csv")
    assert {row["tenant_id"] for row in people} == {"2"}
    assert sorted(row["email"] for row in people) == sorted(f"person{one}@tenant2.example" for one in range(1, 41))
    text = (tmp_path / "out" / "people.csv").read_bytes()
    assert re.search(rb"\r\n2,\d+,person5@tenant2\.example,Person 5 of 2,[^,]*,[^,]*,5002\.50,1980-01-06,", text)
    assert read(tmp_path / "out" / "letters.csv")[0]["body"] == "Dear Person 1 of 2,\n\tyour \\ salary"
    told = manifest(tmp_path / "out")
    assert {(one["name"], one["file"], one["rows"]) for one in told["tables"]} == {
        ("people", "people.csv", 40),
        ("letters", "letters.csv", 40),
    }
    assert (told["tenant"], told["format"], told["rows"], told["time"]) == ("globex", "csv", 80, done.time)
    columns = {one["name"]: one["type"] for one in told["tables"][0]["columns"]}
    assert (columns["salary"], columns["seen"]) == ("numeric(12,2)", "timestamp(3) with time zone")
    lines = [one.split("  ") for one in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert sums.keys() == names.keys() - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
    assert all(one["sha256"] == sums[one["file"]] for one in told["tables"])


def test_parquet_has_the_same_rows_with_their_types(
    postgres18: Cluster, scene: tuple[str, RuleBook], tmp_path: Path
) -> None:
    database, book = scene
    grant = book.grants["globex", database, False]
    exported(postgres18, grant, "csv", tmp_path / "csv")
    done = exported(postgres18, grant, "parquet", tmp_path / "parquet")
    assert done.rows == 80
    people = pq.read_table(tmp_path / "parquet" / "people.parquet")
    assert {one.name: str(one.type) for one in people.schema} == {
        "tenant_id": "int32", "id": "int32", "email": "string", "name": "string", "phone": "string", "nick": "string",
        "salary": "decimal128(12, 2)", "born": "date32[day]", "seen": "timestamp[us, tz=UTC]", "token": "string",
        "prefs": "string", "photo": "binary", "country": "string", "boss": "int32",
    }  # fmt: skip
    rows = people.to_pylist()
    texts = read(tmp_path / "csv" / "people.csv")
    assert [row["email"] for row in rows] == [row["email"] for row in texts]
    assert [row["salary"] for row in rows] == [Decimal(row["salary"]) for row in texts]
    assert [row["phone"] is None for row in rows] == [not row["phone"] for row in texts]
    assert rows[0]["photo"] == b"\xde\xad\xbe\xef"
    letters = pq.read_table(tmp_path / "parquet" / "letters.parquet").to_pylist()
    assert letters[0]["body"] == "Dear Person 1 of 2,\n\tyour \\ salary"


ODD = """
CREATE TABLE "a/b" (tenant_id int NOT NULL, n int); CREATE TABLE "Same" (tenant_id int NOT NULL, t text);
CREATE TABLE same (tenant_id int NOT NULL, t text); CREATE TABLE ".." (tenant_id int NOT NULL, d date);
CREATE SCHEMA other; CREATE TABLE other.same (tenant_id int NOT NULL); GRANT USAGE ON SCHEMA other TO PUBLIC;
INSERT INTO same VALUES (1, NULL), (1, ''), (1, 'a "b", c'), (2, 'theirs');
"""


def test_every_table_has_a_file_of_its_own_and_no_value_is_not_a_text(postgres18: Cluster, tmp_path: Path) -> None:
    with small(postgres18, ODD) as grants:
        exported(postgres18, grants["acme"], "csv", tmp_path / "out")
        files = {(one["schema"], one["name"]): one["file"] for one in manifest(tmp_path / "out")["tables"]}
        assert len({one.lower() for one in files.values()}) == len(files) == 5
        assert files["public", "a/b"] == "a%2Fb.csv"
        assert files["other", "same"] == "other.same.csv"
        assert all(Path(one).name == one and not one.startswith(".") for one in files.values())
        text = (tmp_path / "out" / files["public", "same"]).read_bytes()
        assert text == b'tenant_id,t\r\n1,\r\n1,""\r\n1,"a ""b"", c"\r\n'
        postgres18.psql(grants["acme"].server.database, "INSERT INTO \"..\" VALUES (1, 'infinity')")
        with pytest.raises(Refused, match="has a value that Parquet has not"):
            exported(postgres18, grants["acme"], "parquet", tmp_path / "parquet")
        assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_nothing_is_written_over_and_a_url_is_no_folder(
    postgres18: Cluster, scene: tuple[str, RuleBook], tmp_path: Path
) -> None:
    database, book = scene
    grant = book.grants["acme", database, False]
    (tmp_path / "mine").write_text("kept", "utf-8")
    with pytest.raises(Refused, match="is not empty"):
        exported(postgres18, grant, "csv", tmp_path)
    with pytest.raises(Refused, match="an export is a folder of this machine"):
        asyncio.run(export_tenant(operators(postgres18, database), grant, "csv", "memory://out"))
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(
    postgres18: Cluster, tmp_path: Path, form: Literal["csv", "parquet"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of the size of the pieces; so must be what is held at a time."""
    monkeypatch.setattr(exporting, "PIECE", 64 << 10)
    rows = "SELECT 1, repeat(md5(g::text), 8) FROM generate_series(1, {}) g"
    held = []
    with small(postgres18, "CREATE TABLE wide (tenant_id int NOT NULL, t text)") as grants:
        for number in (2_000, 40_000):
            postgres18.psql(grants["acme"].server.database, f"TRUNCATE wide; INSERT INTO wide {rows.format(number)}")
            tracemalloc.start()
            try:
                done = exported(postgres18, grants["acme"], form, tmp_path / str(number))
                held.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
            assert done.rows == number
    assert held[1] < held[0] + (2 << 20)  # of ten more
