"""Commands take an archive of only what changed together with those that it builds on, encrypted or not."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.backup.shelf import checksums
from tests.cli.conftest import Run
from tests.kit.postgres import Cluster
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample, pristine


def test_a_chain_is_made_verified_and_put_back(run: Run, postgres15: Cluster, tmp_path: Path) -> None:
    key = tmp_path / "operator.key"
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True, timeout=60)
    public = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True, timeout=60).stdout
    with pristine(load_sample(postgres15)) as database:
        (tmp_path / "rules").mkdir()
        write_sample_rules(tmp_path / "rules", postgres15.port, database)
        uri = f"postgresql://postgres@127.0.0.1:{postgres15.port}/{database}?sslmode=disable"
        where = ("--rules", str(tmp_path / "rules"), "--server", uri)
        whose = ("backup", "--tenant", "globex", "--database", database, *where, "--recipient", public, "-o")
        opened = ("--identity", str(key))
        first, second = str(tmp_path / "first"), str(tmp_path / "second")
        assert run(*whose, first).exit_code == 0
        postgres15.psql(database, "UPDATE notes SET body = 'x' WHERE tenant = 'globex' AND id = 1")
        before = checksums(postgres15, database)
        made = run(*whose, second, "--since", first, *opened)
        assert (made.exit_code, "1 rows of 19 tables" in made.stdout) == (0, True), made.output
        postgres15.psql(database, "DELETE FROM notes WHERE tenant = 'globex'")
        told = run("verify", second, *opened)
        assert f"197 rows of 19 tables, with {first}; since " in told.stdout
        assert "1 rows came, and 1 went" in told.stdout
        (tmp_path / "first").rename(tmp_path / "moved")
        putting = ("restore", second, "--mode", "replace", "--no-pause", *where, *opened)
        for arguments in (("verify", second, *opened), putting):
            refused = run(*arguments)
            assert (refused.exit_code, "is not beside it; name it with --base" in refused.stderr) == (1, True)
        done = run(*putting, "--base", str(tmp_path / "moved"))
        assert (done.exit_code, done.stdout) == (0, "notes: 5 inserted, 0 updated, 0 deleted\n"), done.output
        assert checksums(postgres15, database) == before
