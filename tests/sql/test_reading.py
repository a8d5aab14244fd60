"""Reading: what is certain to do nothing else, and that anything not known is taken for writing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Cast, Catalog, Function, Operator, Relation, Type
from proxy.session.prepared import merged
from proxy.sql.plan import Forward, PlanContext
from proxy.sql.planner import Planner
from proxy.sql.reading import Reading, strings
from proxy.sql.world import World
from proxy.tenancy.policy import FunctionRule
from tests.sql.worlds import sample_policy

READS = (
    "SELECT * FROM orders", "SELECT count(*), upper('a') FROM orders WHERE id = 1", "COPY orders TO STDOUT",
    "COPY (SELECT id FROM orders) TO STDOUT", "FETCH ALL FROM c", "SELECT pg_backend_pid()", "TABLE orders",
    "VALUES (1)",
    "WITH a AS (SELECT id FROM orders) SELECT * FROM a", "SELECT g FROM generate_series(1, 9) g",
)  # fmt: skip
DOES_MORE = (
    "SELECT slugify('n') FROM orders", "SELECT * FROM orders FOR UPDATE",
    "INSERT INTO orders (id) VALUES (1) RETURNING id",
    "WITH a AS (DELETE FROM orders RETURNING id) SELECT * FROM a",
    "SELECT pg_advisory_lock(1)", "COPY orders FROM STDIN",
    "SELECT pg_notify('c', 'x')", "SELECT set_config('work_mem', '1MB', false)", "BEGIN", "SET work_mem TO '1MB'",
    "UPDATE orders SET id = 1", "SHOW work_mem", "DECLARE c CURSOR FOR SELECT 1", "CLOSE c", "SELECT setseed(0.5)",
    "COPY (SELECT slugify('n') FROM orders) TO STDOUT", "PREPARE p AS SELECT 1", "SELECT 'slugify' FROM orders",
)  # fmt: skip


def plan_of(catalog: Catalog, sql: str) -> Forward:
    policy = replace(sample_policy(), functions=(FunctionRule("public", "slugify"),))
    (plan,) = Planner(catalog, 0).plan(sql.encode(), PlanContext(policy, 1, role="app")).plans
    assert isinstance(plan, Forward), plan
    return plan


@pytest.mark.parametrize("sql", READS)
def test_a_statement_of_known_parts_reads(world: World, sql: str) -> None:
    assert plan_of(world.catalog, sql).reads


@pytest.mark.parametrize("sql", DOES_MORE)
def test_a_statement_that_does_anything_else_does_not(world: World, sql: str) -> None:
    assert not plan_of(world.catalog, sql).reads


def function(oid: int, name: str, extension: str = "", schema: str = "public") -> Function:
    return Function(oid, schema, name, "f", (), 25, extension=extension)


def reading(world: World, *functions: Function, views: dict[str, str] | None = None, **more: object) -> Reading:
    relations = {("public", "orders"): world.catalog.relations["public", "orders"]}
    for number, (name, text) in enumerate((views or {}).items()):
        relations["public", name] = Relation(9000 + number, "public", name, "v", definition=text)
    known: dict[str, tuple[Function, ...]] = {}
    for one in functions:
        known[one.name] = (*known.get(one.name, ()), one)
    changed = {"relations": relations, "functions": known, "operators": {}, "casts": {}, "types": {}, **more}
    return Reading.of(replace(world.catalog, **changed))  # type: ignore[arg-type]  # fields by name


def test_a_view_that_may_call_an_unreviewed_function_does_more_and_so_does_one_on_top_of_it(world: World) -> None:
    views = {
        "plain": "SELECT orders.id FROM orders",
        "calls": "SELECT log_read(orders.id) FROM orders",
        "above": "SELECT calls.id FROM public.calls",
        "odd": 'SELECT "My ""Log"""(orders.id) FROM orders',
    }
    found = reading(world, function(1, "log_read"), function(2, 'My "Log"'), views=views)
    assert found.acting == {"log_read", 'My "Log"', "calls", "above", "odd"}
    assert not found.hidden


def test_reviewed_functions_and_the_systems_are_known(world: World) -> None:
    found = reading(world, function(1, "similarity", "pg_trgm"), function(2, "lower", schema="pg_catalog"))
    assert found == Reading(frozenset(), False)


def test_an_operator_or_cast_with_an_unreviewed_function_may_stand_anywhere(world: World) -> None:
    operator = Operator(1, "public", "===", 25, 25, 16, 7)
    assert reading(world, function(7, "same"), operators={"===": (operator,)}).hidden
    assert reading(world, function(7, "same"), casts={(25, 23): Cast(25, 23, 7, "e", "f")}).hidden
    assert not reading(world, function(8, "other"), casts={(25, 23): Cast(25, 23, 7, "e", "f")}).hidden


def test_domains_with_conditions_and_tables_with_rules_or_policies_or_elsewhere_count(world: World) -> None:
    domain = Type(1, "public", "email", "d", checked=True)
    relations = {
        ("public", name): Relation(number, "public", name, kind, rules=rules, row_security=policies)
        for number, (name, kind, rules, policies) in enumerate(
            [
                ("t", "r", False, False),
                ("ruled", "r", True, False),
                ("guarded", "r", False, True),
                ("away", "f", False, False),
            ]
        )
    }
    assert reading(world, types={1: domain}, relations=relations).acting == {"email", "ruled", "guarded", "away"}


def test_an_execute_reads_when_its_arguments_and_what_it_executes_do(world: World) -> None:
    outer = plan_of(world.catalog, "EXECUTE p (1)")
    for inner, reads in (("SELECT id FROM orders", True), ("SELECT id FROM orders FOR UPDATE", False)):
        assert merged(outer, plan_of(world.catalog, inner)).reads is reads


def test_strings_are_found_wherever_they_stand() -> None:
    assert strings({"a": [{"b": "c"}, "d", 1], "e": {"f": {"g": "h"}}}) == {"c", "d", "h"}
