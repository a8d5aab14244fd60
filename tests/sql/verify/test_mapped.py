"""What reaches other tenants is proved to be hashed behind the tenant's seed: nothing less will do."""

from __future__ import annotations

import pytest

from proxy.sql.plan import Forward, PlanContext
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.sql.verify.mapped import is_hashed, reaches
from proxy.sql.world import World
from proxy.tenancy.derived import SEED
from tests.sql.verify.conftest import Doubt
from tests.sql.worlds import keys_of

CALLS = (
    "pg_notify('jobs', 'x')",
    "pg_notify($1, $2)",
    "pg_advisory_xact_lock(42)",
    "pg_try_advisory_lock_shared(1, 2)",
    "pg_advisory_unlock($1)",
)


def text_of(world: World, call: str) -> str:
    planned = Planner(world.catalog, 0).plan(f"SELECT {call}".encode(), PlanContext(world.policy, 1, role="app"))
    (plan,) = planned.plans
    assert isinstance(plan, Forward)
    return fill(plan.template, keys_of(1), planned.literals).decode()


@pytest.mark.parametrize("call", CALLS)
def test_what_the_planner_makes_is_proved_and_nothing_that_differs_from_it(
    world: World, doubt: Doubt, call: str
) -> None:
    text = text_of(world, call)
    assert doubt(text) == ""
    changes = [
        (keys_of(1)[SEED], keys_of(2)[SEED]),
        (keys_of(1)[SEED], ""),
        ("pg_catalog.sha256(", "pg_catalog.sha224("),
        ("pg_catalog.pg_", "pg_"),
        ("pg_catalog.encode", "encode"),
        ("OPERATOR(pg_catalog.||)", "||"),
        (", 60)", ", 6)"),
        (", 16)", ", 1)"),
        ("bit(64)", "bit(8)"),
        ("::bigint)", "::bigint, 1)"),
        ("repeat('x', 64)", "repeat('x', 63)"),
        ("repeat('x', 64)", "concat('x', 'jobs')"),
        ("BETWEEN 1 AND 63", "BETWEEN 0 AND 63"),
        ("'jobs'::pg_catalog.text BETWEEN", "'other'::pg_catalog.text BETWEEN"),
    ]
    tried = 0
    for old, new in changes:
        if old in text:
            tried += 1
            assert doubt(text.replace(old, new, 1)) != "", (old, new)
    assert tried >= 5


@pytest.mark.parametrize(
    "call",
    [
        "pg_notify('jobs', 'x')",
        "pg_catalog.pg_notify('pw_0', 'x')",
        "pg_advisory_lock(1)",
        "pg_catalog.pg_advisory_unlock(1)",
        "pg_catalog.pg_advisory_xact_lock(1, 2)",
        "pg_catalog.pg_try_advisory_lock_shared(pg_catalog.hashtextextended('1', 0))",
        "pg_backend_pid()",
        "current_query()",
    ],
)
def test_what_is_not_hashed_is_not_proved(doubt: Doubt, call: str) -> None:
    assert doubt(f"SELECT {call}") != ""
    assert doubt(f"SELECT 1 WHERE {call} IS NULL") != ""
    assert doubt(f"SELECT (SELECT lower('a') WHERE {call} IS NULL)") != ""


def test_unlocking_all_of_ones_own_reaches_nobody(doubt: Doubt) -> None:
    assert not reaches("pg_advisory_unlock_all")
    assert doubt("SELECT pg_catalog.pg_advisory_unlock_all()") == ""


def test_without_a_seed_nothing_is_hashed() -> None:
    call = {"funcname": [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "pg_notify"}}], "args": []}
    assert not is_hashed(call, None)
    assert not is_hashed(call, "")
