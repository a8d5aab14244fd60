"""What counts as a statement, what a refused one leaves behind, and that both ways of sending it count the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import TooManyConnections
from proxy.quota.allowance import LONG
from proxy.quota.budgets import Budgets
from proxy.session.actions import Audit, AwaitQuota, LeaseBackend, PlanStatement, WithdrawLease
from proxy.session.encode import fields_of
from proxy.session.events import CancelRequested, LeaseRefused, QuotaHeard, StatementPlanned
from proxy.session.quotas import ENOUGH
from proxy.session.session import ClientSession
from proxy.tenancy.policy import READ, ClassLimits, Limits
from proxy.wire.fields import message
from tests.kit.builders import grant, plan_text
from tests.session.conftest import READY, Door, complete, failed, kinds, log_in, query
from tests.session.test_counting import Clock
from tests.session.test_extended import BOUND, DONE, IDLE, PARSED, SYNC, bind, close, describe, error, execute, parse
from tests.session.test_short import General

MUCH = 1000
FAILING = query("refused by partywall")
BATCH = parse("SELECT 1") + bind() + execute() + SYNC
PREPARED = parse("SELECT 1", "a") + SYNC, PARSED + IDLE
RUN = bind("a") + execute() + SYNC, BOUND + DONE + IDLE
SUSPENDED = b"s\0\0\0\4"
Limited = Callable[..., ClientSession]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[ClientSession, General])
def limited(door: Door, clock: Clock, request: pytest.FixtureRequest) -> Limited:
    """A session under limits, logged in and idle; with the short way and without it."""

    def make(granted: Any = None, **limits: Any) -> ClientSession:
        session = ClientSession(door, process_id=42, secret_key=b"key!", clock=clock)
        log_in(session, door, granted=granted)
        session.__class__ = request.param
        session.budget = Budgets().of("acme", "alice", Limits(**limits), None, session.counters, clock())
        door.take()
        door.actions.clear()
        return session

    return make


def used(session: ClientSession) -> float:
    """Statements that were counted."""
    assert session.budget is not None
    bucket = session.budget.buckets[READ][0]
    return bucket.burst - bucket.left(session.clock())


def told(door: Door) -> dict[str, str]:
    """The fields of the error in what the client was told last."""
    data = door.take()
    while data[:1] != b"E":
        data = data[1 + int.from_bytes(data[1:5], "big") :]
    return fields_of(data[5:])


@pytest.mark.parametrize(
    ("story", "count"),
    [
        ([(query("SELECT 1"), complete("SELECT 1"))], 1),
        ([(query("SELECT 1; SELECT 2; SELECT 3"), complete("SELECT 1")[:-6] * 2 + complete("SELECT 1"))], 3),
        ([(query(""), b"")], 1),
        ([(query("RESET ALL"), b""), (query("DEALLOCATE ALL"), b"")], 2),
        ([(query("SELECT FROM forbidden"), b""), (parse("SELECT FROM forbidden") + SYNC, b"")], 2),
        ([(query("BEGIN"), complete("BEGIN", "T")), (query("COMMIT"), complete("COMMIT"))], 2),
        ([(BATCH, PARSED + BOUND + DONE + IDLE)] * 3, 3),
        ([PREPARED, RUN], 1),
        ([PREPARED, *[RUN] * 5], 5),
        ([(parse("SELECT 1") + SYNC, PARSED + IDLE)] * 4, 4),
        ([PREPARED, (bind("a") * 3 + SYNC, BOUND * 3 + IDLE)], 3),
        ([(parse("SELECT 1") + bind() + execute(rows=1) * 4 + SYNC, PARSED + BOUND + SUSPENDED * 3 + DONE + IDLE)], 4),
        ([(BATCH[:-5] * 4 + SYNC, (PARSED + BOUND + DONE) * 4 + IDLE)], 4),
        ([(parse("SELECT 1", "a") + describe("S", "a") + SYNC, PARSED + b"t\0\0\0\6\0\0n\0\0\0\4" + IDLE)], 1),
        ([(close("S", "a") + SYNC, b""), (SYNC, b"")], 0),
        ([(bind("nobody") + SYNC, b""), (execute("nobody") + SYNC, b"")], 2),
    ],
)  # fmt: skip
def test_what_is_counted(limited: Limited, door: Door, story: list[tuple[bytes, bytes]], count: int) -> None:
    session = limited(statements_per_second=MUCH)
    for sent, reply in story:
        session.data(sent)
        if reply:
            session.backend_data(reply)
    assert used(session) == count
    assert (session.entered, session.lease) == ((), None)


def test_a_class_counts_its_own_statements_only(limited: Limited, door: Door) -> None:
    session = limited(classes={"read": ClassLimits(statements_per_second=1.0)})
    session.data(query("BEGIN"))
    session.backend_data(complete("BEGIN", "T"))
    for allowed in (True, False):
        door.take()
        session.data(query("SELECT 1"))
        session.backend_data(complete("SELECT 1", "T") if allowed else error("42601") + READY + b"E")
    assert told(door)["M"] == "quota exceeded: read statements per second"


def test_a_refused_query_outside_a_block_reaches_no_server(limited: Limited, door: Door) -> None:
    session = limited(statements_per_second=1.0)
    (one,) = door.free
    session.data(query("SELECT 1"))
    session.backend_data(complete("SELECT 1"))
    one.written = b""
    door.take()
    session.data(query("SELECT 2"))
    assert one.written == b""
    assert door.written.endswith(READY + b"I")
    fields = told(door)
    assert (fields["C"], fields["S"], fields["M"]) == ("53400", "ERROR", "quota exceeded: statements per second")
    assert fields["D"] == "Limit 1 per second, used 1; it opens again in 1 s."
    assert "statements_per_second" in fields["H"]
    (line,) = door.asked(Audit)
    assert (line.decision.verdict, line.decision.rules) == ("reject", ("quota.statements_per_second",))
    assert (session.counters.refused, session.counters.rejected) == (1, {})


def test_a_refused_query_fails_the_block_that_it_is_in_which_can_be_ended(limited: Limited, door: Door) -> None:
    session = limited(statements_per_second=2.0)
    (one,) = door.free
    for text, tag in (("BEGIN", "BEGIN"), ("SELECT 1", "SELECT 1")):
        session.data(query(text))
        session.backend_data(complete(tag, "T"))
    door.take()
    one.written = b""
    session.data(query("SELECT 2"))
    assert one.written == FAILING
    session.backend_data(failed("42601"))
    assert kinds(door.written) == "EZ"
    assert door.written.endswith(b"E")
    assert told(door)["C"] == "53400"
    session.data(query("ROLLBACK"))
    session.backend_data(complete("ROLLBACK"))
    assert door.take() == complete("ROLLBACK")
    assert session.lease is None
    assert used(session) == 3  # what ended the block is owed


def test_a_refused_pipeline_is_skipped_to_its_sync(limited: Limited, door: Door) -> None:
    session = limited(statements_per_second=2.0)
    (one,) = door.free
    sent = BATCH[:-5] * 5 + SYNC
    session.data(sent)
    assert kinds(one.written) == "PBEPBEBS"
    session.backend_data((PARSED + BOUND + DONE) * 2 + error("26000") + IDLE)
    assert kinds(door.written) == "12C12CEZ"
    assert told(door)["C"] == "53400"
    assert (session.lease, session.skipping) == (None, False)


def test_the_end_of_a_block_is_let_through_in_every_form_but_no_flood_of_it(limited: Limited, door: Door) -> None:
    session = limited(statements_per_second=1.0)
    session.data(query("BEGIN"))
    session.backend_data(complete("BEGIN", "T"))
    door.take()
    session.data(parse("COMMIT") + bind() + execute() + SYNC)
    session.backend_data(PARSED + BOUND + message(67, b"COMMIT\0") + IDLE)
    assert kinds(door.take()) == "12CZ"
    assert session.lease is None
    session.data(query("COMMIT"))  # which ends nothing
    assert told(door)["C"] == "53400"
    session.clock.now += 60  # type: ignore[attr-defined]  # the test's own
    session.data(query("BEGIN"))
    session.backend_data(complete("BEGIN", "T"))
    for _ in range(ENOUGH):
        session.data(parse("COMMIT") + SYNC)
        session.backend_data(PARSED + READY + b"T")
    door.take()
    session.data(parse("COMMIT") + SYNC)
    session.backend_data(error("26000") + READY + b"E")
    assert told(door)["C"] == "53400"


@pytest.mark.parametrize("text", ["COMMIT; SELECT 1", "SELECT 1; COMMIT", "SAVEPOINT a", "ROLLBACK TO a", "BEGIN"])
def test_nothing_else_is_let_through_with_it(limited: Limited, door: Door, text: str) -> None:
    session = limited(statements_per_second=1.0)
    session.data(query("BEGIN"))
    session.backend_data(complete("BEGIN", "T"))
    door.take()
    session.data(query(text))
    session.backend_data(failed("42601"))
    assert told(door)["C"] == "53400"


def test_a_lazy_begin_counts_when_it_is_answered_and_its_end_is_let_through(limited: Limited, door: Door) -> None:
    session = limited(granted=replace(grant(), lazy_begin=True), statements_per_second=1.0)
    session.data(query("BEGIN"))
    assert kinds(door.take()) == "CZ"
    assert used(session) == 1
    session.data(query("COMMIT"))
    session.backend_data(complete("BEGIN", "T") + complete("COMMIT"))
    assert kinds(door.take()) == "CZ"
    session.data(query("BEGIN"))
    assert told(door)["C"] == "53400"
    assert session.begun is None


def test_a_statement_that_waits_for_a_connection_is_counted_once_and_holds_its_place(
    limited: Limited, door: Door
) -> None:
    session = limited(statements_per_second=MUCH, concurrent_statements=5)
    door.free.clear()
    session.data(query("SELECT 1"))
    (asked,) = door.asked(LeaseBackend)
    assert session.budget is not None
    assert (used(session), session.budget.gauges[READ][0].held) == (1, 1)
    session.handle(LeaseRefused(asked.ticket, TooManyConnections("none")))
    assert told(door)["C"] == "53300"
    assert (used(session), session.budget.gauges[READ][0].held) == (1, 0)


def test_so_many_statements_run_at_one_time_and_no_more(limited: Limited, door: Door) -> None:
    session = limited(concurrent_statements=1)
    budget = session.budget
    assert budget is not None
    assert budget.gauges[READ][0].enter()  # another session of the login's
    session.data(query("SELECT 1"))
    assert told(door)["D"] == "Limit 1, used 1; it opens again when one of them has ended."
    budget.gauges[READ][0].leave()
    session.data(BATCH)
    assert budget.gauges[READ][0].held == 1
    session.backend_data(PARSED + BOUND + DONE + IDLE)
    assert budget.gauges[READ][0].held == 0


def test_what_only_warns_is_told_once_a_second_and_refused_never(limited: Limited, door: Door, clock: Clock) -> None:
    session = limited(statements_per_second=1.0, warn=frozenset({"statements_per_second"}))
    seen = []
    for _ in range(6):
        session.data(query("SELECT 1"))
        session.backend_data(complete("SELECT 1"))
        seen.append(kinds(door.take()))
        clock.now += 0.4
    assert seen == ["CZ", "NCZ", "CZ", "CZ", "NCZ", "CZ"]
    lines = door.asked(Audit)
    assert [one.decision.verdict for one in lines] == ["warn", "warn"]
    assert session.counters.refused == 0


def test_a_warning_that_the_client_does_not_want_is_for_the_audit_only(limited: Limited, door: Door) -> None:
    session = limited(statements_per_second=1.0, warn=frozenset({"statements_per_second"}))
    session.settings.current = {"client_min_messages": "'error'"}
    door.free[0].state.settings = session.settings.current
    for _ in range(2):
        session.data(query("SELECT 1"))
        session.backend_data(complete("SELECT 1"))
    assert kinds(door.take()) == "CZCZ"
    assert len(door.asked(Audit)) == 1


def test_a_warning_in_a_pipeline_comes_in_its_turn(limited: Limited, door: Door) -> None:
    session = limited(statements_per_second=1.0, warn=frozenset({"statements_per_second"}))
    session.data(query("SELECT 1") + query("SELECT 2"))
    session.backend_data(complete("SELECT 1") + complete("SELECT 2"))
    assert kinds(door.take()) == "CZNCZ"


def test_texts_that_were_not_seen_before_are_not_planned_while_planning_is_owed(limited: Limited, door: Door) -> None:
    session = limited(planning_time_per_minute=1.0)
    assert session.budget is not None
    door.cached = False
    session.budget.planned(2.0, session.clock())
    for sent in (query("SELECT 1"), parse("SELECT 1") + SYNC):
        session.data(sent)
        assert told(door)["M"] == "quota exceeded: planning time per minute"
    assert door.asked(PlanStatement) == []
    door.cached = True
    session.data(query("SELECT 1"))  # seen before
    session.backend_data(complete("SELECT 1"))
    assert door.take() == complete("SELECT 1")


def test_a_block_can_be_ended_while_planning_is_owed(limited: Limited, door: Door) -> None:
    session = limited(planning_time_per_minute=1.0)
    assert session.budget is not None
    session.data(query("BEGIN"))
    session.backend_data(complete("BEGIN", "T"))
    session.budget.planned(2.0, session.clock())
    door.cached = False
    door.take()
    session.data(query("commit work;"))
    (asked,) = door.asked(PlanStatement)
    session.handle(StatementPlanned(asked.ticket, plan_text(asked.text)))
    session.backend_data(complete("COMMIT"))
    assert kinds(door.take()) == "CZ"
    session.data(query("commit work;"))
    assert told(door)["C"] == "53400"


def test_refusals_are_noted_once_a_second_and_counted_each(limited: Limited, door: Door, clock: Clock) -> None:
    session = limited(statements_per_second=1.0)
    session.data(query("SELECT 1"))
    session.backend_data(complete("SELECT 1"))
    session.data(query("SELECT 1"))
    for _ in range(3):
        clock.now += 0.01
        refused_again(session, door)
    assert len(door.asked(Audit)) == 1
    assert session.counters.refused == 4


def refused_again(session: ClientSession, door: Door) -> float:
    """Seconds that the session waits for its next refusal."""
    door.take()
    session.data(query("SELECT 1"))
    assert session.stalled
    assert door.take() == b""
    asked = door.asked(AwaitQuota)[-1]
    session.handle(QuotaHeard(asked.ticket))
    assert told(door)["C"] == "53400"
    return float(asked.seconds)


def test_who_asks_again_and_again_waits_longer_and_longer_for_each_refusal(
    limited: Limited, door: Door, clock: Clock
) -> None:
    session = limited(concurrent_statements=1)
    assert session.budget is not None
    gauge = session.budget.gauges[READ][0]
    assert gauge.enter()  # another session's
    session.data(query("SELECT 1"))
    assert told(door)["C"] == "53400"  # the first is at once
    assert [refused_again(session, door) for _ in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    clock.now += 2.5
    door.actions.clear()
    session.data(query("SELECT 1"))
    assert (told(door)["C"], door.asked(AwaitQuota)) == ("53400", [])
    session.data(query("SELECT 1"))
    gauge.leave()
    (asked,) = door.asked(AwaitQuota)
    session.handle(QuotaHeard(asked.ticket))
    session.backend_data(complete("SELECT 1"))
    assert kinds(door.take()) == "CZ"  # what is there by then is had
    session.data(query("SELECT 1"))
    session.backend_data(complete("SELECT 1"))
    assert kinds(door.take()) == "CZ"  # and there is nothing to wait for


def test_a_block_can_be_ended_at_once_after_a_refusal(limited: Limited, door: Door, clock: Clock) -> None:
    session = limited(statements_per_second=1.0)
    session.data(query("BEGIN"))
    session.backend_data(complete("BEGIN", "T"))
    session.data(query("SELECT 1"))
    session.backend_data(error("42601") + READY + b"E")
    assert told(door)["C"] == "53400"
    session.data(query("ROLLBACK"))
    session.backend_data(complete("ROLLBACK"))
    assert (kinds(door.take()), door.asked(AwaitQuota)) == ("CZ", [])


def test_a_session_without_limits_is_asked_for_nothing(limited: Limited) -> None:
    session = limited()
    assert session.budget is None
    session.data(BATCH)
    assert session.entered == ()
    session.backend_data(PARSED + BOUND + DONE + IDLE)
    assert session.told is None


def test_at_a_limit_in_wait_a_statement_waits_for_its_turn_and_is_refused_in_the_end(
    limited: Limited, door: Door, clock: Clock
) -> None:
    session = limited(concurrent_statements=1, wait=frozenset({"concurrent_statements"}))
    budget = session.budget
    assert budget is not None
    assert session.grant is not None
    gauge = budget.gauges[READ][0]
    for ends in (True, False):
        door.actions.clear()
        assert gauge.enter()  # another session's
        session.data(query("SELECT 1"))
        assert (door.take(), session.stalled) == (b"", True)
        (asked,) = door.asked(AwaitQuota)
        assert (asked.line is gauge.line, asked.seconds) == (True, LONG)
        if ends:
            gauge.leave()
        else:
            clock.now += session.grant.limits.query_wait_timeout
        session.handle(QuotaHeard(asked.ticket))
        if ends:
            session.backend_data(complete("SELECT 1"))
            assert (kinds(door.take()), gauge.held) == ("CZ", 0)
        else:
            assert told(door)["C"] == "53400"
    (found,) = [one for one in budget.tenant.meters.values() if one.gauge is gauge]
    assert (found.waited, found.refusals) == (2, 1)


def test_a_rate_in_wait_spreads_what_comes_together(limited: Limited, door: Door, clock: Clock) -> None:
    session = limited(statements_per_second=10.0, statement_burst=1, wait=frozenset({"statements_per_second"}))
    for _ in range(3):
        door.actions.clear()
        session.data(BATCH)
        for asked in door.asked(AwaitQuota):
            assert asked.seconds == pytest.approx(0.1)
            clock.now += 0.1
            session.handle(QuotaHeard(asked.ticket))
        session.backend_data(PARSED + BOUND + DONE + IDLE)
        assert kinds(door.take()) == "12CZ"
    session.data(query("SELECT 1; SELECT 2"))
    assert told(door)["C"] == "53400"  # so many never are admitted at once


@pytest.mark.parametrize(("sent", "reply"), [(query("SELECT 1"), "EZ"), (BATCH, "EZ")])
def test_a_wait_in_a_block_can_be_canceled_and_is_nothing_idle(
    limited: Limited, door: Door, sent: bytes, reply: str
) -> None:
    session = limited(concurrent_statements=1, wait=frozenset({"concurrent_statements"}))
    (one,) = door.free
    session.data(query("BEGIN"))
    session.backend_data(complete("BEGIN", "T"))
    assert session.in_transaction
    assert session.budget is not None
    assert session.budget.gauges[READ][0].enter()  # another session's
    door.take()
    one.written = b""
    session.data(sent)
    (asked,) = door.asked(AwaitQuota)
    assert (session.queues, session.in_transaction) == (True, False)
    session.handle(CancelRequested())
    assert door.asked(WithdrawLease) == [WithdrawLease(asked.ticket)]
    assert one.written != b""  # the server is made to fail as well
    session.backend_data(error("42601") + READY + b"E")
    answer = door.take()
    assert kinds(answer) == reply
    assert fields_of(answer[5:])["C"] == "57014"
    session.handle(QuotaHeard(asked.ticket))
    assert (door.take(), session.budget.gauges[READ][0].held) == (b"", 1)
