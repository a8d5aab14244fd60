"""Planning on a login's account: what it takes is spent of its budget, also when the client does not wait for it.

A long text is reckoned by its length before it is planned, and put right when that is over: else many of them at once
would all come in before the first was paid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import thread_time

from proxy.quota.budget import Budget
from proxy.server.services import Planning
from proxy.server.sharing import Share
from proxy.sql.plan import PlanContext, Planned

BYTE = 2.7e-6  # seconds that planning takes for one of a long text, until it is known


def plan(
    planning: Planning,
    budget: Budget | None,
    share: Share,
    clock: Callable[[], float],
    text: bytes,
    context: PlanContext,
    types: Sequence[int],
    extended: bool,
) -> Planned:
    """Plans at once. What it takes is this thread's processor time: nobody else's load is in it."""
    began = thread_time()
    try:
        return planning.plan(text, context, types, extended)
    finally:
        took, now = thread_time() - began, clock()
        share.spend(took, now)
        if budget is not None and budget.planning:
            budget.planned(took, now)


async def wait_plan(
    planning: Planning,
    budget: Budget | None,
    share: Share,
    clock: Callable[[], float],
    text: bytes,
    context: PlanContext,
    types: Sequence[int],
    extended: bool,
) -> Planned:
    """Plans elsewhere, when it is the tenant's turn."""
    if budget is None or not budget.planning:
        async with share.turn:
            return await planning.wait_plan(text, context, types, extended)
    account, reckoned = budget, BYTE * len(text)
    account.planned(reckoned, clock())
    async with share.turn:
        return await planning.wait_plan(
            text, context, types, extended, lambda seconds: account.planned(seconds - reckoned, clock())
        )
