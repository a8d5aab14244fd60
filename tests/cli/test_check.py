"""check: every mistake with file and line, status 1; with --online the servers are asked too."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run


def test_good_rules_are_counted(run: Run, sample: str) -> None:
    result = run("check", sample)
    assert result.exit_code == 0
    assert result.output == "1 databases, 3 tenants, 4 logins: no mistakes\n"


def test_every_mistake_is_told_with_its_line(run: Run, sample: str) -> None:
    with (Path(sample) / "more.yaml").open("w") as file:
        file.write("tenant: x\nkey: 1\ndatabases: [nowhere]\ncolour: red\nlogins: {a: {verifier: no}}\n")
    result = run("check", sample)
    assert result.exit_code == 1
    assert "more.yaml:" in result.output
    for what in ("colour", "verifier"):
        assert what in result.output


def test_the_servers_are_asked_and_their_findings_come_with_remedies(run: Run, sample: str) -> None:
    result = run("check", sample, "--online")
    assert result.exit_code == 0, result.output
    assert "shared: warning: " in result.output
    assert "Remedy: REVOKE TEMPORARY" in result.output


def test_a_folder_that_is_not_there_is_a_mistake(run: Run, tmp_path: Path) -> None:
    result = run("check", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert "none" in result.output
