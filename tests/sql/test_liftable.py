"""Holes stand only where nothing decided by the value; what a rule looked at is baked in again."""

from __future__ import annotations

from itertools import product
from typing import Any

import orjson
import pytest
from pglast.parser import parse_sql_json

from proxy.sql.lift import lift
from proxy.sql.liftable import mark_literals, remaining_literals, without_holes
from proxy.sql.nodes import Nodes
from proxy.sql.plan import Forward, LiteralHole, PlanContext, Planned, StatementKind, Template
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.sql.world import World
from tests.sql.worlds import keys_of, sample_policy


def holes(sql: str) -> list[str]:
    """The literals of a text that became holes, as they are written."""
    lifted = lift(sql.encode())
    assert lifted is not None
    tree = orjson.loads(parse_sql_json(sql))["stmts"][0]["stmt"]
    marked = mark_literals(Nodes(tree), lifted)
    found = {hole.index for hole in marks(tree)}
    assert marked == {lifted.offsets[one] for one in found}
    return [lifted.literals[one].decode() for one in sorted(found)]


def marks(node: Any) -> list[LiteralHole]:
    if isinstance(node, list):
        return [hole for one in node for hole in marks(one)]
    if not isinstance(node, dict):
        return []
    own = [node["_hole"]] if "_hole" in node else []
    return own + [hole for one in node.values() for hole in marks(one)]


@pytest.mark.parametrize(
    ("sql", "lifted"),
    [
        ("SELECT 1 FROM orders WHERE id = 5 AND note = 'x'", ["5", "'x'"]),
        ("SELECT * FROM orders LIMIT 10 OFFSET 20", ["10", "20"]),
        ("INSERT INTO notes VALUES (7, 'a'), (8, 'b')", ["7", "'a'", "8", "'b'"]),
        ("UPDATE orders SET amount = 2.5 WHERE id = 1", ["2.5", "1"]),
        ("INSERT INTO users (id, is_active) VALUES (7, true), (8, FALSE)", ["7", "true", "8", "FALSE"]),
        ("UPDATE users SET is_active = false WHERE is_active = TRUE", ["false", "TRUE"]),
        ("SELECT 1 FROM users WHERE is_active IN (true, false) AND id = 1", ["true", "false", "1"]),
        ("SELECT true AS true FROM users WHERE is_active IS TRUE AND true AND NOT false AND f(false)", []),
        ("SELECT * FROM orders WHERE id IS DISTINCT FROM 3", ["3"]),
        ("SELECT * FROM orders WHERE id IN (1, 2) OR id NOT IN (3)", ["1", "2", "3"]),
        ("SELECT * FROM orders WHERE id BETWEEN 1 AND 2", ["1", "2"]),
        ("SELECT * FROM orders WHERE id = ANY (ARRAY[1, 2])", ["1", "2"]),
        ("SELECT * FROM orders WHERE placed_at > DATE '2024-01-01' AND amount < '5'::numeric", ["'2024-01-01'", "'5'"]),
        ("INSERT INTO notes VALUES (7, timestamptz '2024-01-01')", ["7", "'2024-01-01'"]),
        ("UPDATE orders SET meta = '{}'::jsonb", ["'{}'"]),
    ],
)
def test_values_that_only_the_server_looks_at_are_holes(sql: str, lifted: list[str]) -> None:
    assert holes(sql) == lifted


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT * FROM orders ORDER BY 1",
        "SELECT count(*) FROM orders GROUP BY 2",
        "SELECT substr(note, 2) FROM orders",
        "SELECT * FROM orders WHERE note LIKE 'a%'",
        "SELECT set_config('work_mem', '1MB', false)",
        "SELECT * FROM orders WHERE note = '1'::bool::text",
        "SELECT * FROM orders WHERE 'orders'::regclass = tableoid",
        "SELECT * FROM orders WHERE status = 'paid'::status",
        "SELECT * FROM orders WHERE note = 'x'::public.text",
    ],
)
def test_values_that_mean_a_place_a_name_or_a_pattern_stay_in_the_shape(sql: str) -> None:
    assert holes(sql) == []


def test_a_value_that_decided_something_is_taken_back() -> None:
    sql = "SELECT 1 FROM orders WHERE id = 5 AND amount = 6"
    lifted = lift(sql.encode())
    assert lifted is not None
    marked = orjson.loads(parse_sql_json(sql))["stmts"][0]["stmt"]
    mark_literals(Nodes(marked), lifted)
    assert len(marks(without_holes(marked, {sql.index("5")}))) == len(marks(marked)) - 1
    assert marks(without_holes(marked, set())) == marks(marked)


def test_only_holes_of_texts_that_are_sent_may_differ() -> None:
    plan = Forward(StatementKind.SELECT, Template((b"a", b"b"), (LiteralHole(1, "i"),)))
    assert remaining_literals(Planned((plan,), (b"1", b"2"))) == {1}
    assert remaining_literals(Planned((), ())) == frozenset()


@pytest.mark.parametrize(
    "form",
    [
        "SELECT id FROM users WHERE is_active = {} AND id = 7",
        "SELECT id FROM users WHERE is_active <> {} OR {} = is_active",
        "SELECT id FROM users u JOIN odd o USING (id) WHERE (u.is_active IS DISTINCT FROM {}) = (o.ok IN ({}, {}))",
        "SELECT id FROM odd WHERE ok BETWEEN {} AND {} AND ok = ANY (ARRAY[{}, {}])",
        "INSERT INTO users (id, email, name, is_active) VALUES (7, 'x', 'y', {}), (8, 'x', 'y', {})",
        "INSERT INTO odd (id, ok) VALUES (7, {}) ON CONFLICT (tenant_id, id) DO UPDATE SET ok = {} WHERE odd.ok = {}",
        "UPDATE users SET is_active = {}, name = 'x' WHERE is_active = {} RETURNING is_active = {}",
        "DELETE FROM odd WHERE ok = {} AND body::int > 3",
        "MERGE INTO users u USING odd o ON u.id = o.id AND o.ok = {} WHEN MATCHED THEN UPDATE SET is_active = {}"
        " WHEN NOT MATCHED THEN INSERT (id, email, name, is_active) VALUES (o.id, 'x', 'y', {})",
    ],
)
def test_one_plan_serves_all_booleans_of_a_shape(world: World, form: str) -> None:
    cached, fresh = Planner(world.catalog, 1 << 24), Planner(world.catalog, 0)
    context = PlanContext(sample_policy(), world.catalog.version)
    texts = [form.format(*words).encode() for words in product(("true", "false", "TRUE"), repeat=form.count("{}"))]
    cached.plan(texts[0], context)
    for text in texts:
        seen, expected = cached.lookup(text, context), fresh.compute(text, context)
        assert seen is not None
        assert sent(seen) == sent(expected)
        assert seen.literals == expected.literals


def sent(planned: Planned) -> list[bytes]:
    return [fill(one.template, keys_of(1), planned.literals) for one in planned.plans if isinstance(one, Forward)]
