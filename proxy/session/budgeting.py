"""Budgeting: the part of a session that its login's budget is asked for, and what it has of it while it is busy.

A session is in its gauges from the first statement that is admitted until nothing is due, and leaves them exactly once,
however that ends. Who is told what, and how often, is here as well; when the budget is asked stands in quotas.py.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.quota.budget import Budget
from proxy.quota.exceeded import UNMETERED
from proxy.quota.gauge import Gauge
from proxy.session.actions import Audit
from proxy.session.counters import Counters
from proxy.session.ports import Port
from proxy.sql.plan import NO_EFFECTS, Decision, Reject

QUOTA = "quota."  # how the names of such rules begin
QUIET = 1.0  # seconds for which a session is not told again of a limit that only warns, nor the audit of any
RESTS = (0.05, 1.0)  # seconds that a session waits before it is refused again, at first and at most


class Budgeting:
    """The part of a Conversation that is about this."""

    port: Port
    clock: Callable[[], float]
    counters: Counters
    generation: int
    budget: Budget | None = None  # None: there is no limit
    entered: tuple[Gauge, ...] = ()  # whom the session has to leave
    charged = False  # the message was counted already, and waits for something
    patience = 0.0  # until when the message waits for more of what other processes share; 0.0: it did not wait
    fatigue = 0.0  # seconds that the session waits before the next refusal
    refused_at = float("-inf")  # when the last was
    passes = 0  # ends of this transaction that were let through although nothing was left
    told: dict[str, float] | None = None  # limits by their rule, and when it was said

    def depart(self) -> None:
        """Nothing of the session's is under way any more."""
        entered, self.entered = self.entered, ()
        for gauge in entered:
            gauge.leave()

    def audit(self, reject: Reject, text: bytes, shape: str) -> None:
        """Notes a refusal for the audit line. Those by one limit are noted once a second."""
        kind, rules = reject.kind, reject.rules
        if rules and rules[0].startswith(QUOTA):
            self.counters.refused += 1
            self.note(self.counters.quota_refusals, rules[0])
            if not self.due_to_tell(rules[0]):
                return
        else:
            rejected = self.counters.rejected
            rejected[kind] = rejected.get(kind, 0) + 1
        decision = Decision("reject", kind, rules, shape, reject.sqlstate, NO_EFFECTS, self.generation)
        self.port.act(Audit(decision, text, reject.message))

    def tire(self, now: float) -> None:
        """A statement is refused. Who asks again and again waits longer and longer for each refusal."""
        shortest, longest = RESTS
        self.fatigue = min(longest, 2 * self.fatigue) if self.tired(now) else shortest
        self.refused_at = now

    def tired(self, now: float) -> bool:
        """Was a statement refused lately?"""
        return now - self.refused_at < QUIET + self.fatigue

    def note(self, counts: dict[str, int], rule: str) -> None:
        """Counts what was refused or let through by a limit, unless its meter does."""
        name = rule.removeprefix(QUOTA)
        if name in UNMETERED:
            counts[name] = counts.get(name, 0) + 1

    def due_to_tell(self, rule: str) -> bool:
        """Was it not said within the last second?"""
        now = self.clock()
        if self.told is None:
            self.told = {}
        if now - self.told.get(rule, float("-inf")) < QUIET:
            return False
        self.told[rule] = now
        return True
