"""provision: prints what makes the schemas and roles, or runs it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.rls import rls_rules
from tests.kit.sample import pristine
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
    assert "no tenant of these rules has a schema or policies" in result.output
    other = tmp_path / "other"
    other.mkdir()
    (other / "rules.yaml").write_text(schema_rules(1, "nowhere"))
    result = run("provision", "--rules", str(other), "--run", "nonsense")
    assert result.exit_code == 1
    assert "--run: must be" in result.output


def test_policies_are_made_for_the_tables_that_are_there(run: Run, shared_server: Cluster, tmp_path: Path) -> None:
    with pristine(shared_server) as database:
        (tmp_path / "rules.yaml").write_text(rls_rules(shared_server.port, database))
        refused = run("provision", "--rules", str(tmp_path))
        assert refused.exit_code == 1
        assert f"database {database}: --read must say where the tables are, or --run" in refused.output
        place = f"127.0.0.1:{shared_server.port}/{database}?sslmode=disable"
        printed = run("provision", "--rules", str(tmp_path), "--read", f"postgresql://app@{place}")
        assert 'CREATE POLICY partywall ON "public"."orders" FOR ALL TO PUBLIC' in printed.output
        assert 'CREATE ROLE "acme_rls"' in printed.output
        assert run("check", str(tmp_path), "--online").exit_code == 1
        for _ in range(2):
            result = run("provision", "--rules", str(tmp_path), "--run", f"postgresql://{SUPERUSER}@{place}")
            assert (result.exit_code, result.output) == (0, "")
        result = run("check", str(tmp_path), "--online")
        assert result.exit_code == 0, result.output
        shared_server.psql(database, "CREATE TABLE later (tenant_id int NOT NULL)")
        result = run("check", str(tmp_path), "--online")
        assert result.exit_code == 1
        assert "public.later is hidden: the server has not the policy" in result.output


def test_only_those_are_made_who_are_there(run: Run, shared_server: Cluster, tmp_path: Path) -> None:
    rules = rls_rules(shared_server.port, "shared")
    elsewhere = "server: postgresql://app@elsewhere.example:5432/shared?sslmode=disable\n"
    rules = rules.replace("server_login: globex_rls\n", f"server_login: globex_rls\n{elsewhere}")
    (tmp_path / "rules.yaml").write_text(rules)
    place = f"postgresql://app@127.0.0.1:{shared_server.port}/"
    printed = run("provision", "--rules", str(tmp_path), "--read", f"{place}shared?sslmode=disable")
    assert printed.exit_code == 0, printed.output
    assert 'CREATE ROLE "acme_rls"' in printed.output
    assert "globex_rls" not in printed.output
    refused = run("provision", "--rules", str(tmp_path), "--read", f"{place}private1?sslmode=disable")
    assert refused.exit_code == 1
    assert "no tenant of these rules is at 127.0.0.1" in refused.output


def test_where_tenants_are_at_several_servers_what_is_printed_says_which_is_for_whom(run: Run, tmp_path: Path) -> None:
    rules = schema_rules(5432, "erp")
    near = run("provision", "--rules", str(_written(tmp_path / "near", rules)))
    assert "-- at" not in near.output
    far = "server: postgresql://operator@elsewhere.example:5433/erp\n"
    rules = rules.replace("server_login: globex_rw\n", f"server_login: globex_rw\n{far}")
    printed = run("provision", "--rules", str(_written(tmp_path / "far", rules))).output
    parts = dict(part.split("\n", 1) for part in printed.split("-- at ")[1:])
    assert parts.keys() == {"127.0.0.1:5432/erp", "elsewhere.example:5433/erp"}
    assert 'CREATE SCHEMA IF NOT EXISTS "globex";' in parts["elsewhere.example:5433/erp"]
    assert "globex" not in parts["127.0.0.1:5432/erp"]


def _written(folder: Path, rules: str) -> Path:
    folder.mkdir()
    (folder / "rules.yaml").write_text(rules)
    return folder
