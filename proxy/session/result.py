"""Result: how much of the result that runs was relayed, how much may be, and what is cut off.

A result is what one statement, one Execute or one FETCH returns: a portal that is read in pieces is as many results.
Whether one may be cut off depends on what else its pipeline does: outside a block nothing in it may do anything but
read, since the server may have committed by then; inside one all of it must be undone when the transaction fails. Pure
bookkeeping; results.py acts. Decision 0056.
"""

from __future__ import annotations

from proxy.backend.state import IN_TRANSACTION
from proxy.errors import Refusal
from proxy.quota.exceeded import Exceeded
from proxy.sql.plan import Answer, AnswerKind, Forward, Plan, StatementKind, TransactionVerb
from proxy.tenancy.policy import Limits

ENDLESS = 1 << 62
# What a pipeline leaves: nothing was executed yet; nothing; nothing once its transaction has failed; more than that.
NOTHING_YET, READS, UNDONE, STAYS = range(4)
ROLLED_BACK = frozenset({
    StatementKind.SELECT, StatementKind.INSERT, StatementKind.UPDATE, StatementKind.DELETE, StatementKind.MERGE,
    StatementKind.EXPLAIN, StatementKind.CURSOR, StatementKind.PREPARE,
})  # fmt: skip
ROWS, BYTES = "result_rows", "result_bytes"
HINT = "Add LIMIT, or fetch the rows in pieces: with a cursor, or a row limit for the portal."


def left_by(plan: Plan) -> int:
    """READS, UNDONE or STAYS, of one statement."""
    if not isinstance(plan, Forward):
        return READS if isinstance(plan, Answer) and plan.answer is AnswerKind.EMPTY else STAYS
    if plan.reads:
        return READS
    effects = plan.effects
    noted = effects.noted and (effects.declares is None or effects.declares.hold)
    asked = effects.prepares or effects.executes or effects.notifies or effects.block
    return STAYS if noted or asked or plan.kind not in ROLLED_BACK else UNDONE


class Cut:
    """What is over the limit is read from the server and thrown away. since: seconds of the session's clock."""

    __slots__ = ("aborting", "refusal", "since", "stopped")

    def __init__(self, refusal: Refusal, since: float) -> None:
        self.refusal = refusal
        self.since = since
        self.stopped = False  # the server was asked to stop
        self.aborting = False  # the transaction is being made to fail


class Result:
    """Of one session. The limits are ENDLESS where there are none."""

    __slots__ = (
        "block", "bounded", "bytes", "cut", "most_bytes", "most_rows", "rows", "settled", "traces", "warned",
    )  # fmt: skip

    def __init__(self) -> None:
        self.most_rows = self.most_bytes = ENDLESS
        self.warned: frozenset[str] = frozenset()  # the limits that are told only
        self.bounded = False
        self.release()

    def release(self) -> None:
        """Nothing runs any more."""
        self.cut: Cut | None = None
        self.ended()
        self.answered()

    def ended(self) -> None:
        """The result is complete; another may follow."""
        self.rows = 0
        self.bytes = 0
        self.settled = False  # it was told, or need not be looked at any more

    def answered(self) -> None:
        """The pipeline is answered."""
        self.traces = NOTHING_YET  # the most that any statement of it leaves
        self.block = False  # it began with BEGIN

    def limit(self, limits: Limits) -> None:
        """The tenant's limits from here on."""
        self.most_rows = ENDLESS if limits.result_rows is None else limits.result_rows
        self.most_bytes = ENDLESS if limits.result_bytes is None else limits.result_bytes
        self.warned = limits.warn & {ROWS, BYTES}
        self.bounded = limits.result_rows is not None or limits.result_bytes is not None
        self.answered()

    def sent(self, plan: Plan) -> None:
        """A statement of the pipeline is being executed, or answered."""
        if not self.bounded:
            return
        begins = isinstance(plan, Forward) and plan.effects.transaction is TransactionVerb.BEGIN
        if begins and self.traces == NOTHING_YET:
            self.block, self.traces = True, READS
        else:
            self.traces = max(self.traces, left_by(plan))

    def fits(self, rows: int, size: int) -> bool:
        """May so many more be relayed?"""
        return self.rows + rows <= self.most_rows and self.bytes + size <= self.most_bytes

    def may_be_cut(self, plan: Forward | None, status: int) -> bool:
        """Is nothing left of its pipeline if the client is told that this statement failed?"""
        if plan is None or not plan.reads:
            return False
        return self.traces == READS or (self.traces == UNDONE and (self.block or status == IN_TRANSACTION))

    def exceeded(self) -> Exceeded:
        """The limit that one row more would pass, and what is said of it."""
        if self.rows >= self.most_rows:
            name, what, limit, used = ROWS, "rows", self.most_rows, self.rows
        else:
            name, what, limit, used = BYTES, "bytes", self.most_bytes, self.bytes
        return Exceeded(name, name, f"The limit is {limit} {what}; {used} were sent, and there are more.", HINT)
