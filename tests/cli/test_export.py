"""`partywall export`: a folder of files, or the reason why there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

GLOBEX = ("export", "--tenant", "globex", "--database", "shared")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_sample_set_is_exported_and_its_checksums_hold(run: Run, sample: str, tmp_path: Path, form: str) -> None:
    folder = tmp_path / "globex"
    done = run(*GLOBEX, "--format", form, "-o", f"{folder}/", "--rules", sample)
    assert done.exit_code == 0, done.output
    assert "globex in shared: 197 rows of 19 tables, as of 20" in done.stdout
    assert json.loads(done.stderr.splitlines()[-1])["rows"] == 197
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True, timeout=60)
    names = {one.name for one in folder.iterdir()}
    assert {f"orders.{form}", f"Order Details.{form}"} <= names
    assert not [one for one in names if one.startswith(("products", "categories"))]


def test_what_cannot_be_is_said_and_nothing_is_made(
    run: Run, sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ("-o", str(tmp_path / "out"), "--rules", sample)
    for arguments, why in (
        (("export", "--tenant", "nobody", "--database", "shared"), "no tenant nobody has a database shared"),
        ((*GLOBEX, "--server", "postgresql://a@127.0.0.1:1/x"), "export of globex: "),
    ):
        refused = run(*arguments, *out)
        assert (refused.exit_code, why in refused.stderr) == (1, True), refused.stderr
    assert run(*GLOBEX, *out, "--format", "xml").exit_code == 2
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = run(*GLOBEX, *out, "--format", "parquet")
    assert refused.exit_code == 1
    assert refused.stderr == "Parquet needs pyarrow, which is not installed: pip install 'partywall[parquet]'\n"
    assert not (tmp_path / "out").exists()
