"""What Partywall sends in row mode concerns one shard: PostgreSQL's planner finds the tenant's constant at every scan
of a tenant relation, which is where a server that is spread by the tenant column (Citus) looks for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.errors import Refusal
from proxy.sql.parse import parse, walk
from proxy.tenancy.derived import APPLICATION, LISTENING, PROCESS, QUERY
from tests.equivalence.modes import CORPORA
from tests.equivalence.stage import Stage
from tests.escapes.corpus import read_attacks
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.sample import pristine

Tree = dict[str, Any]

# The tenant column of every relation that would be distributed; partitions and children stand under their own names.
COLUMNS = {
    "tenants": "id", "notes": "tenant", "documents": "tenant_uid", "Order Details": "TenantId",
    **dict.fromkeys((
        "users", "customers", "orders", "order_items", "audit_log", "accounts", "transfers", "coupons", "bookings",
        "events", "events_2023", "events_2024", "events_default", "metrics", "metrics_t1", "metrics_t2", "metrics_t3",
        "assets", "vehicles", "receipts", "mv_order_stats",
    ), "tenant_id"),
}  # fmt: skip
KEYS = {"tenant": "'acme'::text", "tenant_uid": "'00000000-0000-4000-8000-000000000001'::uuid"}
CONDITIONS = ("Filter", "Index Cond", "Recheck Cond", "TID Cond", "One-Time Filter")
PLANNED = re.compile(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE|MERGE|VALUES|TABLE|\()", re.IGNORECASE)
REFUSED = frozenset({"55000", "0A000", "22012", "22P02"})  # of EXPLAIN itself: constants that cannot be folded


@pytest.fixture(scope="module")
def rewritten(shared_server: Cluster) -> dict[str, str]:
    """What is sent for each statement of both corpora, by the statement."""
    rewriting = Stage(shared_server.port, shared_server.major, database="shared").rewriting
    rewriting.keys |= {APPLICATION: "", PROCESS: "0", LISTENING: "{}", QUERY: ""}  # there is no session
    given = [text for block in CORPORA["legit"] for text in block.statements]
    for attack in read_attacks(Path(__file__).parents[1] / "data" / "attacks.yaml"):
        given += [one.decode("utf-8", "replace") for one in attack.statements]
    found = {}
    for text in given:
        sent = rewriting.text(text)
        if sent is not None and PLANNED.match(sent):
            found[text] = sent
    return found


@pytest.fixture(scope="module")
def planning(shared_server: Cluster) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shared_server.dsn(database="shared"), autocommit=True) as connection:
        connection.execute("SET enable_partition_pruning = off")  # what is pruned away shows no condition
        yield connection


def scans(plan: Tree) -> Iterator[Tree]:
    """Every node of a plan that reads a relation."""
    if plan["Node Type"].endswith("Scan") and "Relation Name" in plan:
        yield plan
    for one in plan.get("Plans", ()):
        yield from scans(one)


def confined(scan: Tree, renamed: set[str]) -> bool:
    """Is the tenant's constant among the conditions of this scan? renamed: what the statement calls columns."""
    column = COLUMNS[scan["Relation Name"]]
    names = "|".join(re.escape(f'"{one}"' if one != one.lower() else one) for one in (column, *sorted(renamed)))
    value = re.escape(KEYS.get(column, "1"))
    wanted = re.compile(rf"(?:\(|\.|^)(?:{names}) = {value}(?:\)|$)")
    found = [str(scan[one]) for one in CONDITIONS if one in scan]
    found += [str(one["Index Cond"]) for one in scan.get("Plans", ()) if "Index Cond" in one]
    return any(wanted.search(one) for one in found)


def test_every_scan_of_a_tenant_relation_has_the_constant_as_its_restriction(
    rewritten: dict[str, str], planning: psycopg.Connection[Any]
) -> None:
    loose: dict[str, list[Tree]] = {}
    seen = unplanned = 0
    for text, sent in rewritten.items():
        try:
            row = planning.execute(f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {sent}".encode()).fetchone()
        except psycopg.Error:
            unplanned += 1  # what is an error without the proxy, too
            continue
        assert row is not None
        (plan,) = row[0] if isinstance(row[0], list) else json.loads(row[0])
        for scan in scans(plan["Plan"]):
            if scan["Relation Name"] in COLUMNS:
                seen += 1
                if not confined(scan, aliases(sent)):
                    loose.setdefault(text, []).append(scan)
    # On the row of a cursor, which was the tenant's own; and where MERGE looks for rows that the source does not have.
    apart = ("CURRENT OF", "NOT MATCHED BY SOURCE")
    assert {text: some for text, some in loose.items() if not any(one in text for one in apart)} == {}
    assert seen > 400
    assert unplanned < len(rewritten) // 4


def test_every_row_that_is_inserted_has_the_constant(rewritten: dict[str, str]) -> None:
    loose: dict[str, list[Tree]] = {}
    seen = 0
    for text, sent in rewritten.items():
        for body in inserts(sent):
            column = COLUMNS.get(body["relation"]["relname"])
            if column is None:
                continue
            at = [one["ResTarget"]["name"] for one in body["cols"]].index(column)
            for value in values(body, at):
                seen += 1
                if not is_constant(value):
                    loose.setdefault(text, []).append(value)
    # Where the client computes its own key, the constant is what comes out, or an error.
    assert [text for text, some in loose.items() if not all("CaseExpr" in one for one in some)] == []
    assert seen > 25


def aliases(text: str) -> set[str]:
    """The names that a statement gives to columns of relations: `orders AS o(t, i)`."""
    trees = [one.tree for one in parse(text.encode(), size_limit=1 << 20, server_major=18)]
    ranges = [body for tree in trees for name, body in walk(tree) if name == "RangeVar"]
    return {one["String"]["sval"] for body in ranges for one in body.get("alias", {}).get("colnames", ())}


def inserts(text: str) -> Iterator[Tree]:
    """The INSERTs of a statement."""
    try:
        statements = parse(text.encode(), size_limit=1 << 20, server_major=18)
    except Refusal:
        return
    for statement in statements:
        for name, body in walk(statement.tree):
            if name == "InsertStmt":
                yield body


def values(body: Tree, at: int) -> Iterator[Tree]:
    """What the rows have at this place; not where they come from a query whose own rows are the tenant's."""
    select = body["selectStmt"]["SelectStmt"]
    for row in select.get("valuesLists", ()):
        yield row["List"]["items"][at]
    for target in select.get("targetList", ())[at : at + 1]:
        value = target["ResTarget"]["val"]
        if "ColumnRef" not in value:
            yield value


def is_constant(value: Tree) -> bool:
    return "A_Const" in value.get("TypeCast", {}).get("arg", {})


# What an extension puts among the server's own names.
ADDED = """
SET allow_system_table_mods = on;
CREATE FUNCTION pg_catalog.create_distributed_table(regclass, text) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE TABLE pg_catalog.pg_dist_node (nodeid int, nodename text);
GRANT SELECT ON pg_catalog.pg_dist_node TO PUBLIC;
INSERT INTO pg_catalog.pg_dist_node VALUES (1, 'worker');
"""
ASKED = (
    "SELECT create_distributed_table('orders', 'tenant_id')",
    "SELECT pg_catalog.create_distributed_table('orders', 'tenant_id')",
    "SELECT * FROM pg_dist_node",
    "SELECT * FROM pg_catalog.pg_dist_node",
    "SET citus.shard_count = 1",
    "SELECT set_config('citus.enable_ddl_propagation', 'off', false)",
)


def test_what_an_extension_puts_into_the_servers_own_schema_cannot_be_reached(shared_server: Cluster) -> None:
    with pristine(shared_server) as database:
        shared_server.psql(database, ADDED)
        with running_proxy(shared_server.port, database) as proxy, proxy.connect("acme_app") as client:
            for text in ASKED:
                exchange = client.simple(text)
                assert [one["C"][:2] for one in exchange.errors] == ["42"], text
                assert b"worker" not in exchange.raw
            assert client.simple("SELECT count(*) FROM pg_class WHERE relname = 'pg_dist_node'").errors == []
