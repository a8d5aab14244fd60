"""Holes stand only where nothing decided by the value; what a rule looked at is baked in again."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pglast.parser import parse_sql_json

from proxy.sql.lift import lift
from proxy.sql.liftable import mark_literals, remaining_literals, without_holes
from proxy.sql.nodes import Nodes
from proxy.sql.plan import Forward, LiteralHole, Planned, StatementKind, Template


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
