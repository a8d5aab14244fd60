"""Rows are tenants like those of files: one rule set, whole or not at all, and the proxy follows the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.auth.scram import build_verifier
from proxy.errors import ConfigurationError
from proxy.fleet.tables import Tables, read_rules
from proxy.tenancy.policy import Credentials
from proxy.tenancy.rulebook import RuleBook
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rules import sample_rules
from tests.kit.sample import load_sample, pristine
from tests.kit.tables import document, table_at, table_rules, tenant_table, write

KEYS = {"default": 9, "slug": "umbrella", "uid": "00000000-0000-4000-8000-000000000009"}


@pytest.fixture
def control(postgres15: Cluster) -> Iterator[str]:
    with tenant_table(postgres15) as name:
        yield name


@pytest.fixture
def rules(postgres15: Cluster, control: str, tmp_path: Path) -> Path:
    """A database in a file, and where its tenants are."""
    text = "database: shared\nserver: postgresql://app@db/shared\ntenant_column: tenant_id\n"
    (tmp_path / "rules.yaml").write_text(text + "---\n" + table_rules(postgres15, control), encoding="utf-8")
    return tmp_path


async def problems(rules: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        await read_rules(rules, {}, 1)
    return [one.removeprefix(f"{rules}/") for one in caught.value.problems]


async def test_a_row_is_a_tenant_as_in_a_file(postgres15: Cluster, control: str, rules: Path) -> None:
    write(postgres15, control, document("acme", 1, quotas={"connections": 3, "statement_timeout": "30s"}))
    (rules / "more.yaml").write_text("tenant: globex\nkey: 2\ndatabases: [shared]\n", encoding="utf-8")
    book = await read_rules(rules, {}, 1)
    assert book.tenants == ("acme", "globex")
    limits = book.grants["acme", "shared", False].limits
    assert (limits.connections, limits.statement_timeout) == (3, 30.0)
    assert [table for table, _ in book.tables] == [table_at(postgres15, control)]
    login = book.login("acme_app")
    assert login is not None
    assert login.verifier is not None


async def test_a_row_is_read_as_it_shall_be_and_one_that_is_not_there_is_a_mistake(
    postgres15: Cluster, control: str, rules: Path
) -> None:
    write(postgres15, control, document("acme", 1), document("globex", 2))
    table = table_at(postgres15, control)
    book = await read_rules(rules, {}, 1, {(table, "acme"): json.dumps(document("acme", 7))})
    assert [book.grants[name, "shared", False].keys["default"] for name in ("acme", "globex")] == ["7", "2"]
    for spot in ((table, "initech"), (replace(table, credentials=Credentials("another")), "acme")):
        with pytest.raises(ConfigurationError, match=f"{spot[1]}: there is no such row"):
            await read_rules(rules, {}, 1, {spot: "{}"})
    with pytest.raises(ConfigurationError, match="acme: the document cannot be read"):
        await read_rules(rules, {}, 1, {(table, "acme"): "{"})


async def test_mistakes_of_rows_and_files_come_together_each_with_its_place(
    postgres15: Cluster, control: str, rules: Path
) -> None:
    name = table_at(postgres15, control).name
    write(
        postgres15,
        control,
        document("acme", 1, colour="red", quotas={"connections": "many"}),
        document("globex", 1, logins={"acme_app": {"certificate": {"dns": "a"}}}),
        document("initech", 1, databases=["nowhere"]),
        {"tenant": "secret", "key": "${env:HOME}", "databases": ["shared"]},
        {"tenant": "two", "database": "shared"},
    )
    (rules / "more.yaml").write_text("tenant: acme\nkey: 7\ndatabases: [shared]\ncolour: blue\n", encoding="utf-8")
    found = await problems(rules)
    assert found[0] == "more.yaml:4: colour: unknown key"
    assert f"{name} acme: colour: unknown key" in found
    assert any(one.startswith(f"{name} acme: quotas: connections: ") for one in found)
    assert f"{name} secret: ${{env:…}} and ${{file:…}} are for rule files" in found
    assert f"{name} two: a document must have exactly one of" in "\n".join(found)
    assert any(one.startswith(f"{name} acme: tenant acme is also in ") for one in found)
    assert f"{name} initech: there is no database nowhere" in found
    assert f"{name} globex: login acme_app is also in {name} acme" in found


async def test_a_table_that_cannot_be_read_is_a_mistake_at_the_line_that_names_it(
    postgres15: Cluster, control: str, rules: Path
) -> None:
    postgres15.psql(control, "ALTER TABLE partywall.tenants RENAME TO gone")
    (problem,) = await problems(rules)
    assert problem.startswith("rules.yaml:5: ")
    assert problem.endswith('relation "partywall.tenants" does not exist')
    postgres15.psql(control, "GRANT INSERT ON partywall.gone TO PUBLIC; ALTER TABLE partywall.gone RENAME TO tenants")
    (problem,) = await problems(rules)
    assert "may write partywall.tenants" in problem
    (rules / "rules.yaml").write_text("tenants_from: mysql://a@b/c\n", encoding="utf-8")
    assert await problems(rules) == ["rules.yaml:1: tenants_from: must be postgresql://role@host:port/database"]


@pytest.fixture
def proxy(postgres15: Cluster, control: str) -> Iterator[Proxy]:
    """The sample rules, and besides whatever tenants the table has."""
    port = load_sample(postgres15).port
    text = sample_rules(port, "shared") + "---\n" + table_rules(postgres15, control)
    with running_proxy(port, rules=text) as proxy:
        proxy.passwords["umbrella_app"] = "secret"
        yield proxy


def test_a_row_that_comes_is_a_tenant_soon_and_one_that_goes_is_none(
    postgres15: Cluster, control: str, proxy: Proxy
) -> None:
    verifier = {"verifier": build_verifier("secret", b"0123456789abcdef", 4096)}
    write(postgres15, control, document("umbrella", None, keys=KEYS, logins={"umbrella_app": verifier}))
    assert eventually(lambda: proxy.log.count('"rules loaded"') == 1, 20)
    with proxy.connect("umbrella_app") as client, proxy.connect("acme_app") as other:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"0",)]
        assert other.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
        write(postgres15, control, document("umbrella", 9, colour="red"))
        assert eventually(lambda: "rules refused" in proxy.log, 20)
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"0",)]
        postgres15.psql(control, "DELETE FROM partywall.tenants")
        said = client.receive()
        assert said is not None
        assert b"57P01" in said.body
        assert other.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
    assert "colour: unknown key" in proxy.log


def test_without_the_table_a_reload_is_refused_and_the_old_rules_stay(
    postgres15: Cluster, control: str, proxy: Proxy
) -> None:
    postgres15.psql(control, "ALTER TABLE partywall.tenants RENAME TO gone")
    proxy.reload_refused()
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
    assert eventually(lambda: '"no answer"' in proxy.log, 20)
    assert eventually(lambda: "partywall_tenant_table_failures_total 0.0" not in proxy.metrics(), 20)


def test_without_the_table_nothing_is_served(postgres15: Cluster, control: str) -> None:
    port = load_sample(postgres15).port
    postgres15.psql(control, "DROP TABLE partywall.tenants")
    text = sample_rules(port, "shared") + "---\n" + table_rules(postgres15, control)
    with pytest.raises(RuntimeError, match="ended with status 1"), running_proxy(port, rules=text):
        pass


def test_for_a_tenant_the_table_is_not_there_even_in_the_tenants_own_database(postgres15: Cluster) -> None:
    """Not with a tenant column that the table has, and not with privileges, of which the check would have told."""
    with pristine(load_sample(postgres15)) as shared:
        postgres15.psql(
            shared,
            "CREATE SCHEMA partywall; CREATE TABLE partywall.tenants (tenant_id int NOT NULL, name text, document"
            " jsonb); CREATE TABLE partywall.other (tenant_id int NOT NULL); GRANT USAGE ON SCHEMA partywall TO app;"
            " GRANT SELECT ON partywall.other TO app",
        )
        with running_proxy(postgres15.port, shared) as proxy, proxy.connect("acme_app") as client:
            for name in ("tenants", "other"):
                (error,) = client.simple(f"SELECT * FROM partywall.{name}").errors
                assert error["C"] == "42P01"
            assert client.simple("SELECT count(*) FROM pg_namespace WHERE nspname = 'partywall'").rows == [(b"0",)]


def test_a_role_that_reaches_the_table_serves_nobody(postgres15: Cluster) -> None:
    with pristine(load_sample(postgres15)) as shared:
        postgres15.psql(
            shared,
            "CREATE SCHEMA partywall; CREATE TABLE partywall.tenants (name text, document jsonb);"
            " GRANT SELECT (name) ON partywall.tenants TO app",
        )
        with (
            pytest.raises(RuntimeError, match=r"may read or change partywall\.tenants"),
            running_proxy(postgres15.port, shared),
        ):
            pass


@pytest.mark.parametrize(
    "more",
    [
        "relations: {partywall.tenants: {shared: read}}\n", "sequences: {partywall.numbers: shared}\n",
        "functions: {allow: [partywall.verifiers]}\n", "functions: {allow: ['partywall.verifiers(text[])']}\n",
    ],
)  # fmt: skip
async def test_no_rule_can_show_what_is_the_proxys_own(tmp_path: Path, more: str) -> None:
    text = "database: shared\nserver: postgresql://app@db/shared\ntenant_column: tenant_id\n"
    (tmp_path / "rules.yaml").write_text(text + more, encoding="utf-8")
    (problem,) = await problems(tmp_path)
    assert problem.endswith("what is in the schema partywall is the proxy's own")


async def test_nothing_is_watched_that_no_rules_name() -> None:
    tables = Tables(lambda: None, lambda why: None)
    await tables.follow(RuleBook(1, {}, {}, (), ()).tables)
    assert tables.statistics().looks == 0
    await tables.close()
