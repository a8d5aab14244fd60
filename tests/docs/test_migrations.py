"""The operators' way: every command of the section on migrations and reports is run here as it stands there, against a
server with shared tables and one with a schema for each tenant; and the proxy notices what was changed beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.auth.scram import build_verifier
from proxy.doctor.provision import provision
from proxy.tenancy.load import load
from tests.docs.pages import BLOCK, OPERATING, ROOT
from tests.kit.books import Books, eventually
from tests.kit.postgres import Cluster, running
from tests.kit.proxy import Proxy, running_proxy

SECONDS = 20.0
SCHEMAS = ("hooli", "umbrella")
FILES = ("returns.sql", "trigger.sql", "reports.sql", "migration.sql")
# What the answer of each command must hold, in the order of the page.
COMMANDS = {
    'psql "postgresql://postgres@127.0.0.1:5432/shop" -c "SET ROLE shop_owner;'
    ' ALTER TABLE orders ADD COLUMN gift boolean NOT NULL DEFAULT false"': "ALTER TABLE",
    'psql "postgresql://acme_app:acme-secret@127.0.0.1:6432/shop"'
    ' -c "SELECT count(*) FROM orders WHERE NOT gift"': r"^\s*800$",
    'psql "postgresql://postgres@127.0.0.1:5432/shop" -f returns.sql': "GRANT",
    "partywall doctor --database shop --rules rules": "score ",
    'psql "postgresql://postgres@127.0.0.1:5432/shop" -c "NOTIFY partywall_catalog"': "NOTIFY",
    'psql "postgresql://postgres@127.0.0.1:5432/shop" -f reports.sql': "ALTER ROLE",
    'psql "postgresql://reports:for-the-reports@127.0.0.1:5432/shop"'
    ' -c "SELECT tenant_id, count(*) FROM orders GROUP BY 1 ORDER BY 1"': r"2 \| +1800",
    'for schema in hooli umbrella; do psql -1 -v ON_ERROR_STOP=1 "postgresql://postgres@127.0.0.1:5432/erp"'
    ' -c "SET ROLE ${schema}_rw; SET search_path = ${schema}" -f migration.sql; done': r"TABLE\s+SET\s+SET\s+CREATE",
    'psql "postgresql://postgres@127.0.0.1:5432/erp" -c "GRANT CONNECT ON DATABASE erp TO reports"': "GRANT",
    'psql "postgresql://reports:for-the-reports@127.0.0.1:5432/erp"'
    " -c \"SELECT 'hooli', count(*) FROM hooli.invoices"
    " UNION ALL SELECT 'umbrella', count(*) FROM umbrella.invoices\"": r"umbrella \| +0",
}


def section() -> list[tuple[str, str]]:
    """Language and text of each fenced block of the section."""
    text = OPERATING.read_text(encoding="utf-8").split("## Migrations and reports\n")[1]
    return [(language, block) for _, language, block in BLOCK.findall(text.split("\n## ")[0])]


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server that lets everybody in, with the sample shop and a database of two tenants' schemas."""
    with running(18) as cluster:
        cluster.create_database("shop")
        cluster.psql("shop", file=ROOT / "proxy" / "demo" / "shop.sql")
        cluster.create_database("erp")
        folder = tmp_path_factory.mktemp("erp")
        text = f"database: erp\nserver: postgresql://operator@127.0.0.1:{cluster.port}/erp\nisolation: schema\n"
        for name in SCHEMAS:
            text += f"---\ntenant: {name}\ndatabases: [erp]\nschema: {name}\nserver_login: {name}_rw\n"
        (folder / "erp.yaml").write_text(text, encoding="utf-8")
        for grant in load(folder, {}, 1).grants.values():
            cluster.psql("erp", provision(grant, b"0123456789abcdef"))
        yield cluster


def shop_rules(cluster: Cluster) -> str:
    """rules/shop.yaml with its secrets."""
    values = {"SHOP_SERVER": f"127.0.0.1:{cluster.port}", "SHOP_PASSWORD": "none"}
    for tenant in ("acme", "globex"):
        values[f"{tenant.upper()}_APP_VERIFIER"] = build_verifier(f"{tenant}-secret", b"0123456789abcdef", 4096)
    text = (ROOT / "rules" / "shop.yaml").read_text(encoding="utf-8")
    return re.sub(r"\$\{env:(\w+)\}", lambda found: values[found[1]], text)


@pytest.fixture
def proxy(operated: Cluster) -> Iterator[Proxy]:
    with running_proxy(operated.port, rules=shop_rules(operated), CATALOG_REFRESH_INTERVAL="3600") as proxy:
        yield replace(proxy, database="shop", passwords={"acme_app": "acme-secret"})


def version(proxy: Proxy) -> float:
    """How often the schema was found changed."""
    ((_, value),) = Books(proxy, "").metric("partywall_catalog_version")
    return value


def test_each_command_of_the_section_does_what_the_page_says(operated: Cluster, proxy: Proxy, tmp_path: Path) -> None:
    files = [text for language, text in section() if language == "sql"]
    assert len(files) == len(FILES)
    for name, text in zip(FILES, files, strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "rules").symlink_to(proxy.directory / "rules")
    given = [line for language, text in section() if language == "sh" for line in text.splitlines()]
    assert given == list(COMMANDS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PARTYWALL_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, wanted in COMMANDS.items():
        here = command.replace(":5432/", f":{operated.port}/").replace(":6432/", f":{proxy.port}/")
        done = subprocess.run(
            ["sh", "-c", here], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert re.search(wanted, done.stdout, re.MULTILINE), f"{here}\n{done.stdout}{done.stderr}"
    with proxy.connect("acme_app") as client:  # the new table is there, and is the tenant's own
        assert client.simple("INSERT INTO returns (id, why) VALUES (1, 'too large')").errors == []
    assert operated.psql("shop", "SELECT tenant_id FROM returns").strip() == "1"
    assert re.search(r"statement: SELECT tenant_id, count\(\*\) FROM orders", operated.log)
    operated.psql("shop", (tmp_path / "trigger.sql").read_text(encoding="utf-8"))
    before = version(proxy)
    operated.psql("shop", "ALTER TABLE returns ADD COLUMN at date")
    assert eventually(lambda: version(proxy) > before, SECONDS)


def test_a_migration_is_noticed_when_it_says_so_and_else_when_its_time_has_come(
    operated: Cluster, proxy: Proxy
) -> None:
    before = version(proxy)
    operated.psql("shop", "ALTER TABLE customers ADD COLUMN title text; NOTIFY partywall_catalog")
    assert eventually(lambda: version(proxy) > before, SECONDS)
    with running_proxy(operated.port, rules=shop_rules(operated), CATALOG_REFRESH_INTERVAL="1") as other:
        operated.psql("shop", "ALTER TABLE customers DROP COLUMN title")
        assert eventually(lambda: version(other) > 1, SECONDS)


def test_what_a_statement_names_is_looked_for_at_once(operated: Cluster, proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM customers").errors == []
        operated.psql("shop", "ALTER TABLE customers ADD COLUMN vip boolean NOT NULL DEFAULT true")

        def seen() -> bool:
            return client.simple("SELECT count(*) FROM customers WHERE vip").rows == [(b"200",)]

        assert eventually(seen, SECONDS)
        operated.psql("shop", "ALTER TABLE customers RENAME COLUMN vip TO valued")
        assert [one["C"] for one in client.simple("SELECT count(*) FROM customers WHERE vip").errors] == ["42703"]
