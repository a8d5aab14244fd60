"""provision: prints what makes the schemas and roles, or runs it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.schemas import REFERENCE, schema_rules


def test_it_prints_and_runs_what_makes_schemas_and_roles(run: Run, server: Cluster, tmp_path: Path) -> None:
    server.create_database("to_provision")
    try:
        server.psql("to_provision", REFERENCE)
        (tmp_path / "rules.yaml").write_text(schema_rules(server.port, "to_provision"))
        result = run("provision", "--rules", str(tmp_path), "--tenant", "acme")
        assert result.exit_code == 0
        assert 'CREATE SCHEMA IF NOT EXISTS "acme";' in result.output
        assert "globex" not in result.output
        place = f"postgresql://{SUPERUSER}@127.0.0.1:{server.port}/to_provision?sslmode=disable"
        for _ in range(2):
            result = run("provision", "--rules", str(tmp_path), "--run", place)
            assert (result.exit_code, result.output) == (0, "")
        result = run("check", str(tmp_path), "--online")
        assert result.exit_code == 0, result.output
    finally:
        server.drop_database("to_provision")


def test_rules_without_such_a_tenant_and_a_wrong_place_are_mistakes(run: Run, sample: str, tmp_path: Path) -> None:
    result = run("provision", "--rules", sample)
    assert result.exit_code == 1
    assert "no tenant of these rules has a schema of its own" in result.output
    other = tmp_path / "other"
    other.mkdir()
    (other / "rules.yaml").write_text(schema_rules(1, "nowhere"))
    result = run("provision", "--rules", str(other), "--run", "nonsense")
    assert result.exit_code == 1
    assert "--run: must be" in result.output
