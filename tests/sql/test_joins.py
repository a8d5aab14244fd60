"""Joins: columns in the server's order, and the pairs that USING and NATURAL compare."""

from __future__ import annotations

import pytest

from proxy.errors import Refusal
from proxy.sql.world import World
from tests.kit.rawclient import RawClient, row_description
from tests.sql.worlds import analysed


@pytest.mark.parametrize(
    "sources",
    [
        "customers JOIN orders USING (tenant_id, id)",
        "customers NATURAL JOIN orders",
        "customers c LEFT JOIN orders o USING (id)",
        "customers c RIGHT JOIN (orders o JOIN users u USING (tenant_id)) USING (tenant_id)",
        "customers c FULL JOIN orders o USING (id)",
        "(customers c JOIN orders o ON true) AS j(a, b)",
        "customers CROSS JOIN products",
        "(customers NATURAL JOIN users) NATURAL JOIN (SELECT 1 AS id) s",
    ],
)
def test_a_joins_columns_are_the_servers(world: World, sample_port: int, sources: str) -> None:
    sql = f"SELECT * FROM {sources} LIMIT 0"
    outputs = analysed(world, sql).query.outputs
    assert outputs is not None
    with RawClient("127.0.0.1", sample_port, "app", "shared") as client:
        messages = client.simple(sql).messages
    described = next(row_description(one.body) for one in messages if one.tag == "T")
    assert [one.name for one in outputs] == [name for name, _, _ in described]


def pairs(world: World, sql: str) -> int | None:
    found = analysed(world, sql).levels[-1].joins[0].pairs
    return None if found is None else len(found)


def test_every_compared_pair_is_listed(world: World) -> None:
    assert pairs(world, "SELECT 1 FROM customers JOIN orders USING (tenant_id, id)") == 2
    assert pairs(world, "SELECT 1 FROM customers NATURAL JOIN (SELECT 1 AS id, 2 AS x) s") == 1
    assert pairs(world, "SELECT 1 FROM customers JOIN orders ON true") == 0


def test_a_pair_that_is_not_known_makes_all_unknown(world: World) -> None:
    assert pairs(world, "SELECT 1 FROM customers NATURAL JOIN json_to_record('{}') AS r(id int)") == 1
    assert pairs(world, "SELECT 1 FROM customers NATURAL JOIN jsonb_each('{}')") is None
    assert pairs(world, "SELECT 1 FROM customers JOIN jsonb_each('{}') USING (nowhere)") is None


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("SELECT 1 FROM customers JOIN orders USING (nowhere)", "42703"),
        ("SELECT 1 FROM odd a(t, i, c2) JOIN (SELECT c1 AS x, c2 FROM odd) s USING (c2)", "42702"),
    ],
)
def test_a_column_of_using_that_an_arm_does_not_have_once_is_the_servers_error(
    world: World, sql: str, sqlstate: str
) -> None:
    with pytest.raises(Refusal) as refused:
        analysed(world, sql)
    assert refused.value.sqlstate == sqlstate


@pytest.mark.parametrize(
    ("join", "key"), [("JOIN", "default"), ("LEFT JOIN", "default"), ("RIGHT JOIN", None), ("FULL JOIN", None)]
)
def test_a_merged_column_is_the_key_only_where_the_server_takes_the_tenants_side(
    world: World, join: str, key: str | None
) -> None:
    outputs = analysed(
        world, f"SELECT tenant_id FROM orders {join} (SELECT 2 AS tenant_id) s USING (tenant_id)"
    ).query.outputs
    assert outputs is not None
    assert outputs[0].value.key == key
