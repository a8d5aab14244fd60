"""Planning on a login's account: what it takes is spent of its budget, also when the client does not wait for it.

A long text is reckoned by its length before it is planned, and put right when that is over: else many of them at once
would all come in before the first was paid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import thread_time
from typing import NamedTuple

from proxy.quota.budget import Budget
from proxy.server.services import Planning
from proxy.server.sharing import Share
from proxy.sql.plan import PlanContext, Planned

BYTE = 2.7e-6  # seconds that planning takes for one of a long text, until it is known


class Question(NamedTuple):
    """What a planner is asked, in the order of its arguments."""

    text: bytes
    context: PlanContext
    parameter_types: tuple[int, ...] = ()
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays. budget: None where nothing of it is limited; clock: seconds."""

    budget: Budget | None
    share: Share
    clock: Callable[[], float]

    def plan(self, planning: Planning, asked: Question) -> Planned:
        """Plans at once. What it takes is this thread's processor time: nobody else's load is in it."""
        began = thread_time()
        try:
            return planning.plan(*asked)
        finally:
            self._spent(thread_time() - began)

    async def wait_plan(self, planning: Planning, asked: Question) -> Planned:
        """Plans elsewhere, when it is the tenant's turn; behind everybody else where it has used up its share."""
        reckoned = BYTE * len(asked.text)
        self._spent(reckoned)
        async with self.share.turn:
            low = not self.share.may_plan(self.clock())
            return await planning.wait_plan(*asked, spent=lambda took: self._spent(took - reckoned), low=low)

    def _spent(self, seconds: float) -> None:
        now = self.clock()
        self.share.planned(seconds, now)
        if self.budget is not None and self.budget.planning:
            self.budget.planned(seconds, now)
