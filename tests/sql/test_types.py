"""Types: the server's own answer or none; checked against pg_typeof of a real server."""

from __future__ import annotations

import pytest

from proxy.sql.oids import UNTYPED
from proxy.sql.world import World
from tests.kit.rawclient import RawClient
from tests.sql.worlds import analysed

CERTAIN = [
    "o.id",
    "o.amount",
    "o.status",
    "o.note",
    "o.meta",
    "o.amount_cents",
    "o.placed_at",
    "o.tableoid",
    "u.tags",
    "i.qty",
    "1",
    "-1",
    "2147483648",
    "1.5",
    "99999999999999999999",
    "true",
    "B'1'::bit(1)::text",
    "'x'::text",
    "'{1}'::int[]",
    "o.id + 1",
    "o.placed_at - interval '1 day'",
    "o.meta -> 'a'",
    "o.meta ->> 'a'",
    "o.note || 'x'",
    "o.id = 1",
    "o.id IN (1, 2)",
    "o.note LIKE 'x'",
    "o.id BETWEEN 1 AND 2",
    "NOT o.id = 1",
    "o.note IS NULL",
    "u.tags @> '{a}'",
    "coalesce(o.note, 'x')",
    "greatest(o.id, 1)",
    "nullif(o.note, 'x')",
    "CASE WHEN true THEN o.id ELSE 1 END",
    "now()",
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
    "lower(o.note)",
    "length(o.note)",
    "md5(o.note)",
    "ARRAY[1, 2]",
    "ARRAY['a']",
    "(SELECT o.id)",
    "EXISTS (SELECT 1)",
    "o.id IN (SELECT 1)",
    "ARRAY(SELECT o.id)",
    "s.n",
    "s.t",
    "s.m",
    "(SELECT 'x')",
]


@pytest.mark.parametrize("expression", CERTAIN)
def test_a_resolved_type_is_the_servers(world: World, sample_port: int, expression: str) -> None:
    sources = "orders o, users u, order_items i, (SELECT max(id) AS n, 'x' AS t, sum(amount) AS m FROM orders) s"
    sql = f"SELECT {expression} AS v FROM {sources}"
    outputs = analysed(world, sql).query.outputs
    assert outputs is not None
    resolved = outputs[0].value.type
    with RawClient("127.0.0.1", sample_port, "app", "shared") as client:
        said = client.simple(f"SELECT pg_typeof(v)::oid FROM ({sql} LIMIT 1) q").rows[0][0]
    assert said is not None
    declared = world.catalog.types[int(said)]
    assert resolved == (declared.base if declared.kind == "d" else int(said))


@pytest.mark.parametrize(
    "expression",
    [
        "o.home",
        "slugify(o.note)",
        "o.order_total",
        "nowhere",
        "o.id + o.note",
        "$1 + $1",
        "o.amount * 2",
    ],
)
def test_what_is_not_certain_has_no_type(world: World, expression: str) -> None:
    outputs = analysed(world, f"SELECT {expression} AS v FROM orders o").query.outputs
    assert outputs is not None
    assert outputs[0].value.type is None


def test_an_undeclared_parameter_is_an_untyped_literal_at_one_place_only(world: World) -> None:
    once = analysed(world, "SELECT $1")
    twice = analysed(world, "SELECT $1, $1")
    declared = analysed(world, "SELECT $1, $1", (23,))
    parameter = {"ParamRef": {"number": 1}}
    env = once.levels[-1].env
    assert env is not None
    assert once.types.value(parameter, env).type == UNTYPED
    assert twice.types.value(parameter, env).type is None
    assert declared.types.value(parameter, env).type == 23
