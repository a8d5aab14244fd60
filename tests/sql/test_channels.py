"""NOTIFY names the tenant's own channel at the server; LISTEN and UNLISTEN are the session's to do."""

from __future__ import annotations

import hashlib

import pytest

from proxy.sql.channels import channel_of
from proxy.sql.plan import Answer, AnswerKind, Forward, PlanContext
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.sql.world import World
from proxy.tenancy.derived import SEED
from tests.sql.worlds import keys_of, one_statement


def planned(world: World, sql: str) -> Forward | Answer:
    (plan,) = Planner(world.catalog, 0).plan(sql.encode(), PlanContext(world.policy, 1, role="app")).plans
    assert isinstance(plan, Forward | Answer)
    return plan


def text_of(plan: Forward | Answer | None, tenant: int = 1) -> str:
    assert isinstance(plan, Forward)
    return fill(plan.template, keys_of(tenant), ()).decode()


def mapped(name: str, tenant: int = 1) -> str:
    return "pw_" + hashlib.sha256((keys_of(tenant)[SEED] + "c" + name).encode()).hexdigest()[:60]


@pytest.mark.parametrize("name", ["jobs", '"Jobs"', '"a""b"', '"ä ö"', "x" * 70])
def test_the_name_becomes_a_hash_of_the_tenants_seed_and_the_name(world: World, name: str) -> None:
    client = name[:63] if len(name) > 63 else name.strip('"').replace('""', '"')
    for tenant in (1, 2):
        own = mapped(client, tenant)
        assert text_of(planned(world, f"NOTIFY {name}"), tenant) == f'NOTIFY "{own}"'
        assert text_of(planned(world, f"NOTIFY {name}, 'it''s \\ x'"), tenant) == f"NOTIFY \"{own}\", 'it''s \\ x'"
        assert text_of(planned(world, f"NOTIFY {name}, ''"), tenant) == f'NOTIFY "{own}"'


def test_only_a_notification_is_sent(world: World) -> None:
    assert planned(world, "NOTIFY jobs").effects.notifies
    for text, answer, name in (
        ("LISTEN jobs", AnswerKind.LISTEN, "jobs"),
        ("UNLISTEN jobs", AnswerKind.UNLISTEN, "jobs"),
        ("UNLISTEN *", AnswerKind.UNLISTEN, ""),
    ):
        plan = planned(world, text)
        assert isinstance(plan, Answer)
        assert (plan.answer, plan.argument, plan.sent) == (answer, name, None)


def test_the_channel_is_the_parsed_name(world: World) -> None:
    assert channel_of(one_statement(world, "LISTEN JOBS").tree) == "jobs"
    assert channel_of(one_statement(world, "UNLISTEN *").tree) is None
