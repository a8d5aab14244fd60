"""check: every mistake with file and line, status 1; with --online the servers are asked too."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from proxy.catalog.model import Catalog, Function
from proxy.cli.check import extension_findings
from proxy.tenancy.derived import own_sequence, seed
from tests.cli.conftest import Run
from tests.kit.builders import VERIFIER
from tests.sql.worlds import sample_policy


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


def test_an_extension_that_is_listed_and_not_there_is_a_finding(run: Run, sample: str) -> None:
    file = Path(sample) / "sample.yaml"
    file.write_text(file.read_text().replace("isolation: row\n", "isolation: row\nextensions: [uuid-ossp]\n"))
    result = run("check", sample, "--online")
    assert result.exit_code == 1
    assert 'does not have it. Remedy: CREATE EXTENSION "uuid-ossp" SCHEMA public' in result.output


def test_an_extension_that_is_there_and_not_listed_or_elsewhere_is_told() -> None:
    trgm = Function(1, "elsewhere", "similarity", "f", (25, 25), 700, extension="pg_trgm")
    installed = {"pg_trgm": "1.6", "plpgsql": "1.0"}
    catalog = Catalog(1, 150018, "shared", {}, {}, {"similarity": (trgm,)}, {}, {}, {}, extensions=installed)
    (text,) = extension_findings(catalog, sample_policy())
    assert text.startswith("extension pg_trgm is installed and not listed")
    (text,) = extension_findings(catalog, replace(sample_policy(), extensions=("pg_trgm",)))
    assert text == "extension pg_trgm is in the schema elsewhere: only public is served"


def test_a_tenant_without_a_sequence_of_its_own_is_told_the_ddl(run: Run, sample: str) -> None:
    file = Path(sample) / "sample.yaml"
    file.write_text(file.read_text().replace("invoice_no_seq: shared", "invoice_no_seq: per_tenant"))
    result = run("check", sample, "--online")
    assert result.exit_code == 1
    assert result.output.count("has no sequence of its own for public.invoice_no_seq. Remedy: CREATE SEQUENCE") == 3
    own = f'"public"."{own_sequence("invoice_no_seq", seed("acme", "shared"))}"'
    assert f'CREATE SEQUENCE {own}; GRANT USAGE, UPDATE ON SEQUENCE {own} TO "app"' in result.output


def test_servers_that_keep_verifiers_are_asked_for_them(run: Run, sample: str) -> None:
    file = Path(sample) / "sample.yaml"
    asking = "auth_query: {query: 'SELECT unnest($1::text[]), NULL::text'}\naccept:"
    tenant = (
        "tenant: x\nkeys: {default: 9, slug: x, uid: 9}\ndatabases: [shared]\nlogins: {a: {verifier: auth_query}}\n"
    )
    good = file.read_text().replace("accept:", asking, 1) + "---\n" + tenant
    file.write_text(good)
    result = run("check", sample, "--online")
    assert result.exit_code == 0, result.output
    assert "login a: auth_query tells no SCRAM-SHA-256 verifier" in result.output
    file.write_text(good.replace("unnest(", "nonsense("))
    result = run("check", sample, "--online")
    assert result.exit_code == 1
    assert "auth_query as app: function nonsense" in result.output


def test_a_database_of_the_tenants_own_is_asked_what_its_role_can_reach(run: Run, sample: str) -> None:
    file = Path(sample) / "sample.yaml"
    (server,) = re.findall(r"^server: .*\n", file.read_text(), re.MULTILINE)
    login = f"logins: {{a: {{verifier: '{VERIFIER}'}}}}\n"
    server = re.sub(r"/\w+\?", "/postgres?", server)  # where nothing acts as its owner
    own = f"database: own\nisolation: database\n---\ntenant: x\ndatabases: [own]\n{server}{login}"
    file.write_text(own)
    result = run("check", sample, "--online")
    assert result.exit_code == 0, result.output
    assert "hidden" not in result.output
    file.write_text(own.replace("//app@", "//postgres@"))
    result = run("check", sample, "--online")
    assert result.exit_code == 1
    assert "own: critical: " in result.output
    assert "is a superuser" in result.output
