"""`partywall move --mode`: the document of the tenant changes with its place, and its clients go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from proxy.auth.scram import build_verifier
from proxy.cli.move import Order
from proxy.doctor.provision import provision
from tests.backup.modes import OWN_ROLE, ROWS, Spot, furnished, grant_of, spots
from tests.backup.shelf import ROLE
from tests.cli.conftest import Run
from tests.kit.books import eventually
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

    @property
    def document(self) -> dict[str, object]:
        """globex's."""
        text = (self.proxy.directory / "rules" / "sample.yaml").read_text("utf-8")
        return next(one for one in yaml.safe_load_all(text) if one.get("tenant") == "globex")


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


def test_among_others_and_in_a_schema_of_its_own_and_back_in_one_database(run: Run, scene: Scene) -> None:
    into = ("--mode", "schema", "--schema", "globex", "--login", OWN_ROLE)
    dry = run(*scene.common, *into, "--dry-run")
    assert (dry.exit_code, "3 tables would move" in dry.stdout) == (0, True), dry.output
    rows = scene.here.rows()
    done = run(*scene.common, *into)
    assert (done.exit_code, f"/{scene.here.database}, schema globex: " in done.stdout) == (0, True), done.output
    assert scene.document | {"logins": 0} == {
        "tenant": "globex", "key": 2, "databases": ["store"], "logins": 0,
        "isolation": "schema", "schema": "globex", "server_login": OWN_ROLE,
    }  # fmt: skip
    with scene.proxy.connect("globex_app") as client:
        assert client.simple("INSERT INTO marks (said) VALUES ('at home')").errors == []
        assert client.simple("SELECT count(*) FROM parts").rows == [(b"20",)]
    assert len(scene.there.rows()) == len(rows) + 1
    status = run(*scene.common, "--status")
    assert (status.exit_code, "globex: moved, " in status.stdout) == (0, True), status.output
    assert run(*scene.common, "--clean").stdout.startswith(f"{len(rows)} rows were deleted at ")
    back = run(*scene.common, "--mode", "row")
    assert back.exit_code == 0, back.output
    assert scene.document["schema"] is scene.document["server_login"] is None
    assert len(scene.here.rows()) == len(rows) + 1
    with scene.proxy.connect("globex_app") as client:
        assert eventually(lambda: client.simple("SELECT count(*) FROM parts").rows == [(b"20",)], 10)


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


def test_what_is_cleaned_is_where_it_came_from_in_whatever_words_the_rules_say_where_it_is(
    run: Run, scene: Scene
) -> None:
    asked = ("--mode", "schema", "--schema", "globex", "--login", OWN_ROLE)
    file = scene.proxy.directory / "rules" / "sample.yaml"
    before, rows = file.read_text("utf-8"), scene.here.rows()
    moved = run(*scene.common, *asked, "--max-pause", "20")
    assert moved.exit_code == 0, moved.output
    after = file.read_text("utf-8")
    plain = after.replace('isolation: "schema"', "isolation: schema").replace(f'"{OWN_ROLE}"', OWN_ROLE)
    other = plain.replace(f"server_login: {OWN_ROLE}", "server_login: another")
    assert len({before, after, plain, other}) == 4
    order = scene.proxy.directory / "state" / "moves" / "globex@store.json"
    asked_for = order.read_text("utf-8")
    for text in (plain, other):
        file.write_text(text, "utf-8")
        assert run(*scene.common, "--status").stdout.startswith("globex: moved, ")
    assert run(*scene.common, "--abort").exit_code == 1
    order.write_text(json.dumps(json.loads(asked_for) | {"before": after}), "utf-8")
    file.write_text(after, "utf-8")
    wrong = run(*scene.common, "--clean")
    assert (wrong.exit_code, "and goes to that very place" in wrong.stderr) == (1, True), wrong.output
    assert (scene.here.rows(), scene.there.rows()) == (rows, rows)
    order.write_text(asked_for, "utf-8")
    file.write_text(other, "utf-8")
    cleaned = run(*scene.common, "--clean")
    assert (cleaned.exit_code, scene.here.rows(), scene.there.rows()) == (0, [], rows), cleaned.output


def test_a_tenant_that_has_other_databases_does_not_change_its_mode_in_one(
    run: Run, scene: Scene, postgres15: Cluster
) -> None:
    file = scene.proxy.directory / "rules" / "sample.yaml"
    text = file.read_text("utf-8").replace("databases: [store]", "databases: [store, crm]", 1)
    head = RULES.partition("---")[0].format(role=ROLE, port=postgres15.port, name=scene.here.database)
    file.write_text(head.replace("store", "crm", 1) + "---\n" + text, "utf-8")
    asked = ("--mode", "schema", "--schema", "globex", "--login", OWN_ROLE)
    for more in (("--dry-run",), ()):
        done = run(*scene.common, *asked, *more)
        assert (done.exit_code, "says for crm of globex what it says for store" in done.stderr) == (1, True), (
            done.output
        )
        assert scene.here.traces() == 0
    assert not list((scene.proxy.directory / "state").glob("moves/*.json"))


def test_an_order_of_before_there_were_tables_is_one_for_a_file() -> None:
    former = {"id": "0a", "to": "postgresql://a@b/c", "password": None, "file": "sample.yaml", "before": "tenant: a"}
    assert (Order(**former).table, Order(**former).file) == (None, "sample.yaml")  # type: ignore[arg-type]  # of JSON
