"""`partywall move --mode`: the document of the tenant changes with its place, and its clients go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.auth.scram import build_verifier
from proxy.doctor.provision import provision
from tests.backup.modes import OWN_ROLE, ROWS, Spot, furnished, grant_of, spots
from tests.backup.shelf import ROLE
from tests.cli.conftest import Run
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.proxy import Proxy, running_proxy

RULES = """\
database: store
server: postgresql://{role}@127.0.0.1:{port}/{name}?sslmode=disable
isolation: row
tenant_column: tenant_id
accept: [keys.bills]
---
tenant: globex     # has grown
key: 2
databases: [store]
logins: {{globex_app: {{verifier: "{verifier}"}}}}
---
tenant: acme
key: 1
databases: [store]
"""
PASSWORD = "of globex_app"


@dataclass(slots=True)
class Scene:
    """A proxy that serves globex among others' rows, and a schema for it in the same database."""

    proxy: Proxy
    here: Spot
    there: Spot

    @property
    def common(self) -> tuple[str, ...]:
        place = f"postgresql://{SUPERUSER}@127.0.0.1:{self.here.cluster.port}/{self.here.database}?sslmode=disable"
        rules = str(self.proxy.directory / "rules")
        return "move", "--tenant", "globex", "--database", "store", "--rules", rules, "--server", place


@pytest.fixture
def scene(postgres15: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with spots(postgres15, "row") as (here,):
        there = furnished(postgres15, here.database, "schema")
        postgres15.psql(here.database, provision(grant_of(postgres15, here.database, "schema"), b"0123456789abcdef"))
        postgres15.psql(
            here.database,
            f"GRANT CONNECT ON DATABASE {here.database} TO {ROLE}; GRANT USAGE ON SCHEMA public TO {ROLE};"
            f" GRANT SELECT, INSERT, UPDATE, DELETE ON parts, marks, bills TO {ROLE};"
            f" GRANT USAGE ON SEQUENCE bills_id_seq TO {ROLE}",
        )
        here.sql(ROWS.format(key=2))
        verifier = build_verifier(PASSWORD, b"0123456789abcdef", 4096)
        rules = RULES.format(role=ROLE, port=postgres15.port, name=here.database, verifier=verifier)
        with running_proxy(postgres15.port, "store", rules=rules) as proxy:
            proxy.passwords["globex_app"] = PASSWORD
            monkeypatch.setenv("PARTYWALL_STATE_DIRECTORY", str(proxy.directory / "state"))
            yield Scene(proxy, here, there)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("--schema", "globex", "--to", "postgresql://a@b/c"), "go with --mode"),
        (("--mode", "row", "--status"), "--to or --mode, or one of"),
        ((), "--to or --mode, or one of"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(run: Run, given: tuple[str, ...], why: str, tmp_path: Path) -> None:
    done = run("move", "--tenant", "globex", "--database", "store", "--rules", str(tmp_path), *given)
    assert (done.exit_code, why in " ".join(done.stderr.replace("│", "").split())) == (2, True), done.output


def test_what_the_mode_needs_is_told_by_the_rules(run: Run, scene: Scene) -> None:
    lacking = run(*scene.common, "--mode", "schema", "--dry-run")
    assert (lacking.exit_code, "must say schema and server_login" in lacking.stderr) == (1, True), lacking.output
    same = run(*scene.common, "--mode", "row", "--dry-run")
    assert (same.exit_code, "already" in same.stderr) == (1, True), same.output
    dry = run(*scene.common, "--mode", "schema", "--schema", "globex", "--login", OWN_ROLE, "--dry-run")
    assert (dry.exit_code, "3 tables would move" in dry.stdout) == (0, True), dry.output
    walled = run(*scene.common, "--mode", "rls", "--login", OWN_ROLE, "--dry-run")
    assert (walled.exit_code, "must say isolation: rls or second_wall: rls" in walled.stderr) == (1, True), (
        walled.output
    )
