"""EXPLAIN by rule: refused, without costs and without running, or as it is; always of the confined statement."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.plan import Forward, PlanContext, Reject
from proxy.sql.planner import Planner
from proxy.sql.verify import verify
from proxy.sql.world import World
from tests.kit.postgres import Cluster
from tests.kit.rawclient import RawClient
from tests.sql.worlds import keys_of, sample_catalog, sample_policy

QUERY = "SELECT o.id FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE o.secret > 'a' AND o.qty = 7"


def planned(world: World, sql: str, rule: str) -> Forward | Reject:
    policy = replace(sample_policy(), explain=rule, policy_class=rule)
    (plan,) = Planner(world.catalog, 0).plan(sql.encode(), PlanContext(policy, 1, role="app")).plans
    assert isinstance(plan, Forward | Reject)
    return plan


def sent(world: World, sql: str, rule: str) -> str:
    policy = replace(sample_policy(), explain=rule, policy_class=rule)
    planner, context = Planner(world.catalog, 0), PlanContext(policy, 1, role="app")
    (text,) = planner.explain_text(planner.plan(sql.encode(), context), keys_of(1))
    return text


@pytest.mark.parametrize(
    "sql", ["EXPLAIN SELECT 1", "EXPLAIN (COSTS OFF) SELECT 1", "EXPLAIN ANALYZE DELETE FROM orders"]
)
def test_without_a_rule_it_is_refused(world: World, sql: str) -> None:
    plan = planned(world, sql, "refused")
    assert isinstance(plan, Reject)
    assert (plan.sqlstate, plan.hint) == ("0A000", "Ask the operator: a plan tells of other tenants' rows.")


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ("EXPLAIN", "(COSTS OFF)"),
        ("EXPLAIN VERBOSE", "(VERBOSE, COSTS OFF)"),
        ("EXPLAIN (COSTS true, FORMAT json)", '(FORMAT "json", COSTS OFF)'),
        ("EXPLAIN (ANALYZE false, BUFFERS 0, TIMING off, COSTS)", "(COSTS OFF)"),
    ],
)
def test_costs_are_turned_off(world: World, asked: str, options: str) -> None:
    assert sent(world, f"{asked} SELECT id FROM orders", "costs_off") == (
        f"EXPLAIN {options} SELECT id FROM public.orders WHERE orders.tenant_id OPERATOR(pg_catalog.=) '1'::int"
    )


@pytest.mark.parametrize(
    "options",
    ["ANALYZE", "(ANALYZE)", "(ANALYZE 1)", "(BUFFERS)", "(SUMMARY on)", "(SETTINGS)", "(WAL, ANALYZE)", "(MEMORY)"],
)
def test_what_runs_the_statement_or_counts_is_refused_without_costs(world: World, options: str) -> None:
    plan = planned(world, f"EXPLAIN {options} DELETE FROM notes", "costs_off")
    assert isinstance(plan, Reject)
    assert plan.sqlstate == "0A000"


def test_an_unknown_option_is_what_it_is_for_the_server(world: World) -> None:
    plan = planned(world, "EXPLAIN (SECRETS) SELECT 1", "costs_off")
    assert isinstance(plan, Reject)
    assert (plan.sqlstate, plan.message) == ("42601", 'unrecognized EXPLAIN option "secrets"')


@pytest.mark.parametrize("rule", ["costs_off", "allowed"])
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP TABLE t AS SELECT 1",
        "DECLARE c CURSOR FOR SELECT 1",
        "DELETE FROM orders WHERE CURRENT OF c",
    ],
)
def test_only_queries_are_explained(world: World, sql: str, rule: str) -> None:
    assert isinstance(planned(world, f"EXPLAIN {sql}", rule), Reject)


def test_allowed_is_as_it_is_of_the_confined_statement(world: World) -> None:
    assert sent(world, "EXPLAIN (ANALYZE, BUFFERS) DELETE FROM notes", "allowed") == (
        "EXPLAIN (ANALYZE, BUFFERS) DELETE FROM public.notes WHERE notes.tenant OPERATOR(pg_catalog.=) "
        "'acme'::pg_catalog.text"
    )
    plan = planned(world, "EXPLAIN ANALYZE DELETE FROM notes", "allowed")
    assert isinstance(plan, Forward)
    assert plan.effects.writes


def test_the_plan_shows_the_predicate_and_no_number(shared_server: Cluster) -> None:
    port = urlsplit(shared_server.dsn()).port or 0
    world = World(sample_policy(), sample_catalog(port))
    with RawClient("127.0.0.1", port, "app", "shared") as client:
        for form in ("", "(FORMAT json)", "(VERBOSE, FORMAT yaml)"):
            rows = client.simple(sent(world, f"EXPLAIN {form} {QUERY}", "costs_off")).rows
            shown = b"\n".join(one[0] or b"" for one in rows)
            assert b"tenant_id = 1" in shown
            assert not any(word in shown.lower() for word in (b"cost", b"rows=", b"plan rows", b"width", b"time"))


@pytest.mark.parametrize(
    "options", ["", "(ANALYZE, COSTS off)", "(COSTS on)", "(COSTS off, COSTS on)", "(COSTS off, BUFFERS)"]
)
def test_the_verifier_proves_the_rule_itself(world: World, options: str) -> None:
    policy = replace(sample_policy(), explain="costs_off")
    with pytest.raises(FeatureNotSupported):
        verify(f"EXPLAIN {options} SELECT 1", PlanContext(policy, 1), world.catalog, keys_of(1))
    verify("EXPLAIN (COSTS off) SELECT 1", PlanContext(policy, 1), world.catalog, keys_of(1))
    with pytest.raises(FeatureNotSupported):
        verify("EXPLAIN (COSTS off) SELECT id FROM public.orders", PlanContext(policy, 1), world.catalog, keys_of(1))
    with pytest.raises(FeatureNotSupported):
        verify("EXPLAIN (COSTS off) SELECT 1", PlanContext(sample_policy(), 1), world.catalog, keys_of(1))


@pytest.mark.parametrize("rule", ["allowed", "costs_off"])
def test_what_a_name_stands_for_is_explained_under_the_name_that_the_proxy_gave(world: World, rule: str) -> None:
    plan = planned(world, "EXPLAIN EXECUTE mine (1)", rule)
    assert isinstance(plan, Forward)
    executes = plan.effects.executes
    assert executes is not None
    assert (executes.name, executes.explained) == ("mine", True)
    costs = "" if rule == "allowed" else " (COSTS OFF)"
    assert sent(world, "EXPLAIN EXECUTE mine", rule) == f"EXPLAIN{costs} EXECUTE pw_00000000"
    assert isinstance(planned(world, "EXPLAIN EXECUTE mine", "refused"), Reject)
