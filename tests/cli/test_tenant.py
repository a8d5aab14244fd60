"""tenant: a tenant is added whole or not at all, is switched off and on where it stands, and is listed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.auth.scram import build_verifier, parse_verifier
from proxy.tenancy.load import load
from tests.cli.conftest import Run
from tests.kit.builders import VERIFIER
from tests.kit.postgres import Cluster
from tests.kit.proxy import serving
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample
from tests.kit.tables import document, table_rules, tenant_table, write

RULES = f"""\
# the shop
database: shop
server: postgresql://app@db/shop
tenant_column: tenant_id
---
tenant: acme   # the first
key: 1
databases: [shop]
logins:
  acme_app: {{verifier: "{VERIFIER}"}}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(RULES, encoding="utf-8")
    return tmp_path


def text_of(folder: Path) -> dict[str, str]:
    """Every file, also one that nobody should have left behind."""
    return {str(one.relative_to(folder)): one.read_text(encoding="utf-8") for one in folder.rglob("*") if one.is_file()}


def test_a_tenant_is_added_with_a_password_that_only_its_dsn_holds(run: Run, rules: Path) -> None:
    done = run(
        "tenant", "add", "globex", "--database", "shop", "--key", "2", "--rules", str(rules), "--address", "p:6432"
    )
    assert done.exit_code == 0, done.output
    found = re.fullmatch(r"postgresql://globex_app:(\S{32})@p:6432/shop\n", done.stdout)
    assert found is not None
    book = load(rules, {}, 1)
    login = book.login("globex_app")
    assert login is not None
    assert login.verifier is not None
    made = build_verifier(found[1], login.verifier.salt, login.verifier.iterations)
    assert parse_verifier(made) == login.verifier
    assert found[1] not in "".join(text_of(rules).values())
    assert sorted(text_of(rules)) == ["shop.yaml", "tenants/globex.yaml"]
    assert book.grants["globex", "shop", False].keys["default"] == "2"


def test_a_tenant_may_have_several_keys_databases_and_a_login_of_another_name(run: Run, rules: Path) -> None:
    with (rules / "shop.yaml").open("a", encoding="utf-8") as file:
        file.write("---\ndatabase: crm\nserver: postgresql://app@db/crm\ntenant_column: t\n")
    options = ["--database", "shop", "--database", "crm", "--key", "default=2", "--key", "slug=g", "--login", "g@x"]
    done = run("tenant", "add", "globex", *options, "--rules", str(rules))
    assert [line.rsplit("@", 1)[1] for line in done.stdout.splitlines()] == [
        "127.0.0.1:6432/shop",
        "127.0.0.1:6432/crm",
    ]
    assert done.stdout.startswith("postgresql://g%40x:")
    assert load(rules, {}, 1).grants["globex", "crm", False].keys["slug"] == "g"


@pytest.mark.parametrize(
    ("name", "more", "why"),
    [
        ("acme", [], "tenant acme is also in"), ("globex", ["--login", "acme_app"], "login acme_app is also in"),
        ("globex", ["--key", "1"], "tenant acme has the same key"), ("a/b", [], "does not do for the name of a file"),
        ("globex", ["--database", "nowhere"], "there is no database nowhere"), (".x", [], "write one by hand"),
    ],
)  # fmt: skip
def test_what_would_be_wrong_is_refused_and_nothing_is_written(
    run: Run, rules: Path, name: str, more: list[str], why: str
) -> None:
    options = [] if "--database" in more else ["--database", "shop"]
    options += [] if "--key" in more else ["--key", "2"]
    before = text_of(rules)
    done = run("tenant", "add", name, *options, *more, "--rules", str(rules))
    assert (done.exit_code, done.stdout) == (1, "")
    assert why in done.output
    assert text_of(rules) == before


def test_a_file_that_is_there_is_never_written_over(run: Run, rules: Path) -> None:
    (rules / "tenants").mkdir()
    (rules / "tenants" / "globex.yaml").write_text("# for later\n", encoding="utf-8")
    done = run("tenant", "add", "globex", "--database", "shop", "--key", "2", "--rules", str(rules))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "is already there" in done.output
    assert text_of(rules)["tenants/globex.yaml"] == "# for later\n"


@pytest.mark.parametrize("arguments", [["add"], ["add", "x", "--database", "d"], ["add", "x", "--key", "1"], ["none"]])
def test_wrong_usage_is_status_two(run: Run, rules: Path, arguments: list[str]) -> None:
    assert run("tenant", *arguments).exit_code == 2


def test_keys_that_cannot_be_meant_are_wrong_usage(run: Run, rules: Path) -> None:
    options = ["--database", "shop", "--rules", str(rules), "--key", "1", "--key", "2"]
    assert run("tenant", "add", "globex", *options).exit_code == 2


def test_a_tenant_is_switched_off_and_on_and_its_file_keeps_its_comments(run: Run, rules: Path) -> None:
    assert run("tenant", "disable", "acme", "--rules", str(rules)).exit_code == 0
    first = "tenant: acme   # the first\n"
    assert text_of(rules) == {"shop.yaml": RULES.replace(first, first + "disabled: true\n")}
    login = load(rules, {}, 1).login("acme_app")
    assert login is not None
    assert login.disabled
    assert run("tenant", "enable", "acme", "--rules", str(rules)).exit_code == 0
    assert text_of(rules) == {"shop.yaml": RULES.replace(first, first + "disabled: false\n")}
    login = load(rules, {}, 1).login("acme_app")
    assert login is not None
    assert not login.disabled


def test_a_tenant_that_is_nowhere_or_rules_that_are_wrong_change_nothing(run: Run, rules: Path) -> None:
    done = run("tenant", "disable", "globex", "--rules", str(rules))
    assert done.exit_code == 1
    assert "there is no tenant globex in the rule files" in done.output
    (rules / "more.yaml").write_text("colour: red\n", encoding="utf-8")
    before = text_of(rules)
    for arguments in (["disable", "acme"], ["list"], ["add", "x", "--database", "shop", "--key", "9"]):
        done = run("tenant", *arguments, "--rules", str(rules))
        assert done.exit_code == 1
        assert "more.yaml:1: " in done.output
    assert text_of(rules) == before


def test_tenants_are_listed_for_people_and_for_programs(run: Run, rules: Path) -> None:
    (rules / "more.yaml").write_text(
        "tenant: canary\ncanary: true\nkey: 0\ndatabases: [shop]\n---\n"
        "tenant: globex\ndisabled: true\nkey: 2\ndatabases: [shop]\nlogins: {g: {certificate: {dns: a}}}\n---\n"
        "tenant: half\nkey: 3\ndatabases: [shop]\nlogins:\n  h: {certificate: {dns: b}}\n"
        "  old: {certificate: {dns: c}, disabled: true}\n",
        encoding="utf-8",
    )
    done = run("tenant", "list", "--rules", str(rules))
    assert done.stdout.splitlines() == [
        "tenant  state     databases  logins",
        "acme    active    shop       acme_app",
        "canary  canary    shop",
        "globex  disabled  shop       g",
        "half    active    shop       h,old",
    ]
    found = {one["tenant"]: one for one in json.loads(run("tenant", "list", "--rules", str(rules), "--json").stdout)}
    assert found["half"] == {
        "tenant": "half",
        "state": "active",
        "databases": ["shop"],
        "logins": {"h": "active", "old": "disabled"},
        "place": f"{rules}/more.yaml:12",
    }


def test_an_added_tenant_logs_in_at_once_and_a_disabled_one_is_sent_away(
    run: Run, postgres15: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    passwords = write_sample_rules(tmp_path / "rules", load_sample(postgres15).port, "shared")
    keys = ["--key", "default=9", "--key", "slug=u", "--key", "uid=00000000-0000-4000-8000-000000000009"]
    with serving(tmp_path, "shared", passwords) as proxy:
        here = ["--rules", str(tmp_path / "rules"), "--state-directory", str(tmp_path / "state")]
        done = run("tenant", "add", "umbrella", "--database", "shared", *keys, *here)
        assert done.exit_code == 0, done.output
        proxy.passwords["umbrella_app"] = done.stdout.split(":")[2].split("@")[0]
        with proxy.connect("umbrella_app") as client:
            assert client.simple("SELECT count(*) FROM orders").rows == [(b"0",)]
            assert run("tenant", "disable", "umbrella", *here).exit_code == 0
            said = client.receive()
            assert said is not None
            assert b"57P01" in said.body
        sample = tmp_path / "rules" / "sample.yaml"
        text = sample.read_text(encoding="utf-8").replace("/shared?", "/nowhere?")
        sample.write_text(text, encoding="utf-8")
        refused = run("tenant", "enable", "umbrella", *here)
        assert (refused.exit_code, "nowhere" in refused.output) == (1, True)


@pytest.fixture
def table(postgres15: Cluster, rules: Path) -> Iterator[tuple[str, str]]:
    """The database with the table that the rules name, and the URI of a role that may write there."""
    with tenant_table(postgres15) as name:
        (rules / "table.yaml").write_text(table_rules(postgres15, name), encoding="utf-8")
        yield name, f"postgresql://postgres@127.0.0.1:{postgres15.port}/{name}?sslmode=disable"


def test_a_row_is_added_and_switched_as_a_file_is(
    run: Run, postgres15: Cluster, rules: Path, table: tuple[str, str]
) -> None:
    name, uri = table
    here = ["--rules", str(rules), "--table", uri]
    before = text_of(rules)
    done = run("tenant", "add", "globex", "--database", "shop", "--key", "2", *here)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("postgresql://globex_app:")
    for options, why in (
        (["globex", "--key", "3"], "tenant globex is already in the table"),
        (["third", "--key", "1"], "tenant acme has the same key"),
        (["acme", "--key", "9"], "tenant acme is also in"),
    ):
        done = run("tenant", "add", *options, "--database", "shop", *here)
        assert (done.exit_code, done.stdout) == (1, "")
        assert why in done.output
    assert run("tenant", "disable", "globex", *here).exit_code == 0
    listed = json.loads(run("tenant", "list", "--rules", str(rules), "--json").stdout)
    assert [(one["tenant"], one["state"]) for one in listed] == [("acme", "active"), ("globex", "disabled")]
    assert listed[1]["place"].endswith(f"/{name} partywall.tenants globex")
    assert run("tenant", "enable", "globex", *here).exit_code == 0
    assert postgres15.psql(name, "SELECT document->'disabled' FROM partywall.tenants").strip() == "false"
    assert text_of(rules) == before


def test_a_row_is_changed_only_by_who_may_and_only_where_the_rules_look(
    run: Run, postgres15: Cluster, rules: Path, table: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, uri = table
    write(postgres15, name, document("globex", 2, "shop"))
    done = run("tenant", "disable", "globex", "--rules", str(rules))
    assert (done.exit_code, "in a table it is changed with --table" in done.output) == (1, True)
    done = run("tenant", "disable", "third", "--rules", str(rules), "--table", uri)
    assert (done.exit_code, "there is no tenant third in the table" in done.output) == (1, True)
    elsewhere = uri.replace(f"/{name}", "/postgres")
    done = run("tenant", "disable", "globex", "--rules", str(rules), "--table", elsewhere)
    assert (done.exit_code, "names this table" in done.output) == (1, True)
    monkeypatch.setenv("PARTYWALL_TABLE_PASSWORD", "for-the-rules")
    reader = uri.replace("postgres@", "partywall_rules@")
    done = run("tenant", "disable", "globex", "--rules", str(rules), "--table", reader)
    assert (done.exit_code, "permission denied" in done.output) == (1, True)
    assert run("tenant", "disable", "globex", "--rules", str(rules), "--table", "mysql://x").exit_code == 2
