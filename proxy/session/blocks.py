"""Will a statement run in a transaction block, for commands that only a block may hold and that are sent as others; and
has the transaction failed, so that it may not be answered?

What is under way counts: a BEGIN or COMMIT that the server has not answered yet. Source: PostgreSQL, xact.c,
CheckTransactionBlock.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.backend.state import FAILED, IDLE, IN_TRANSACTION, BackendState
from proxy.errors import Refusal
from proxy.session.conversation import Conversation, Waiting
from proxy.session.due import EXECUTE, QUERY, SYNC, Due, undecided
from proxy.sql.plan import Answer, AnswerKind, Effects, Forward, Plan, TransactionVerb

ENDS = frozenset({TransactionVerb.COMMIT, TransactionVerb.ROLLBACK})
ENDING = frozenset({EXECUTE, QUERY, SYNC})  # what may end a transaction before this


def outside_block(s: Conversation, plans: tuple[Plan, ...]) -> Refusal | None:
    """25P01 when one of these, sent together now, needs a block and would have none. Several statements of one Query
    run in one.
    """
    if len(plans) > 1:
        return None
    for one in plans:
        if isinstance(one, Forward) and one.effects.block is not None and not in_block(s):
            return Refusal(f"{one.effects.block} can only be used in transaction blocks", sqlstate="25P01")
    return None


def in_block(s: Conversation) -> bool:
    """Will what is sent now run in a transaction block?"""
    inside = s.lease is not None and s.state is not None and s.state.status != IDLE
    for due in s.due:
        for plan in _run_by(due):
            if isinstance(plan, Forward) and plan.effects.transaction is TransactionVerb.BEGIN:
                inside = True
            elif isinstance(plan, Forward) and plan.effects.transaction in ENDS:
                inside = plan.effects.chain
    return inside


def aborted(s: Conversation, plan: Plan, *, bound: bool = False) -> bool:
    """Is the transaction failed, so that nothing may be answered but to an empty statement that is not bound?"""
    failed = s.state is not None and s.state.status == FAILED and not any(one.kind in ENDING for one in s.due)
    return failed and (bound or not (isinstance(plan, Answer) and plan.answer is AnswerKind.EMPTY))


def undecided_yet(s: Conversation) -> bool:
    """Is it open whether that will be so? Then the message that the proxy answers waits for the replies before it."""
    if not undecided(s.due):
        return False
    s.waiting = Waiting.REPLIES
    return True


def recover(state: BackendState, effects: Effects) -> None:
    """A statement completed; in a failed transaction that is only what ends it, and what follows is told its own errors
    again, although the next ReadyForQuery is still to come.
    """
    if state.status == FAILED:
        goes_on = effects.chain or effects.transaction is TransactionVerb.ROLLBACK_TO
        state.status = IN_TRANSACTION if goes_on else IDLE


def _run_by(due: Due) -> Iterable[Plan]:
    if due.kind is QUERY:
        return due.plans
    return (due.plan,) if due.kind is EXECUTE and due.plan is not None else ()
