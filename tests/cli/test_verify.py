"""`partywall verify`: status 0 for an archive that is whole or rows that are the same, 1 with the reason for others."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.conftest import Run
from tests.kit.postgres import Cluster
from tests.kit.rules import own_rules, write_sample_rules
from tests.kit.sample import load_sample, pristine
from tests.kit.schemas import load_schemas, schema_rules


def test_what_is_no_archive_or_not_whole_is_refused_with_the_reason(run: Run, sample: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert run("backup", "--tenant", "acme", "--database", "shared", "-o", str(path), "--rules", sample).exit_code == 0
    whole = path.read_bytes()
    for text, why in (
        (b"", "it ends before its end"),
        (b"x" * 2000, "there is no member's header"),
        (whole[:-1], "it does not end where it should"),
        (whole[:-1500], "it ends within manifest.sha256"),
        (whole.replace(b"manifest.sha256", b"manifest.sha512", 1), "header"),
    ):
        path.write_bytes(text)
        done = run("verify", str(path))
        assert done.exit_code == 1
        assert done.stderr.splitlines()[-1].startswith("the archive is damaged: ")
        assert why in done.stderr
    absent = run("verify", str(tmp_path / "absent"))
    assert absent.exit_code == 1
    assert "No such file" in absent.stderr
    folder = run("verify", f"{tmp_path}/absent/")
    assert (folder.exit_code, "it has no manifest" in folder.stderr) == (1, True)


def test_an_archive_is_compared_with_the_live_rows(run: Run, postgres15: Cluster, tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    with pristine(load_sample(postgres15)) as database:
        write_sample_rules(tmp_path, postgres15.port, database)
        rules = ("--rules", str(tmp_path))
        made = run("backup", "--tenant", "globex", "--database", database, "-o", path, *rules)
        assert made.exit_code == 0, made.output
        same = run("verify", path, "--live", *rules)
        assert re.fullmatch(r"globex: the rows of \d+ tables are the same, as of \S+Z\n", same.stdout), same.output
        postgres15.psql(
            database,
            "DELETE FROM notes WHERE id = 1; UPDATE coupons SET pct = pct + 1; ALTER TABLE metrics ADD since int",
        )
        other = run("verify", path, "--live", *rules)
        assert other.exit_code == 1
        assert other.stdout.splitlines() == [
            "coupons: 0 only in the archive, 0 only live, 2 changed",
            "metrics: since is only live",
            "notes: 1 only in the archive, 0 only live, 0 changed",
        ]
        told = json.loads(run("verify", path, "--live", "--json", *rules).stdout)
        assert (told["equal"], len(told["moments"])) == (False, 1)
        assert told["tables"]["notes"] == {"left": 1, "right": 0, "changed": 0, "columns": []}
        assert told["tables"]["orders"] == {"left": 0, "right": 0, "changed": 0, "columns": []}
        absent = run("verify", path, "--live", "--database", "nowhere", *rules)
        assert (absent.exit_code, "no tenant globex has a database nowhere" in absent.stderr) == (1, True)


def test_a_schema_and_a_database_of_ones_own_are_compared_too(run: Run, postgres15: Cluster, tmp_path: Path) -> None:
    load_schemas(postgres15)
    program = str(postgres15.binaries / "pg_dump")
    for name, text, table in (
        ("beside", schema_rules(postgres15.port, "beside_live"), "acme.orders"),
        ("private1", own_rules(postgres15.port, "beside_live"), "orders"),
    ):
        postgres15.create_database("beside_live", f"template_{name}")
        try:
            folder = tmp_path / name
            folder.mkdir()
            (folder / "r.yaml").write_text(text, "utf-8")
            uri = f"postgresql://postgres@127.0.0.1:{postgres15.port}/beside_live?sslmode=disable"
            where = ("--rules", str(folder), "--server", uri)
            path = str(tmp_path / f"{name}.partywall")
            made = run("backup", "--tenant", "acme", "--database", "shared", "-o", path, "--pg-dump", program, *where)
            assert made.exit_code == 0, made.output
            assert run("verify", path, "--live", *where).exit_code == 0
            both = ("verify", "--tenant", "acme", "--database", "shared", "--against", uri, *where)
            assert run(*both).exit_code == 0
            changed = f"UPDATE {table} SET note = 'x' WHERE id = (SELECT min(id) FROM {table})"
            postgres15.psql("beside_live", changed)
            other = run("verify", path, "--live", *where)
            assert (other.exit_code, f"{table}: 0 only in the archive, 0 only live, 1 changed" in other.stdout) == (
                1,
                True,
            ), other.output
        finally:
            postgres15.drop_database("beside_live")


def test_a_tenant_is_compared_with_the_same_one_elsewhere(
    run: Run, postgres15: Cluster, postgres18: Cluster, tmp_path: Path
) -> None:
    with pristine(load_sample(postgres15)) as here, pristine(load_sample(postgres18)) as there:
        write_sample_rules(tmp_path, postgres15.port, here)
        uri = f"postgresql://postgres@127.0.0.1:{postgres18.port}/{there}?sslmode=disable"
        both = ("verify", "--tenant", "acme", "--database", here, "--against", uri, "--rules", str(tmp_path))
        same = run(*both)
        assert (same.exit_code, "are the same" in same.stdout) == (0, True), same.output
        postgres18.psql(there, "DELETE FROM notes WHERE id = 1; INSERT INTO coupons VALUES ('new', 1, 9)")
        other = run(*both)
        assert (other.exit_code, other.stdout.splitlines()) == (
            1,
            [
                "coupons: 0 only here, 1 only there, 0 changed",
                "notes: 1 only here, 0 only there, 0 changed",
            ],
        )
        for wrong in (("verify",), ("verify", "x", "--against", uri), ("verify", "--against", uri, "--tenant", "acme")):
            assert run(*wrong).exit_code == 2
        bad = run("verify", "--tenant", "acme", "--database", here, "--against", "x", "--rules", str(tmp_path))
        assert (bad.exit_code, bad.stderr.startswith("--against: must be postgresql://")) == (1, True)
        stream = run("verify", "-", "--live")
        assert (stream.exit_code, "an archive is read twice" in stream.stderr) == (1, True)
