"""A message whose limit other processes share waits for the counter store, a moment, and goes on where it stood."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.quota.budgets import Budgets
from proxy.quota.exchange import UNIT, Answer, Terms
from proxy.quota.shared import SharedRationing
from proxy.session.actions import AwaitQuota
from proxy.session.conversation import Waiting
from proxy.session.events import CancelRequested, FrontendLost, QuotaHeard
from proxy.session.quotas import PATIENCE
from proxy.session.session import ClientSession
from proxy.tenancy.policy import Limits
from tests.session.conftest import Door, complete, kinds, log_in, query
from tests.session.test_counting import Clock
from tests.session.test_extended import BOUND, DONE, IDLE, PARSED, SYNC, bind, execute, parse
from tests.session.test_quotas import told as refusal

BATCH = parse("SELECT 1") + bind() + execute() + SYNC
PREPARED = parse("SELECT 1", "a") + SYNC, PARSED + IDLE
RUN = bind("a") + execute() + SYNC, BOUND + DONE + IDLE


class Shared:
    """A session whose limits are shared, and the counter store that the test speaks for."""

    def __init__(self, door: Door, **limits: Any) -> None:
        self.door = door
        self.clock = Clock()
        self.rationing = SharedRationing("process", Terms(), self.clock, lambda: None)
        self.session = ClientSession(door, process_id=42, secret_key=b"key!", clock=self.clock)
        log_in(self.session, door)
        budgets = Budgets(self.rationing)
        counters = self.session.counters
        self.session.budget = budgets.of("acme", "alice", Limits(**limits), None, counters, self.clock())
        door.take()
        door.actions.clear()

    def answer(self, granted: float = 0.0, level: float = 0.0, told: int = 0) -> None:
        """The store gives so much of everything that is asked for."""
        request = self.rationing.request(self.clock())
        grants = {one.key: (min(granted, one.want), level) for one in request.takes}
        permits = {one.key: told for one in request.reports}
        answer = Answer(True, "e", self.clock(), UNIT, 1, grants, permits)
        self.rationing.answered(request, answer, self.clock())

    def heard(self) -> None:
        (asked,) = self.door.asked(AwaitQuota)
        self.session.handle(QuotaHeard(asked.ticket))


@pytest.fixture
def shared(door: Door) -> Shared:
    found = Shared(door, statements_per_second=100.0)
    found.answer(0.0, 50.0)
    return found


@pytest.mark.parametrize(
    ("sent", "reply"), [(query("SELECT 1"), complete("SELECT 1")), (BATCH, PARSED + BOUND + DONE + IDLE)]
)
def test_what_finds_the_block_used_up_goes_on_with_the_next(
    shared: Shared, door: Door, sent: bytes, reply: bytes
) -> None:
    (one,) = door.free
    shared.session.data(sent)
    assert shared.session.waiting is Waiting.QUOTA
    assert shared.session.stalled
    assert door.take() == one.written == b""
    shared.answer(8.0, 42.0)
    shared.heard()
    assert kinds(one.written) == kinds(sent)
    shared.session.backend_data(reply)
    assert door.take() == reply


def test_a_bind_and_an_execute_wait_as_well_and_are_paid_once(shared: Shared, door: Door) -> None:
    (one,) = door.free
    session = shared.session
    for sent, reply, waits in ((*PREPARED, True), (*RUN, False), (*RUN, True)):
        one.written = b""
        session.data(sent)
        assert (session.waiting is Waiting.QUOTA) == waits
        if waits:
            assert one.written == b""
            shared.answer(1.0, 50.0)
            shared.heard()
        session.backend_data(reply)
        assert kinds(door.take()) == kinds(reply)


def test_a_store_that_stays_silent_makes_it_a_refusal_in_the_end(shared: Shared, door: Door) -> None:
    shared.session.data(query("SELECT 1"))
    for _ in range(2):
        shared.clock.now += PATIENCE / 2
        shared.heard()
    assert refusal(door)["C"] == "53400"
    assert shared.session.counters.refused == 1
    assert shared.session.budget is not None
    assert sum(one.refusals for one in shared.session.budget.tenant.meters.values()) == 1


def test_what_the_store_has_not_either_is_refused_at_once(shared: Shared, door: Door) -> None:
    shared.session.data(query("SELECT 1"))
    shared.answer(0.0, -200.0)
    shared.heard()
    assert refusal(door)["C"] == "53400"
    shared.session.data(query("SELECT 1"))
    (asked,) = door.asked(AwaitQuota)
    assert asked.seconds > 0  # the store has nothing to say about it
    shared.session.handle(QuotaHeard(asked.ticket))
    assert refusal(door)["C"] == "53400"


def test_a_permit_that_others_may_have_to_spare_is_waited_for(door: Door) -> None:
    shared = Shared(door, concurrent_statements=4)
    shared.answer(told=0)
    shared.session.data(query("SELECT 1"))
    assert shared.session.waiting is Waiting.QUOTA
    shared.answer(told=1)
    shared.heard()
    shared.session.backend_data(complete("SELECT 1"))
    assert kinds(door.take()) == "CZ"
    assert shared.session.entered == ()


def test_a_cancel_request_ends_the_wait(shared: Shared, door: Door) -> None:
    shared.session.data(query("SELECT 1"))
    shared.session.handle(CancelRequested())
    assert refusal(door)["C"] == "57014"


def test_an_answer_that_nobody_waits_for_any_more_changes_nothing(shared: Shared, door: Door) -> None:
    shared.session.data(query("SELECT 1"))
    (asked,) = door.asked(AwaitQuota)
    shared.session.handle(FrontendLost())
    shared.session.handle(QuotaHeard(asked.ticket))
    assert door.take() == b""
