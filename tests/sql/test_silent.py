"""Silent: exactly what the second rule of guarded injection lists; everything else is guarded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Catalog, Function, Operator
from proxy.sql.silent import conjuncts
from proxy.sql.world import World
from tests.sql.worlds import analysed, sample_policy

SILENT = [
    "o.id = 1",
    "o.id <> 1.5",
    "o.amount > 2",
    "o.note = 'x'",
    "o.status = 'paid'",
    "o.status = 'paid'::order_status",
    "o.id IS DISTINCT FROM 2",
    "o.id IN (1, 2, 3)",
    "o.id NOT IN (1, 2)",
    "o.amount BETWEEN 1 AND 2",
    "o.id = ANY ('{1,2}')",
    "o.id = ANY (ARRAY[1, 2])",
    "o.id <> ALL ('{1}'::int[])",
    "(o.tenant_id, o.id) = (1, 2)",
    "o.note IS NULL",
    "NOT o.note IS NOT NULL",
    "(o.id = 1) IS NOT TRUE",
    "true",
    "o.id = 1 OR o.note = 'x'",
    "coalesce(o.note, 'x') = 'y'",
    "o.note LIKE 'a%'",
    "o.note ILIKE 'a\\\\'",
    "o.note NOT LIKE 'x'",
    "lower(o.note) = 'x'",
    "length(o.note) > 3",
    "o.meta -> 'a' ->> 'b' = 'x'",
    "o.meta ? 'a'",
    "o.meta @> '{}'",
    "o.placed_at > now()",
    "o.placed_at > now() - interval '3 days'",
    "o.qty < 3",
    "d.d > CURRENT_DATE - 30",
    "d.d = d.ts",
    "d.arr @> '{a}'",
    "d.ia && ARRAY[1, 2]",
    "d.arr && d.arr",
    "d.num = d.big",
    "d.dbl > 1.5",
    "t.tsv @@ to_tsquery('english', 'a')",
    "t.tsv @@ 'a'",
    "o.tableoid = '1'",
    "d.q = 5",
    "o.id = $1",
    "o.id = $1::int",
    "EXISTS (SELECT 1 FROM order_items i WHERE i.order_id = o.id)",
    "NOT EXISTS (SELECT FROM products p JOIN categories c ON c.id = p.id)",
    "o.id IN (SELECT order_id FROM order_items WHERE qty > 3)",
    "s.n = 1",
    "d.c1 = 'x'",
    "d.c1 < o.note",
]

LOUD = [
    "1 / o.id = 1",
    "pg_size_bytes(o.note) IS NULL",
    "o.note::int = 1",
    "o.note ~ 'x'",
    "'x' ~ o.note",
    "o.note LIKE 'x\\'",
    "o.note LIKE 'x' ESCAPE '/'",
    "o.note LIKE o.secret",
    "o.note SIMILAR TO 'x'",
    "d.nd LIKE 'x'",
    "coalesce(d.nd, 'x') LIKE 'x'",
    "d.c1 < d.c2",
    "coalesce(d.c1, d.c2) < 'x'",
    "d.c1 BETWEEN 'a' AND d.c2",
    "o.note COLLATE \"C\" = 'x'",
    "d.num = d.dbl",
    "d.num = ANY (ARRAY[1.5::float8])",
    "d.num IN (1.5::float8, 2)",
    "'-1'::posint IS NULL",
    "o.id = $1::numeric(3,1)",
    "o IS NULL",
    "o.ctid = '(0,1)'",
    "o.order_total > 1",
    "d.home IS NULL",
    "d.j IS NULL",
    "d.nr && '[1,2]'",
    "d.loc <-> '(0,0)' < 1",
    "random() < 1",
    "now() - o.placed_at > '1 day'",
    "o.placed_at > now() - interval '3000 days'",
    "o.meta @> '" + "[" * 101 + "]" * 101 + "'",
    "o.meta -> o.note IS NULL",
    "o.meta #> '{a}' IS NULL",
    "t.tsv @@ plainto_tsquery('x')",
    "CASE WHEN o.id = 1 THEN true END",
    "o.id = (SELECT 1)",
    "o.id = 1 OR EXISTS (SELECT 1 FROM products)",
    "EXISTS (SELECT 1 FROM products LIMIT 1)",
    "o.id NOT IN (SELECT 1 FROM products)",
    "EXISTS (SELECT 1 FROM open_orders)",
    "EXISTS (SELECT 1 FROM products WHERE 1 / id = 1)",
    "EXISTS (SELECT 1 FROM products GROUP BY id)",
    "EXISTS (SELECT 1 FROM (SELECT 1) s)",
    "o.id IN (SELECT max(id) FROM products)",
    "o.id = ANY (ARRAY(SELECT 1))",
    "ARRAY[o.id] IS NULL",
    "greatest(o.id, 1) = 1",
    "o.id + 1 = 2",
    "o.id = o.note",
    "nowhere = 1",
    "o.id IN (SELECT id FROM products) IS TRUE",
    "o.status::text = 'x'",
    "xmlelement(name a) IS NULL",
    "o.home = ROW(1)",
    "s.m = 1",
    "g = 1",
    "to_date(o.note, 'YYYY') IS NULL",
    "(o.id, o.note) = (SELECT 1, 'x')",
    "o.note = ANY (string_to_array('a', ','))",
]


def is_silent(world: World, condition: str) -> bool:
    sources = "orders o, odd d, documents t, (SELECT id AS n, id / 1 AS m FROM customers) s, generate_series(1, 2) g"
    analysis = analysed(world, f"SELECT 1 FROM {sources} WHERE {condition}")
    clause = next(one for one in analysis.levels[-1].clauses if one.kind == "where")
    return all(analysis.silence.conjunct(one, clause.env) for one in conjuncts(clause.body["whereClause"]))


@pytest.mark.parametrize("condition", SILENT)
def test_what_cannot_throw_is_silent(world: World, condition: str) -> None:
    assert is_silent(world, condition)


@pytest.mark.parametrize("condition", LOUD)
def test_everything_else_is_not(world: World, condition: str) -> None:
    assert not is_silent(world, condition)


def with_namesakes(world: World, **more: object) -> World:
    catalog: Catalog = replace(world.catalog, **more)  # type: ignore[arg-type]  # two fields of the catalog, by name
    return World(sample_policy(), catalog)


@pytest.mark.parametrize("condition", ["lower(o.note) = 'x'", "o.id IN (1, 2)", "o.note LIKE 'x'"])
def test_a_namesake_outside_pg_catalog_makes_it_loud(world: World, condition: str) -> None:
    functions = {**world.catalog.functions}
    functions["lower"] = (*functions["lower"], Function(1, "public", "lower", "f", (1043,), 25))
    operators = {**world.catalog.operators}
    operators["="] = (*operators["="], Operator(1, "public", "=", 23, 600, 16, 1))
    operators["~~"] = (*operators["~~"], Operator(2, "public", "~~", 25, 600, 16, 1))
    assert is_silent(world, condition)
    assert not is_silent(with_namesakes(world, functions=functions, operators=operators), condition)


def test_a_namesake_for_other_types_does_not_matter(world: World) -> None:
    operators = {**world.catalog.operators}
    operators["="] = (*operators["="], Operator(1, "public", "=", 600, 600, 16, 1))
    assert is_silent(with_namesakes(world, operators=operators), "o.id = 1")


def test_conjuncts_are_the_parts_between_top_level_ands(world: World) -> None:
    analysis = analysed(world, "SELECT 1 FROM orders WHERE (id = 1 AND qty = 2) AND (note IS NULL OR id = 3)")
    assert len(conjuncts(analysis.levels[-1].body["whereClause"])) == 3
