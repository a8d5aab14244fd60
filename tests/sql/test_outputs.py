"""Outputs: names as the server's, stars expanded, and what makes a query hard."""

from __future__ import annotations

import pytest

from proxy.sql.world import World
from tests.kit.rawclient import RawClient, row_description
from tests.sql.worlds import analysed


@pytest.mark.parametrize(
    "targets",
    [
        "o.id, o.amount::text, lower(o.note), count(*) OVER ()",
        'CASE WHEN true THEN o.id END, CASE WHEN true THEN 1 ELSE o.qty END, o.id + 1, o.note COLLATE "C"',
        "coalesce(o.note, 'x'), greatest(1, 2), nullif(1, 2), ARRAY[1], ROW(1)",
        "(SELECT o.id), (SELECT 1), EXISTS (SELECT 1), ARRAY(SELECT 1)",
        "CURRENT_DATE, CURRENT_USER, 1, 'x'::text, (u.home).city, u.tags[1], $1::int",
        "o.*, u.email",
        "CASE WHEN true THEN 'x' ELSE 'y'::text END, ARRAY[1]::int[], ROW(1)::text, (ARRAY[1])[1]::text",
        "(SELECT 1)::text, (SELECT 'x'::text)::varchar, (VALUES (1)), (SELECT 1 UNION SELECT 2)",
        "CASE WHEN true THEN 1 ELSE (SELECT 1) END, CASE WHEN true THEN 'x' ELSE lower(o.note) END::text",
        'nullif(1, 2)::text, greatest(1, 2)::text, coalesce(1)::text, CURRENT_DATE::text COLLATE "C"',
        "*",
        "xmlelement(name a), 1::int4, (1 + 1)::numeric(3,1), CURRENT_TIMESTAMP(0), (CASE WHEN true THEN 1 END)::int",
    ],
)
def test_an_output_has_the_servers_name(world: World, sample_port: int, targets: str) -> None:
    sql = f"SELECT {targets} FROM orders o, users u LIMIT 0"
    outputs = analysed(world, sql).query.outputs
    assert outputs is not None
    with RawClient("127.0.0.1", sample_port, "app", "shared") as client:
        messages = client.extended(sql, (b"1",) if "$1" in sql else ()).messages
    described = next(row_description(one.body) for one in messages if one.tag == "T")
    assert [one.name for one in outputs] == [name for name, _, _ in described]


@pytest.mark.parametrize(
    ("sql", "hard"),
    [
        ("SELECT id, note FROM orders", False),
        ("SELECT * FROM users", False),
        ("SELECT 1, 'x', lower(note) FROM orders", False),
        ("SELECT id + 1 FROM orders", True),
        ("SELECT count(*) FROM orders", True),
        ("SELECT ctid FROM orders", True),
        ("SELECT o FROM orders o", True),
        ("SELECT (SELECT 1) FROM orders", True),
        ("VALUES (1), (2)", False),
        ("VALUES (1, 'x'), (2, pg_size_bytes('x')::text)", True),
        ("SELECT id FROM orders UNION SELECT id FROM customers", False),
        ("SELECT id FROM orders UNION ALL SELECT id FROM users", True),
        ("SELECT id FROM orders UNION ALL SELECT 1 / qty FROM orders", True),
    ],
)
def test_a_query_is_hard_where_an_output_may_throw_or_an_arm_is_cast(world: World, sql: str, hard: bool) -> None:
    assert analysed(world, sql).query.hard is hard


def test_outputs_that_are_not_all_known_are_none(world: World) -> None:
    assert analysed(world, "SELECT * FROM jsonb_each('{}')").query.outputs is None
    assert analysed(world, "SELECT (o).* FROM orders o").query.outputs is None


def test_a_recursive_cte_has_the_columns_of_its_first_arm(world: World) -> None:
    outputs = analysed(
        world, "WITH RECURSIVE r(a, b) AS (SELECT id, note FROM orders UNION ALL SELECT a, b FROM r) SELECT * FROM r"
    ).query.outputs
    assert outputs is not None
    assert [(one.name, one.value.type) for one in outputs] == [("a", 23), ("b", 25)]
