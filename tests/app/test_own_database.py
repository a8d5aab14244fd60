"""A tenant with a database of its own is held to its quotas, has its pool, and is in the books and the audit trail like
everybody else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rules import own_rules

ROLE, DATABASE = "limited_own", "limited_own_db"
QUOTAS = """quotas:
  connections: 3
  server_connections: 1
  query_wait_timeout: 1s
  result_rows: 5
  statement_timeout: 1s
  statement_size: 4kB
  classes: {ddl: {concurrent_statements: 1, statements_per_second: 0.001, statement_burst: 2}}
"""
SECONDS = 20.0


@pytest.fixture(scope="module")
def proxy(server: Cluster) -> Iterator[Proxy]:
    server.psql(sql=f"CREATE ROLE {ROLE} LOGIN")
    server.create_database(DATABASE)
    server.psql(sql=f"ALTER DATABASE {DATABASE} OWNER TO {ROLE}")
    rules = own_rules(server.port, DATABASE, ROLE) + QUOTAS
    with running_proxy(server.port, rules=rules, FLUSH_INTERVAL="0.1") as proxy:
        yield proxy
    server.drop_database(DATABASE)
    server.psql(sql=f"DROP ROLE {ROLE}")


def states(proxy: Proxy, text: str) -> list[str]:
    with proxy.connect("acme_app") as client:
        return [one["C"] for one in client.simple(text).errors]


def audited(proxy: Proxy, shape: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in proxy.log.splitlines() if line.startswith("{")]
    return [one for one in lines if one.get("part") == "audit" and shape in str(one.get("shape"))]


def test_each_of_its_quotas_is_kept(proxy: Proxy) -> None:
    assert states(proxy, "SELECT * FROM generate_series(1, 5)") == []
    assert states(proxy, "SELECT * FROM generate_series(1, 6)") == ["53400"]
    assert states(proxy, "SELECT pg_sleep(20)") == ["57014"]
    assert states(proxy, f"SELECT '{'x' * 5000}'") == ["54000"]
    clients = [proxy.connect("acme_app") for _ in range(3)]
    try:
        with proxy.connect("acme_app") as fourth:
            assert [one["C"] for one in fourth.greeting.errors] == ["53300"]
    finally:
        for one in clients:
            one.close()


def test_a_class_of_statements_has_its_own_limit(proxy: Proxy) -> None:
    found = [states(proxy, f"CREATE TABLE limited_{number} (a int)") for number in range(3)]
    assert found == [[], [], ["53400"]]


def test_its_sessions_share_its_pool_by_the_transaction_and_wait_for_it(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as one, proxy.connect("acme_app") as other:
        process = (
            "SELECT count(*) FROM pg_stat_activity WHERE usename = current_user AND backend_type = 'client backend'"
        )
        assert one.simple("SELECT 1").errors == other.simple("SELECT 1").errors == []
        assert one.simple(process).rows == other.simple(process).rows  # both over one connection
        assert one.simple("BEGIN").errors == []
        assert [error["C"] for error in other.simple("SELECT 1").errors] == ["53300"]
        assert one.simple("COMMIT").errors == []
        assert other.simple("SELECT 1").errors == []
    assert f'partywall_pool_connections{{database="{DATABASE}",state="idle",tenant="acme"}}' in proxy.metrics()


def test_what_is_refused_is_audited_without_its_values_and_what_it_used_is_in_the_books(proxy: Proxy) -> None:
    assert states(proxy, "SELECT 1") == []  # what is refused is not among the statements of the books
    assert states(proxy, "COPY (SELECT 'hush') TO '/tmp/taken'") == ["42501"]
    assert eventually(lambda: audited(proxy, "COPY"), SECONDS)
    (line,) = audited(proxy, "COPY")
    assert (line["tenant"], line["login"], line["sqlstate"]) == ("acme", "acme_app", "42501")
    assert "hush" not in json.dumps(line)

    def counted() -> bool:
        told = proxy.command("usage", "--format", "json").stdout
        rows = json.loads(told) if told else []
        return any(row["tenant"] == "acme" and row["statements"] > 0 and row["refusals"] > 0 for row in rows)

    assert eventually(counted, SECONDS)
