"""`partywall backup` and what it leaves: a file, a folder, a stream, an object; as the operator's role, quietly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.backup.manifest import decode
from tests.cli.conftest import Run
from tests.kit.postgres import Cluster
from tests.kit.rules import write_sample_rules

GLOBEX = ("--tenant", "globex", "--database", "shared")


def test_a_backup_is_made_and_verified(run: Run, sample: str, tmp_path: Path) -> None:
    path = tmp_path / "globex.partywall"
    made = run("backup", *GLOBEX, "-o", str(path), "--rules", sample)
    assert made.exit_code == 0, made.output
    assert "globex in shared: 197 rows of 19 tables, as of 20" in made.stdout
    lines = [json.loads(line) for line in made.stderr.splitlines()]
    assert lines[-1]["phase"] == "read"
    assert lines[-1]["rows"] == 197
    checked = run("verify", str(path))
    assert checked.exit_code == 0
    assert "globex in shared (row), as of" in checked.stdout
    manifest = run("verify", str(path), "--json")
    assert decode(manifest.stdout.encode()).rows == 197
    again = run("backup", *GLOBEX, "-o", str(path), "--rules", sample)
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_a_folder_and_a_stream_hold_the_same(sample: str, tmp_path: Path) -> None:
    folder = f"{tmp_path}/globex/"
    command = [sys.executable, "-m", "proxy", "backup", *GLOBEX, "--rules", sample, "--jobs", "1", "-o"]
    subprocess.run([*command, folder], check=True, capture_output=True, timeout=60)
    stream = subprocess.run([*command, "-"], check=True, capture_output=True, timeout=60)
    assert b"197 rows" in stream.stderr
    verify = [sys.executable, "-m", "proxy", "verify"]
    one = subprocess.run([*verify, folder], check=True, capture_output=True, timeout=60)
    other = subprocess.run([*verify, "-"], input=stream.stdout, check=True, capture_output=True, timeout=60)
    assert one.stdout.partition(b" as of ")[0] == other.stdout.partition(b" as of ")[0]


def test_an_archive_for_a_recipient_is_read_by_nobody_else(run: Run, sample: str, tmp_path: Path) -> None:
    key = tmp_path / "operator.key"
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True, timeout=60)
    public = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True, timeout=60).stdout
    path = str(tmp_path / "globex.age")
    assert run("backup", *GLOBEX, "-o", path, "--rules", sample, "--recipient", public).exit_code == 0
    assert run("verify", path, "--identity", str(key)).exit_code == 0
    refused = run("verify", path)
    assert (refused.exit_code, refused.stderr) == (1, f"{path} is encrypted; name an --identity\n")
    opened = subprocess.run(["age", "-d", "-i", key, path], check=True, capture_output=True, timeout=60)
    listed = subprocess.run(["tar", "-tf", "-"], input=opened.stdout, check=True, capture_output=True, timeout=60)
    assert listed.stdout.endswith(b"manifest.json\nmanifest.sha256\n")


def test_it_goes_as_the_operators_role_where_there_is_one(
    run: Run, postgres15: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.kit.sample import load_sample, pristine

    with pristine(load_sample(postgres15)) as database:
        postgres15.psql(database, "REVOKE SELECT ON coupons FROM app; CREATE ROLE keeper LOGIN PASSWORD 'kept'")
        try:
            postgres15.psql(
                database, f'GRANT CONNECT ON DATABASE "{database}" TO keeper; GRANT pg_read_all_data TO keeper'
            )
            (tmp_path / "rules").mkdir()
            write_sample_rules(tmp_path / "rules", postgres15.port, database)
            whose = ("backup", "--tenant", "acme", "--database", database, "--rules", str(tmp_path / "rules"), "-o")
            refused = run(*whose, str(tmp_path / "a"))
            assert refused.exit_code == 1
            assert "backup of acme: permission denied for table coupons" in refused.stderr
            assert "set operator_role" in refused.stderr
            monkeypatch.setenv("PARTYWALL_OPERATOR_ROLE", "keeper")
            monkeypatch.setenv("PARTYWALL_OPERATOR_PASSWORD", "kept")
            assert run(*whose, str(tmp_path / "a")).exit_code == 0
            monkeypatch.delenv("PARTYWALL_OPERATOR_ROLE")
            monkeypatch.delenv("PARTYWALL_OPERATOR_PASSWORD")
            uri = f"postgresql://keeper@127.0.0.1:{postgres15.port}/{database}?sslmode=disable"
            assert run(*whose, str(tmp_path / "b"), "--server", uri).exit_code == 0
        finally:
            postgres15.psql(database, "DROP OWNED BY keeper; DROP ROLE keeper")


def test_what_cannot_be_is_said_and_nothing_is_made(run: Run, sample: str, tmp_path: Path) -> None:
    out = ("-o", str(tmp_path / "a"), "--rules", sample)
    for arguments, why in (
        (("--tenant", "nobody", "--database", "shared"), "no tenant nobody has a database shared in these rules"),
        ((*GLOBEX, "--server", "nonsense"), "--server: must be postgresql://"),
        ((*GLOBEX, "--recipient", "me"), "is no age recipient"),
        ((*GLOBEX, "--server", "postgresql://a@127.0.0.1:1/x"), "backup of globex: "),
    ):
        done = run("backup", *arguments, *out)
        assert done.exit_code == 1
        assert why in done.stderr
    assert run("backup", *GLOBEX, *out, "--jobs", "0").exit_code == 2
    assert not os.path.lexists(tmp_path / "a")
