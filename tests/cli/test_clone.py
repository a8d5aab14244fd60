"""`partywall clone` beside a proxy that serves: both tenants work afterwards, and what was masked is nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.backup.staging import MASKING, PASSWORDS, SECRETS, company
from tests.cli.conftest import Run
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy

ACME = ("clone", "--tenant", "acme")


@pytest.fixture(params=["row", "rls"])
def serving(request: pytest.FixtureRequest, postgres18: Cluster) -> Iterator[Proxy]:
    """A proxy in front of the company."""
    with (
        company(postgres18, request.param) as (database, rules),
        running_proxy(postgres18.port, database, rules=rules) as proxy,
    ):
        yield proxy


def connected(proxy: Proxy, tenant: str) -> psycopg.Connection:
    login = f"{tenant}_app"
    return psycopg.connect(
        host="127.0.0.1", port=proxy.port, user=login, password=PASSWORDS[login], dbname=proxy.database, autocommit=True
    )


def where(proxy: Proxy, cluster: Cluster) -> tuple[str, ...]:
    uri = f"postgresql://postgres@127.0.0.1:{cluster.port}/{proxy.database}?sslmode=disable"
    return ("--database", proxy.database, "--rules", str(proxy.directory / "rules"), "--server", uri)


def test_both_tenants_work_through_the_proxy_afterwards(
    run: Run, serving: Proxy, postgres18: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTYWALL_STATE_DIRECTORY", str(serving.directory / "state"))
    monkeypatch.setenv("PARTYWALL_MASKING_KEY", "a key of sixteen and more")
    file = tmp_path / "masking.yaml"
    file.write_text(MASKING, "utf-8")
    everything = "SELECT p::text || l::text FROM people p JOIN letters l ON l.recipient = p.email ORDER BY p.email"
    with connected(serving, "acme") as acme, connected(serving, "staging") as staging:
        before = acme.execute(everything).fetchall()
        arguments = (*ACME, "--as", "staging", "--masking", str(file), *where(serving, postgres18))
        told = run(*arguments, "--dry-run")
        assert told.exit_code == 0, told.output
        assert told.stdout.splitlines() == [
            "people: 40 inserted, 0 updated, 0 deleted",
            "letters: 40 inserted, 0 updated, 0 deleted",
            "people.id: 40 keys given anew",
            "a dry run: nothing was changed",
            "13 columns masked",
        ]
        assert staging.execute(everything).fetchall() == []
        assert run(*arguments).exit_code == 0
        found = staging.execute(everything).fetchall()
        assert (len(found), acme.execute(everything).fetchall()) == (40, before)
        assert not [one for one in SECRETS for (text,) in found if one in text]
        for client in (acme, staging):
            client.execute("INSERT INTO people (email, name, country) VALUES ('new', 'New', 'dk')")
            client.execute("INSERT INTO letters (recipient, body) VALUES ('new', 'hello')")
            assert client.execute("SELECT count(*) FROM letters JOIN people ON recipient = email").fetchone() == (41,)
        refused = run(*arguments)
        assert (refused.exit_code, "staging has rows already in" in refused.stderr) == (1, True)
        done = run(*arguments, "--mode", "replace", "--json")
        assert done.exit_code == 0, done.output
        told_json = json.loads(done.stdout)
        assert told_json["tables"]["letters"]["delete"] == 1
        assert told_json["masked_columns"] == 13
        for client in (acme, staging):
            assert client.execute("SELECT count(*) FROM letters").fetchone() == (41,)


def test_what_is_in_the_way_is_told_and_nothing_is_changed(
    run: Run, postgres18: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTYWALL_STATE_DIRECTORY", str(tmp_path))
    with company(postgres18) as (database, rules):
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "r.yaml").write_text(rules, "utf-8")
        uri = f"postgresql://postgres@127.0.0.1:{postgres18.port}/{database}?sslmode=disable"
        given = ("--database", database, "--rules", str(tmp_path / "rules"), "--server", uri)
        (tmp_path / "bad.yaml").write_text("tables: {people: {name: hide}}\n", "utf-8")
        (tmp_path / "some.yaml").write_text("tables: {people: {name: hash, none: keep}}\n", "utf-8")
        for arguments, why in (
            (("--as", "nobody"), f"no tenant nobody has a database {database}"),
            (("--as", "acme", "--no-pause"), "a tenant is not cloned onto itself"),
            (("--as", "staging", "--masking", str(tmp_path / "none")), "cannot be read"),
            (("--as", "staging", "--masking", str(tmp_path / "bad.yaml")), "bad.yaml:1: people: name: must be keep"),
            (
                ("--as", "staging", "--masking", str(tmp_path / "some.yaml")),
                "people has no column none\npeople.id is not",
            ),
            (("--as", "globex", "--mode", "replace"), "the tenant cannot be paused there"),
        ):
            refused = run(*ACME, *arguments, *given)
            assert (refused.exit_code, why in refused.stderr) == (1, True), refused.stderr
        done = run(*ACME, "--as", "staging", *given)
        assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "nothing is masked"), done.stderr
        count = "SELECT count(*) FILTER (WHERE name LIKE 'Person%') FROM people WHERE tenant_id = 9"
        assert postgres18.psql(database, count).strip() == "40"
