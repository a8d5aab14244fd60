"""tableoid::regclass: the name of a table that the tenant sees, whatever a view calls tableoid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.sql.nodes import Nodes
from proxy.sql.tableoids import guard_tableoids, is_tableoid
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.schemas import Beside, beside_of, load_schemas, schema_rules
from tests.sql.worlds import one_statement


@pytest.fixture
def beside(server: Cluster) -> Beside:
    return beside_of(server)


def test_the_cast_is_guarded_and_nothing_else(beside: Beside) -> None:
    for text in ("SELECT tableoid FROM orders", "SELECT note::regclass FROM orders", "SELECT 1"):
        tree = one_statement(beside.world, text).tree
        assert guard_tableoids(Nodes(tree)) is tree
    tree = one_statement(beside.world, "SELECT o.tableoid::regclass FROM orders o").tree
    target = guard_tableoids(Nodes(tree))["SelectStmt"]["targetList"][0]["ResTarget"]
    assert target["name"] == "tableoid"
    assert "CaseExpr" in target["val"]["TypeCast"]["arg"]
    assert is_tableoid(tree["SelectStmt"]["targetList"][0]["ResTarget"]["val"]["TypeCast"]["arg"])


@pytest.fixture
def proxy(server: Cluster) -> Iterator[Proxy]:
    load_schemas(server)
    with running_proxy(server.port, rules=schema_rules(server.port, "beside")) as proxy:
        yield proxy


def test_a_view_that_calls_any_number_tableoid_tells_no_name(server: Cluster, proxy: Proxy) -> None:
    oid = server.psql("beside", "SELECT 'globex.orders'::regclass::oid").strip()
    with proxy.connect("acme_app") as client:
        client.simple("BEGIN")
        client.simple(f"CREATE VIEW v AS SELECT {oid}::oid AS tableoid")
        exchange = client.simple("SELECT tableoid::regclass, tableoid::regclass::text FROM v")
        assert exchange.rows == [(None, None)]
        assert client.simple("SELECT DISTINCT tableoid::regclass FROM assets").rows
        client.simple("ROLLBACK")
