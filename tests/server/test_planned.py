"""What planning takes is spent of the login's budget: reckoned before, put right after, and lost by no way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from proxy.errors import StatementTooComplex
from proxy.quota.budget import Budget
from proxy.quota.budgets import Budgets
from proxy.server.planned import BYTE, Account, Question
from proxy.server.sharing import BURST, PLANNING, Share
from proxy.session.counters import Counters
from proxy.sql.plan import PlanContext, Planned
from proxy.tenancy.policy import Limits
from tests.kit.builders import POLICY, ForwardingPlanner

CONTEXT = PlanContext(POLICY, 1)
TEXT = b"SELECT 1" * 1000
SHORT, LONG = Question(b"SELECT 1", CONTEXT), Question(TEXT, CONTEXT)


class Busy(ForwardingPlanner):
    """One that has to do: a while, on this thread; and elsewhere so many seconds as `took` says."""

    def __init__(self) -> None:
        super().__init__()
        self.took = 0.25
        self.gate = asyncio.Event()
        self.spent: Callable[[float], None] | None = None
        self.low: bool | None = None

    def plan(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned:
        sum(range(200_000))
        return super().plan(text, context, parameter_types, extended)

    async def elsewhere(self, asked: Question, spent: Callable[[float], None] | None, low: bool) -> Planned:
        self.spent, self.low = spent, low
        await self.gate.wait()
        if spent is not None:
            spent(self.took)
        return super().plan(*asked)


@pytest.fixture
def budget() -> Budget:
    found = Budgets().of("acme", "alice", Limits(planning_time_per_minute=10.0), None, Counters(), 0.0)
    assert found is not None
    return found


def left(budget: Budget) -> float:
    (meter,) = budget.planning
    assert meter.bucket is not None
    return meter.bucket.left(0.0)


def clock() -> float:
    return 0.0


async def test_a_short_text_costs_what_this_thread_did(budget: Budget) -> None:
    Account(budget, Share(1, 1000.0), clock).plan(Busy(), SHORT)
    assert 0.0001 < 10.0 - left(budget) < 10.0


async def test_a_short_text_is_spent_of_the_tenants_share_of_the_loop_as_well() -> None:
    share = Share(1, 1000.0)
    for _ in range(1000):
        if not share.may_plan(0.0):
            break
        Account(None, share, clock).plan(Busy(), SHORT)
    assert not share.may_plan(0.0)
    assert share.may_plan(2 * BURST / PLANNING)


async def test_a_long_text_is_reckoned_while_it_is_planned_and_then_put_right(budget: Budget) -> None:
    planning = Busy()
    waiting = asyncio.ensure_future(Account(budget, Share(1, 1000.0), clock).wait_plan(planning, LONG))
    await asyncio.sleep(0)
    assert left(budget) == pytest.approx(10.0 - BYTE * len(TEXT))
    planning.gate.set()
    await waiting
    assert left(budget) == pytest.approx(9.75)


async def test_a_client_that_does_not_wait_pays_all_the_same(budget: Budget) -> None:
    planning = Busy()
    waiting = asyncio.ensure_future(Account(budget, Share(1, 1000.0), clock).wait_plan(planning, LONG))
    await asyncio.sleep(0)
    waiting.cancel()
    assert planning.spent is not None
    planning.spent(2.0)
    assert left(budget) == pytest.approx(8.0)


async def test_who_has_no_such_limit_has_its_share_all_the_same_and_is_behind_everybody_else_beyond_it() -> None:
    planning = Busy()
    planning.gate.set()
    free = Budgets().of("acme", "alice", Limits(rows_per_minute=5), None, Counters(), 0.0)
    for budget in (None, free):
        share = Share(1, 1000.0)
        assert Account(budget, share, clock).plan(planning, SHORT).rejection is None
        for low in (False, False, True, True):  # each takes half of what there is at once
            await Account(budget, share, clock).wait_plan(planning, LONG)
            assert planning.low is low


async def test_planning_that_fails_is_spent_too(budget: Budget) -> None:
    class Failing(Busy):
        def plan(
            self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
        ) -> Planned:
            super().plan(text, context, parameter_types, extended)
            raise StatementTooComplex("too complex")

    with pytest.raises(StatementTooComplex):
        Account(budget, Share(1, 1000.0), clock).plan(Failing(), SHORT)
    assert left(budget) < 9.9999
