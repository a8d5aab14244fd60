"""doctor: findings for people and for programs; the exit status tells the worst."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.doctor.clinic import ROLE, clinic
from tests.kit.postgres import Cluster

RULES = """\
database: clinic
server: postgresql://{role}@127.0.0.1:{port}/{name}?sslmode=disable
tenant_column: tenant_id
accept: [{accept}]
---
tenant: acme
key: 1
databases: [clinic]
"""
SOUND = "CREATE TABLE t (tenant_id int NOT NULL, id int NOT NULL, PRIMARY KEY (tenant_id, id));"
REVOKED = (
    "DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());"
    f" EXECUTE format('GRANT CONNECT ON DATABASE %I TO {ROLE}', current_database()); END $$;"
)


@pytest.mark.parametrize(
    ("sql", "accept", "status", "score"),
    [
        (SOUND + REVOKED, "", 0, 100),
        (SOUND + REVOKED + "CREATE INDEX odd ON t (id);", "", 0, 99),
        (SOUND, "", 3, 94),  # temporary objects, and everybody may connect
        (REVOKED + "CREATE TABLE t (tenant_id int NOT NULL, id int PRIMARY KEY);", "", 1, 74),
        (REVOKED + "CREATE TABLE t (tenant_id int NOT NULL, id int PRIMARY KEY);", "keys.t", 0, 99),
        (REVOKED + "CREATE TABLE t (tenant_id int NOT NULL, id int PRIMARY KEY);", "keys.u", 1, 74),
    ],
)
def test_the_status_tells_the_worst_that_is_not_accepted(
    run: Run, postgres18: Cluster, tmp_path: Path, sql: str, accept: str, status: int, score: int
) -> None:
    with clinic(postgres18, sql) as name:
        rules = RULES.format(role=ROLE, port=postgres18.port, name=name, accept=accept)
        (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
        arguments = ["doctor", "--database", "clinic", "--rules", str(tmp_path)]
        told, plain = run(*arguments), run(*arguments, "--json")
    assert (told.exit_code, plain.exit_code) == (status, status), told.output
    (report,) = json.loads(plain.stdout)
    place = f"{ROLE}@127.0.0.1:{postgres18.port}/{name}"
    assert (report["place"], report["score"]) == (place, score)
    assert told.stdout.splitlines()[0] == f"{place}: score {score} of 100"
    for finding in report["findings"]:
        assert finding["accepted"] is (finding["name"] == accept)
        for part in (finding["text"], finding["attack"], finding["remedy"]):
            assert part in told.stdout
        assert (f"{finding['severity']}: {finding['name']} (accepted)" in told.stdout) is finding["accepted"]


def test_a_database_that_no_rule_names_or_no_server_answers_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.format(role=ROLE, port=1, name="x", accept=""), encoding="utf-8")
    done = run("doctor", "--database", "other", "--rules", str(tmp_path))
    assert (done.exit_code, "no tenant has a database other" in done.output) == (1, True)
    done = run("doctor", "--database", "clinic", "--rules", str(tmp_path))
    assert (done.exit_code, "database clinic: " in done.output) == (1, True)
    done = run("doctor", "--tenant", "nobody", "--rules", str(tmp_path))
    assert (done.exit_code, "no tenant nobody that has a database in these rules" in done.output) == (1, True)
    assert run("doctor", "--wrong").exit_code == 2
